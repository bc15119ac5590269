package pebblelog

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guard is the file system that Pebble sees. It freezes the folder at the first write that fails: a crash at that moment
// would leave the same files, so opening the folder again is ordinary crash recovery.
//
// Pebble takes a failing write-ahead log for the end of the process: it calls Fatalf and then carries on, reporting
// success; when the failure meets the change to a new log file, it panics with its locks in disorder, which no recover
// survives. So after a failure the guard tells Pebble that its writes to the write-ahead log succeed, and drops them.
// Pebble's commit path then gets to its end, and whoever commits asks failure whether the commit is real. Nothing is
// lost by that: what Pebble believes to be in the dropped part of the log was acknowledged to nobody, and files that it
// wants to delete because of it stay.
//
// Flushes and compactions are told the truth. Pebble repeats them at once and for ever, so after a failure they wait
// where they open their first file, until the log is closed; see also pause.
//
// While Pebble opens the folder, nothing can wait: Open itself waits until what it found in the write-ahead log is flushed,
// for as long as that takes. And it must not fail in the middle: it would let go of what its compactions are using. So after
// a failure while it opens, Pebble works on in memory, on top of what is on disk, until Open has come to its end. Then the
// log closes it, and says why. That takes no more memory than the tables of what was in the write-ahead log.
type guard struct {
	vfs.FS
	dir    string      // the folder; what is written elsewhere, a checkpoint, is not its business
	onFail func(error) // called once

	cause    atomic.Pointer[error]
	resting  atomic.Bool // the next compaction waits for a while
	opened   atomic.Bool // Pebble has opened the folder: background work can wait
	memory   *vfs.MemFS  // where Pebble works on after a failure while it opens
	released chan struct{}
	once     sync.Once
}

// walCategory is what Pebble says when it creates a file of its write-ahead log.
const walCategory = "pebble-wal"

// compactionCategory marks the tables that compactions write.
const compactionCategory = "pebble-compaction"

// manifestCategory marks files that Pebble creates while it keeps others waiting.
const manifestCategory = "pebble-manifest"

func newGuard(fs vfs.FS, dir string, onFail func(error)) *guard {
	return &guard{FS: fs, dir: dir, onFail: onFail, memory: vfs.NewMem(), released: make(chan struct{})}
}

// failure returns the first failing write's error, nil when there was none.
func (g *guard) failure() error {
	if cause := g.cause.Load(); cause != nil {
		return *cause
	}
	return nil
}

// fail freezes the folder; the first cause stays.
func (g *guard) fail(err error) {
	if g.cause.CompareAndSwap(nil, &err) {
		g.onFail(err)
	}
}

// do runs a write, and returns the first failure's error once there is one.
func (g *guard) do(write func() error) error {
	if cause := g.failure(); cause != nil {
		return cause
	}
	err := write()
	if err != nil {
		g.fail(err)
	}
	return err
}

// park ends the opening: from now on background work waits after a failure. release lets it go.
func (g *guard) park()    { g.opened.Store(true) }
func (g *guard) release() { g.once.Do(func() { close(g.released) }) }

// elsewhere reports whether a file is not in the folder.
func (g *guard) elsewhere(name string) bool { return g.PathDir(name) != g.dir && name != g.dir }

// inMemory reports whether Pebble has failed while it opens, and works on in memory.
func (g *guard) inMemory() bool { return !g.opened.Load() && g.failure() != nil }

// createInMemory makes a file that is not on disk.
func (g *guard) createInMemory(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := g.memory.MkdirAll(g.PathDir(name), dirMode); err != nil {
		return nil, err
	}
	return g.memory.Create(name, category)
}

// restTime is how long compactions rest after one that met a damaged table: Pebble starts it again at once.
const restTime = 30 * time.Second

func (g *guard) rest() { g.resting.Store(true) }

// awaitRest delays a compaction behind one that has met damage, until release at most.
func (g *guard) awaitRest() {
	if !g.resting.CompareAndSwap(true, false) {
		return
	}
	timer := time.NewTimer(restTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-g.released:
	}
}

// retryPause is how often background work that cannot succeed is repeated after a failure.
const retryPause = 50 * time.Millisecond

// pause waits for retryPause, or until release.
func (g *guard) pause() {
	timer := time.NewTimer(retryPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-g.released:
	}
}

// Create implements vfs.FS.
func (g *guard) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return g.open(name, category, func() (vfs.File, error) { return g.FS.Create(name, category) })
}

// ReuseForWrite implements vfs.FS. Pebble recycles files of its write-ahead log with it.
func (g *guard) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return g.open(newname, category, func() (vfs.File, error) { return g.FS.ReuseForWrite(oldname, newname, category) })
}

// OpenReadWrite implements vfs.FS.
func (g *guard) OpenReadWrite(
	name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption,
) (vfs.File, error) {
	return g.open(name, category, func() (vfs.File, error) { return g.FS.OpenReadWrite(name, category, opts...) })
}

func (g *guard) open(name string, category vfs.DiskWriteCategory, open func() (vfs.File, error)) (vfs.File, error) {
	if g.elsewhere(name) {
		return open()
	}
	f := &guardFile{g: g, wal: category == walCategory, table: isTable(category)}
	if g.failure() != nil && g.opened.Load() && f.table {
		<-g.released
	}
	if category == compactionCategory && g.opened.Load() {
		g.awaitRest()
	}
	err := g.do(func() (err error) {
		f.File, err = open()
		return err
	})
	switch {
	case err == nil:
	case f.wal:
		f.File = vfs.NewMemFile(nil) // takes no writes: the log has failed
	case g.inMemory():
		return g.createInMemory(name, category)
	default:
		return nil, err
	}
	return f, nil
}

// isTable tells the files of flushes and compactions from those that Pebble creates while it keeps others waiting.
func isTable(category vfs.DiskWriteCategory) bool {
	return category != walCategory && category != manifestCategory && category != vfs.WriteCategoryUnspecified
}

// Open implements vfs.FS.
func (g *guard) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if g.inMemory() {
		if f, err := g.memory.Open(name, opts...); err == nil {
			return f, nil
		}
	}
	return g.FS.Open(name, opts...)
}

// Stat implements vfs.FS.
func (g *guard) Stat(name string) (vfs.FileInfo, error) {
	if g.inMemory() {
		if info, err := g.memory.Stat(name); err == nil {
			return info, nil
		}
	}
	return g.FS.Stat(name)
}

// OpenDir implements vfs.FS. Directories are opened to be synced.
func (g *guard) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil || g.elsewhere(name) {
		return f, err
	}
	return &guardFile{File: f, g: g, wal: true}, nil // the write-ahead log's directory is the folder itself
}

// Link implements vfs.FS.
func (g *guard) Link(oldname, newname string) error {
	if g.elsewhere(newname) {
		return g.FS.Link(oldname, newname)
	}
	return g.do(func() error { return g.FS.Link(oldname, newname) })
}

// Rename implements vfs.FS.
func (g *guard) Rename(oldname, newname string) error {
	if g.elsewhere(newname) {
		return g.FS.Rename(oldname, newname)
	}
	err := g.do(func() error { return g.FS.Rename(oldname, newname) })
	if err == nil || !g.inMemory() {
		return err
	}
	if _, err := g.memory.Stat(oldname); err != nil {
		return nil // what is on disk stays as it is
	}
	return g.memory.Rename(oldname, newname)
}

// Remove implements vfs.FS. Failing to remove a file is no reason to freeze the folder.
func (g *guard) Remove(name string) error {
	if g.inMemory() {
		return nil
	}
	if cause := g.failure(); cause != nil {
		return cause
	}
	return g.FS.Remove(name)
}

// RemoveAll implements vfs.FS.
func (g *guard) RemoveAll(name string) error {
	if g.inMemory() {
		return nil
	}
	if cause := g.failure(); cause != nil {
		return cause
	}
	return g.FS.RemoveAll(name)
}

// Unwrap implements vfs.FS.
func (g *guard) Unwrap() vfs.FS { return g.FS }

// guardFile is a file, or a directory, that Pebble writes.
type guardFile struct {
	vfs.File
	g     *guard
	wal   bool // failures are kept from Pebble
	table bool // a flush or a compaction writes it
}

// silent reports whether failures are kept from Pebble: always of the write-ahead log, and while the folder is opened of all
// that is not written anew after a failure.
func (f *guardFile) silent() bool { return f.wal || !f.table && f.g.inMemory() }

// outcome is what Pebble is told of a write.
func (f *guardFile) outcome(err error) error {
	if f.silent() {
		return nil
	}
	return err
}

// Write implements vfs.File.
func (f *guardFile) Write(b []byte) (n int, err error) {
	err = f.g.do(func() error {
		n, err = f.File.Write(b)
		return err
	})
	if err != nil && f.silent() {
		n = len(b)
	}
	return n, f.outcome(err)
}

// WriteAt implements vfs.File.
func (f *guardFile) WriteAt(b []byte, offset int64) (n int, err error) {
	err = f.g.do(func() error {
		n, err = f.File.WriteAt(b, offset)
		return err
	})
	if err != nil && f.silent() {
		n = len(b)
	}
	return n, f.outcome(err)
}

// Sync implements vfs.File.
func (f *guardFile) Sync() error { return f.outcome(f.g.do(f.File.Sync)) }

// SyncData implements vfs.File.
func (f *guardFile) SyncData() error { return f.outcome(f.g.do(f.File.SyncData)) }

// SyncTo implements vfs.File.
func (f *guardFile) SyncTo(length int64) (full bool, err error) {
	err = f.g.do(func() error {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, f.outcome(err)
}

// Preallocate implements vfs.File. It is a hint, and not every file system has it.
func (f *guardFile) Preallocate(offset, length int64) error {
	if f.g.failure() != nil {
		return nil
	}
	return f.File.Preallocate(offset, length)
}

// Close implements vfs.File.
func (f *guardFile) Close() error {
	err := f.File.Close()
	if err != nil && !errors.Is(err, os.ErrClosed) {
		f.g.fail(err)
	}
	return f.outcome(err)
}
