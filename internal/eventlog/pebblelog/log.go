package pebblelog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/eventlog/groupcommit"
	"github.com/hubward/hubward/internal/hub"
)

var _ hub.EventLog = (*Log)(nil)

// Log is an open event log. Open makes it; it is safe for concurrent use.
type Log struct {
	// Set by Open, never changed after.
	opts  Options
	guard *guard
	lock  *pebble.Lock
	db    *pebble.DB
	group *groupcommit.Log[state]

	// Touched only by the committer.
	batch *pebble.Batch
	taken []*op // belong to the round that is being committed

	pressed atomic.Bool   // flushes or compactions happened: the committer looks at Pebble before its next commit
	relief  chan struct{} // tells a committer that waits for Pebble to look again; capacity 1
	frozen  chan struct{} // closed when the log has failed
	isNew   bool          // Open has made it; set by Open
	count   counters
	damages damages

	readers sync.WaitGroup // calls that hold Pebble iterators; added under mu while the log is open

	mu     sync.Mutex // a leaf; guards the fields below, group, and the state of partitions
	ops    []*op      // wait for the next round
	chunks chunkPool

	closeOnce sync.Once
	closeErr  error
}

// Open opens the log in a folder, or makes one. Errors: a folder that another process has open, one whose format is
// newer than this program, one that is damaged, I/O.
func Open(o Options) (*Log, error) {
	o = o.withDefaults()
	if o.Dir == "" {
		return nil, errors.New("pebblelog: no folder given")
	}
	o.Dir = o.FS.PathJoin(o.Dir) // as Pebble writes it in the names of its files
	l := &Log{opts: o, relief: make(chan struct{}, 1), frozen: make(chan struct{})}
	l.group = groupcommit.New(&l.mu, groupcommit.Engine[state]{
		Now: o.Now, MaxBytes: o.MaxGatheredBytes, Overhead: eventOverhead,
		NewState: newState, Refusal: l.refusal,
		Add: l.addLocked, Take: l.takeLocked, Commit: l.commit, Publish: l.publishLocked,
	})
	l.chunks.maxBytes = o.MaxGatheredBytes
	l.guard = newGuard(o.FS, o.Dir, l.failed)
	if err := l.openPebble(); err != nil {
		return nil, fmt.Errorf("event log %s: %w", o.Dir, err)
	}
	if err := l.recover(); err != nil {
		return nil, fmt.Errorf("event log %s: %w", o.Dir, errors.Join(err, l.closePebble()))
	}
	l.guard.park()
	if err := l.guard.failure(); err != nil { // meanwhile
		return nil, fmt.Errorf("event log %s: %w", o.Dir, errors.Join(err, l.closePebble()))
	}
	l.batch = l.db.NewBatch(pebble.WithMaxRetainedSizeBytes(o.MaxGatheredBytes))
	l.group.Start()
	return l, nil
}

func (l *Log) openPebble() error {
	o := l.opts
	if err := o.FS.MkdirAll(o.Dir, 0o700); err != nil {
		return err
	}
	lock, err := pebble.LockDirectory(o.Dir, l.guard)
	if err != nil {
		return fmt.Errorf("cannot lock the folder, is another process using it? %w", err)
	}
	l.lock = lock
	l.db, err = pebble.Open(o.Dir, o.pebbleOptions(l.guard, l, lock))
	if err != nil {
		return errors.Join(err, lock.Close())
	}
	if err := l.guard.failure(); err != nil { // Pebble was told that its writes succeeded
		return errors.Join(err, l.closePebble())
	}
	return nil
}

func (l *Log) closePebble() error {
	return errors.Join(l.db.Close(), l.lock.Close())
}

// recover checks the folder's format and finds its partitions.
func (l *Log) recover() error {
	if err := l.checkFormat(); err != nil {
		return err
	}
	if err := l.loadStart(); err != nil {
		return err
	}
	if err := l.scan(); err != nil {
		return err
	}
	return l.guard.failure() // Pebble was told that its writes succeeded
}

// checkFormat refuses a folder of an unknown format. A new folder, and one of an older format, gets the newest one.
func (l *Log) checkFormat() error {
	version, err := l.format()
	l.isNew = err == nil && version == 0
	switch {
	case err != nil:
		return err
	case version == formatVersion:
		return nil
	case version > formatVersion:
		return fmt.Errorf("it has format version %d, this program knows version %d: use the program that wrote it, or a newer one",
			version, formatVersion)
	}
	return l.db.Set(formatKey, binary.BigEndian.AppendUint32(nil, formatVersion), pebble.Sync)
}

// format returns the folder's format version, 0 for a new folder.
func (l *Log) format() (uint32, error) {
	value, closer, err := l.db.Get(formatKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, plain(err)
	}
	defer closer.Close()
	if len(value) != 4 || binary.BigEndian.Uint32(value) == 0 {
		return 0, errors.New("its format version cannot be read")
	}
	return binary.BigEndian.Uint32(value), nil
}

// Close commits what has gathered, waits for reads to end, and closes the folder. Its error is the log's failure if it
// has failed. It may be called more than once.
func (l *Log) Close() error {
	l.closeOnce.Do(func() { l.closeErr = l.close() })
	return l.closeErr
}

func (l *Log) close() error {
	l.group.Close()
	l.readers.Wait()
	l.guard.release()
	err := l.batch.Close()
	err = errors.Join(err, l.closePebble())
	if cause := l.guard.failure(); cause != nil {
		err = cause
	}
	if err != nil {
		return fmt.Errorf("event log %s: %w", l.opts.Dir, err)
	}
	return nil
}

// Ping implements hub.EventLog.
func (l *Log) Ping(ctx context.Context) error {
	value := binary.BigEndian.AppendUint64(nil, uint64(l.opts.Now().UnixMilli()))
	l.mu.Lock()
	if err := l.group.RefusalLocked(); err != nil {
		l.mu.Unlock()
		return err
	}
	op := l.addOpLocked(func(b *pebble.Batch) error { return b.Set(probeKey, value, nil) })
	l.mu.Unlock()
	return op.wait(ctx)
}

// Hubs implements hub.EventLog.
func (l *Log) Hubs(ctx context.Context) ([]string, error) { return l.group.Hubs(ctx) }

// Failed implements hub.EventLog.
func (l *Log) Failed() <-chan struct{} { return l.frozen }

// Producer implements hub.EventLog. After a failure of the log its Append returns CodeServiceUnavailable.
func (l *Log) Producer(p hub.Partition, done func(n int, err error)) hub.Producer {
	return l.group.Producer(p, done)
}

// Bounds implements hub.EventLog.
func (l *Log) Bounds(ctx context.Context, p hub.Partition) (hub.Bounds, error) {
	return l.group.Bounds(ctx, p)
}

// Wait implements hub.EventLog.
func (l *Log) Wait(ctx context.Context, p hub.Partition, from int64) error {
	return l.group.Wait(ctx, p, from)
}

// refusal says that the log has failed; nil when it has not.
func (l *Log) refusal() error {
	cause := l.guard.failure()
	if cause == nil {
		return nil
	}
	return &hubward.Error{
		Code: hubward.CodeServiceUnavailable, Op: "pebblelog", Message: "the event log has failed", Err: cause,
	}
}

// op is a write other than an event. It shares the commit of the events that gathered with it, and lies before them in
// the batch.
type op struct {
	write func(*pebble.Batch) error
	done  chan error // capacity 1; gets the outcome
}

func (l *Log) addOpLocked(write func(*pebble.Batch) error) *op {
	o := &op{write: write, done: make(chan error, 1)}
	l.ops = append(l.ops, o)
	l.group.RequestLocked()
	return o
}

// wait waits for the outcome. When ctx ends first, the op may still happen.
func (o *op) wait(ctx context.Context) error {
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// failed is called once, when the guard sees the first failing write.
func (l *Log) failed(cause error) {
	l.opts.Logger.Error("event log failed: it takes no more events until restart", "dir", l.opts.Dir, "error", cause)
	close(l.frozen)
	l.relieve()
}

// Metrics are counters of a log since it was opened.
type Metrics struct {
	Commits   uint64 // shared commits that held events
	Events    uint64 // events committed
	DiskBytes uint64 // on disk now, tables and write-ahead log; zero: not known, because the log has failed
	Damaged   int    // partitions that are known to be damaged
}

type counters struct {
	commits, events atomic.Uint64
}

// Metrics reads the counters. It costs some microseconds.
func (l *Log) Metrics() Metrics {
	m := Metrics{
		Commits: l.count.commits.Load(),
		Events:  l.count.events.Load(),
		Damaged: len(l.Damage()),
	}
	l.mu.Lock()
	open := l.group.RefusalLocked() == nil
	if open {
		l.readers.Add(1)
	}
	l.mu.Unlock()
	if open {
		m.DiskBytes = l.db.Metrics().DiskSpaceUsage()
		l.readers.Done()
	}
	return m
}
