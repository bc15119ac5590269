package pebblelog_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/eventlog/pebblelog"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/logtest"
)

func TestConformance(t *testing.T) {
	logtest.Run(t, func(t *testing.T, now func() time.Time) hub.EventLog {
		return open(t, pebblelog.Options{Dir: "log", FS: vfs.NewMem(), Now: now})
	})
}

func TestConformance_reopen(t *testing.T) {
	logtest.RunReopen(t, func(t *testing.T, dir string, now func() time.Time) (hub.EventLog, func() error) {
		l, err := pebblelog.Open(pebblelog.Options{Dir: dir, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return l, l.Close
	})
}

// open opens a log that is closed when t ends.
func open(t testing.TB, o pebblelog.Options) *pebblelog.Log {
	t.Helper()
	l, err := pebblelog.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

// edit changes a closed log behind its back.
func edit(t *testing.T, fs vfs.FS, change func(*pebble.DB) error) {
	t.Helper()
	db, err := pebble.Open("dir", &pebble.Options{FS: fs, FormatMajorVersion: pebble.FormatNewest, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(change(db), db.Close()); err != nil {
		t.Fatal(err)
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)              {}
func (quiet) Errorf(string, ...any)             {}
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// fill makes a log with n events in hub "h", partition 3.
func fill(t *testing.T, n int) (*vfs.MemFS, hub.Partition) {
	t.Helper()
	fs, p := vfs.NewMem(), hub.Partition{Hub: "h", Endpoint: hub.EndpointEvents, ID: 3}
	log, err := pebblelog.Open(pebblelog.Options{Dir: "dir", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	producer := log.Producer(p, nil)
	for i := range n {
		if err := producer.Append(t.Context(), fmt.Appendf(nil, "event %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return fs, p
}

func TestOpen_refusesNewerFormat(t *testing.T) {
	fs, _ := fill(t, 1)
	edit(t, fs, func(db *pebble.DB) error {
		return db.Set(pebblelog.FormatKey, binary.BigEndian.AppendUint32(nil, 3), pebble.Sync)
	})
	_, err := pebblelog.Open(pebblelog.Options{Dir: "dir", FS: fs})
	if err == nil || !strings.Contains(err.Error(), "format version 3") {
		t.Errorf("Open: %v", err)
	}
}

// TestOpen_readsFormat1 opens a folder as programs wrote it that knew no endpoints: one partition with events, of which
// retention has taken the oldest, and one that retention has emptied.
func TestOpen_readsFormat1(t *testing.T) {
	fs := vfs.NewMem()
	const ms = "\x00\x00\x01\x98\x00\x00\x00\x00"
	edit(t, fs, func(db *pebble.DB) error {
		b := db.NewBatch()
		for key, value := range map[string]string{
			"mf": "\x00\x00\x00\x01",
			"eplant\x00\x00\x03\x00\x00\x00\x00\x00\x00\x01\x01": ms + "\x01old 257",
			"eplant\x00\x00\x03\x00\x00\x00\x00\x00\x00\x01\x02": ms + "\x01old 258",
			"mhplant\x00\x00\x03":                                "\x01\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x00\x01\x02" + ms,
			"mhplant\x00\x00\x04":                                "\x01\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x07" + ms,
		} {
			if err := b.Set([]byte(key), []byte(value), nil); err != nil {
				return err
			}
		}
		return b.Commit(pebble.Sync)
	})
	used := hub.Partition{Hub: "plant", Endpoint: hub.EndpointEvents, ID: 3}
	emptied := hub.Partition{Hub: "plant", Endpoint: hub.EndpointEvents, ID: 4}
	reports := hub.Partition{Hub: "plant", Endpoint: hub.EndpointHubEvents, ID: 3}
	for round := range int64(2) {
		log, err := pebblelog.Open(pebblelog.Options{Dir: "dir", FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			p     hub.Partition
			want  hub.Bounds
			texts string
		}{
			{used, hub.Bounds{First: 257, Next: 259 + round}, "old 257, old 258, new 259"},
			{emptied, hub.Bounds{First: 7, Next: 7 + round}, "new 7"},
			{reports, hub.Bounds{First: 0, Next: round}, "new 0"},
		} {
			var got []string
			_, err := log.Read(t.Context(), test.p, 0, 1<<20, func(r hub.Record) bool {
				got = append(got, string(r.Data))
				return true
			})
			b, boundsErr := log.Bounds(t.Context(), test.p)
			want := strings.Split(test.texts, ", ")[:test.want.Next-test.want.First]
			if err != nil || boundsErr != nil || b.First != test.want.First || b.Next != test.want.Next || !slices.Equal(got, want) {
				t.Errorf("round %d: %v holds %q, bounds %v, %v, %v", round, test.p, got, b, err, boundsErr)
			}
			if err := log.Producer(test.p, nil).Append(t.Context(), fmt.Appendf(nil, "new %d", b.Next)); err != nil {
				t.Fatal(err)
			}
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	edit(t, fs, func(db *pebble.DB) error {
		value, closer, err := db.Get(pebblelog.FormatKey)
		if err != nil {
			return err
		}
		if string(value) != "\x00\x00\x00\x02" {
			t.Errorf("format is %x after opening", value)
		}
		return closer.Close()
	})
}

func TestOpen_refusesImpossibleNames(t *testing.T) {
	for _, name := range []string{"", "h\x01", "\x01e", "h\x01E", "h\x01a\x01b"} {
		for key, value := range map[string]string{
			"e" + name + "\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00": strings.Repeat("\x00", 8) + "\x01",
			"mh" + name + "\x00\x00\x03":                                "\x01" + strings.Repeat("\x00", 24),
		} {
			fs, _ := fill(t, 1)
			edit(t, fs, func(db *pebble.DB) error { return db.Set([]byte(key), []byte(value), pebble.Sync) })
			if log, err := pebblelog.Open(pebblelog.Options{Dir: "dir", FS: fs}); err == nil {
				t.Errorf("a log with key %q was opened", key)
				log.Close()
			}
		}
	}
}

func TestOpen_refusesFolderInUse(t *testing.T) {
	dir := t.TempDir()
	open(t, pebblelog.Options{Dir: dir})
	_, err := pebblelog.Open(pebblelog.Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("Open: %v", err)
	}
}

func TestOpen_needsAFolder(t *testing.T) {
	if _, err := pebblelog.Open(pebblelog.Options{}); err == nil {
		t.Error("Open without a folder succeeded")
	}
}

func TestOpen_refusesLostEvents(t *testing.T) {
	fs, p := fill(t, 3)
	log, err := pebblelog.Open(pebblelog.Options{Dir: "dir", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	// A trim leaves a marker that says how far the partition went.
	if err := errors.Join(log.Trim(t.Context(), p, time.Now().Add(time.Hour)), log.Close()); err != nil {
		t.Fatal(err)
	}
	edit(t, fs, func(db *pebble.DB) error {
		value := append(make([]byte, 8), 1)
		return db.Set(pebblelog.EventKey(pebblelog.PartitionStart(nil, p), 0), value, pebble.Sync)
	})
	_, err = pebblelog.Open(pebblelog.Options{Dir: "dir", FS: fs})
	if err == nil || !strings.Contains(err.Error(), "h/events/3: events 1 to 2 are missing") {
		t.Errorf("Open: %v", err)
	}
}

func TestRead_namesWhatIsDamaged(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(db *pebble.DB, key []byte) error
		want   []string
	}{
		{"short", func(db *pebble.DB, key []byte) error {
			return db.Set(key, []byte("short"), pebble.Sync)
		}, []string{"h/events/3", "number 1", "5 bytes"}},
		{"version", func(db *pebble.DB, key []byte) error {
			return db.Set(key, make([]byte, 20), pebble.Sync)
		}, []string{"h/events/3", "number 1", "version 0"}},
		{"missing", func(db *pebble.DB, key []byte) error {
			return db.Delete(key, pebble.Sync)
		}, []string{"h/events/3", "1 to 1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			fs, p := fill(t, 3)
			edit(t, fs, func(db *pebble.DB) error {
				return test.change(db, pebblelog.EventKey(pebblelog.PartitionStart(nil, p), 1))
			})
			log := open(t, pebblelog.Options{Dir: "dir", FS: fs})
			next, err := log.Read(t.Context(), p, 0, 1<<20, func(hub.Record) bool { return true })
			if err == nil || next != 1 {
				t.Fatalf("Read: %d, %v", next, err)
			}
			for _, text := range test.want {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error does not say %q: %v", text, err)
				}
			}
		})
	}
}

// blocked is a file system whose next sync of the write-ahead log can be held.
type blocked struct {
	vfs.FS
	hold    atomic.Bool
	reached chan struct{}
	goOn    chan struct{}
}

func newBlocked(fs vfs.FS) *blocked {
	b := &blocked{reached: make(chan struct{}), goOn: make(chan struct{})}
	b.FS = errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if on(".log", errorfs.OpFileSync, errorfs.OpFileSyncData)(op) && b.hold.CompareAndSwap(true, false) {
			b.reached <- struct{}{}
			<-b.goOn
		}
		return nil
	}))
	return b
}

func TestI1_nothingIsVisibleBeforeTheSync(t *testing.T) {
	disk := newBlocked(vfs.NewMem())
	log := open(t, pebblelog.Options{Dir: "dir", FS: disk})
	p := hub.Partition{Hub: "h", Endpoint: hub.EndpointEvents}
	told := make(chan int, 1)
	disk.hold.Store(true)
	if err := log.Producer(p, func(n int, _ error) { told <- n }).Append(t.Context(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	<-disk.reached
	next, err := log.Read(t.Context(), p, 0, 100, func(hub.Record) bool { return true })
	b, boundsErr := log.Bounds(t.Context(), p)
	if err != nil || boundsErr != nil || next != 0 || b != (hub.Bounds{}) || len(told) > 0 {
		t.Errorf("before the sync: read up to %d, bounds %v, %d calls of done: %v, %v", next, b, len(told), err, boundsErr)
	}
	close(disk.goOn)
	if n := <-told; n != 1 {
		t.Errorf("done(%d)", n)
	}
	if next, err = log.Read(t.Context(), p, 0, 100, func(hub.Record) bool { return true }); err != nil || next != 1 {
		t.Errorf("after the sync: read up to %d, %v", next, err)
	}
}

func TestAppend_blocksWhileTooMuchHasGathered(t *testing.T) {
	disk := newBlocked(vfs.NewMem())
	log := open(t, pebblelog.Options{Dir: "dir", FS: disk, MaxGatheredBytes: 1000})
	p := hub.Partition{Hub: "h", Endpoint: hub.EndpointEvents}
	producer := log.Producer(p, nil)
	disk.hold.Store(true)
	if err := producer.Append(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	<-disk.reached
	if err := producer.Append(t.Context(), make([]byte, 1000)); err != nil { // fills the queue
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := producer.Append(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Append to a full queue: %v", err)
	}
	close(disk.goOn)
	if err := producer.Append(t.Context(), nil); err != nil {
		t.Errorf("Append when there is room again: %v", err)
	}
	if err := log.Wait(t.Context(), p, 2); err != nil {
		t.Error(err)
	}
}

// TestDrop_whileEventsGather drops a hub that has events on disk, in the running commit, and waiting for the next one,
// and makes it anew before any of it is done.
func TestDrop_whileEventsGather(t *testing.T) {
	mem := vfs.NewMem()
	disk := newBlocked(mem)
	log, err := pebblelog.Open(pebblelog.Options{Dir: "dir", FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	p := hub.Partition{Hub: "h", Endpoint: hub.EndpointEvents}
	var stored, failed atomic.Int64
	first := make(chan struct{}, 10)
	old := log.Producer(p, func(n int, err error) {
		if hubward.CodeOf(err) == hubward.CodeNoSuchHub {
			failed.Add(int64(n))
		} else {
			stored.Add(int64(n))
		}
		first <- struct{}{}
	})
	add := func(producer hub.Producer, data string) {
		t.Helper()
		if err := producer.Append(t.Context(), []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	add(old, "on disk")
	<-first
	disk.hold.Store(true)
	add(old, "in the running commit")
	<-disk.reached
	add(old, "waiting")
	dropped := make(chan error)
	go func() { dropped <- log.Drop(t.Context(), "h") }()
	waiting := int64(1)
	for old.Append(t.Context(), nil) == nil { // until Drop has begun
		waiting++
	}
	add(log.Producer(p, nil), "new")
	close(disk.goOn)
	if err := <-dropped; err != nil {
		t.Errorf("Drop: %v", err)
	}
	if err := log.Wait(t.Context(), p, 0); err != nil {
		t.Error(err)
	}
	if stored.Load() != 1 || failed.Load() != waiting+1 {
		t.Errorf("the old producer was told of %d stored and %d failed events, want 1 and %d",
			stored.Load(), failed.Load(), waiting+1)
	}
	for _, when := range []string{"before", "after"} {
		var got []string
		_, err := log.Read(t.Context(), p, 0, 1<<20, func(r hub.Record) bool {
			got = append(got, fmt.Sprint(r.SequenceNumber, " ", string(r.Data)))
			return true
		})
		if err != nil || len(got) != 1 || got[0] != "0 new" {
			t.Errorf("%s reopening the new hub holds %q, %v", when, got, err)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		if when == "before" {
			log = open(t, pebblelog.Options{Dir: "dir", FS: mem})
		}
	}
}

func TestMetrics_countCommittedEvents(t *testing.T) {
	log := open(t, pebblelog.Options{Dir: "dir", FS: vfs.NewMem()})
	p := hub.Partition{Hub: "h", Endpoint: hub.EndpointEvents}
	producer := log.Producer(p, nil)
	for range 10 {
		if err := producer.Append(t.Context(), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(log.Wait(t.Context(), p, 9), log.Ping(t.Context())); err != nil {
		t.Fatal(err)
	}
	if m := log.Metrics(); m.Events != 10 || m.Commits < 1 || m.Commits > 10 || m.DiskBytes == 0 {
		t.Errorf("%+v", m)
	}
}

func TestOpen_keepsFilesPrivate(t *testing.T) {
	defer permissive()()
	dir := filepath.Join(t.TempDir(), "data", "log")
	log := open(t, pebblelog.Options{Dir: dir})
	l := &load{t: t, log: log, size: 64 << 10, max: 200} // enough for tables
	l.start()
	l.running.Wait()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	tables := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if filepath.Ext(path) == ".sst" {
			tables++
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", d.Name(), info.Mode())
		}
		return nil
	})
	if err != nil || tables == 0 {
		t.Errorf("%d tables, %v", tables, err)
	}
}
