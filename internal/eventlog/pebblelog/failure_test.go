package pebblelog_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/eventlog/pebblelog"
	"github.com/hubward/hubward/internal/hub"
)

var errDisk = errors.New("the disk is on fire")

// faulty is a file system whose operations fail once it is armed.
type faulty struct {
	armed atomic.Bool
	fails func(op errorfs.Op) bool
}

func (f *faulty) wrap(fs vfs.FS) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if f.armed.Load() && f.fails(op) {
			return errDisk
		}
		return nil
	}))
}

func on(suffix string, kinds ...errorfs.OpKind) func(errorfs.Op) bool {
	return func(op errorfs.Op) bool {
		for _, kind := range kinds {
			if op.Kind == kind && strings.HasSuffix(op.Path, suffix) {
				return true
			}
		}
		return false
	}
}

func manifest(op errorfs.Op) bool {
	return strings.Contains(op.Path, "MANIFEST") && op.Kind.ReadOrWrite() == errorfs.OpIsWrite
}

// load appends events to two partitions, as fast as it can, until a producer is refused.
type load struct {
	t         *testing.T
	log       *pebblelog.Log
	size      int // of each event
	max       int // events of each producer; 0: no limit
	acked     [2]atomic.Int64
	failed    [2]atomic.Int64
	appended  [2]atomic.Int64
	lastError [2]error
	running   sync.WaitGroup
}

// payload returns the n-th event of a partition.
func (l *load) payload(id int, n int64) []byte {
	data := fmt.Appendf(make([]byte, 0, l.size), "%d %d ", id, n)
	return append(data, bytes.Repeat(data, l.size/len(data))...)[:l.size]
}

func (l *load) start() {
	for id := range l.acked {
		producer := l.log.Producer(hub.Partition{Hub: "h", Endpoint: hub.EndpointEvents, ID: id}, func(n int, err error) {
			if err != nil {
				l.failed[id].Add(int64(n))
				return
			}
			if l.failed[id].Load() > 0 {
				l.t.Errorf("partition %d: success after failure", id)
			}
			l.acked[id].Add(int64(n))
		})
		l.running.Go(func() {
			for n := int64(0); l.lastError[id] == nil && (l.max == 0 || n < int64(l.max)); n++ {
				l.appended[id].Add(1)
				l.lastError[id] = producer.Append(l.t.Context(), l.payload(id, n))
			}
		})
	}
}

// untilAcked returns when some events of each partition are durable.
func (l *load) untilAcked(n int64) {
	for id := range l.acked {
		if err := l.log.Wait(l.t.Context(), hub.Partition{Hub: "h", Endpoint: hub.EndpointEvents, ID: id}, n); err != nil {
			l.t.Fatal(err)
		}
	}
}

// check reads what is in log: at least what was acknowledged and not trimmed, all of it as it was appended, without a
// gap.
func (l *load) check(what string, log *pebblelog.Log, acked [2]int64) {
	l.t.Helper()
	for id := range l.acked {
		p := hub.Partition{Hub: "h", Endpoint: hub.EndpointEvents, ID: id}
		b, err := log.Bounds(l.t.Context(), p)
		if err != nil {
			l.t.Fatal(err)
		}
		next := b.First
		_, err = log.Read(l.t.Context(), p, 0, 1<<40, func(r hub.Record) bool {
			if r.SequenceNumber != next || !bytes.Equal(r.Data, l.payload(id, next)) {
				l.t.Errorf("%s: partition %d: event %d is not as appended, want %d", what, id, r.SequenceNumber, next)
				return false
			}
			next++
			return true
		})
		if err != nil || next < acked[id] || next > l.appended[id].Load() || next != b.Next {
			l.t.Errorf("%s: partition %d holds events up to %d, bounds %v; %d were acknowledged, %d appended: %v",
				what, id, next, b, acked[id], l.appended[id].Load(), err)
		}
	}
}

func TestFailingDisk(t *testing.T) {
	const log = ".log"
	const table = ".sst"
	for _, test := range []struct {
		name  string
		fails func(errorfs.Op) bool
	}{
		{"walSync", on(log, errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo)},
		{"walWrite", on(log, errorfs.OpFileWrite)},
		{"walRotation", on(log, errorfs.OpCreate, errorfs.OpReuseForWrite)},
		{"folderSync", on("dir", errorfs.OpFileSync)},
		{"tableCreate", on(table, errorfs.OpCreate)},
		{"tableWrite", on(table, errorfs.OpFileWrite)},
		{"tableSync", on(table, errorfs.OpFileSync, errorfs.OpFileSyncData)},
		{"manifest", manifest},
		{"everything", func(op errorfs.Op) bool { return op.Kind.ReadOrWrite() == errorfs.OpIsWrite }},
	} {
		t.Run(test.name, func(t *testing.T) { failingDisk(t, &faulty{fails: test.fails}) })
	}
}

func failingDisk(t *testing.T, disk *faulty) {
	mem := vfs.NewCrashableMem()
	log, err := pebblelog.Open(pebblelog.Options{Dir: "dir", FS: disk.wrap(mem), MaxGatheredBytes: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	l := &load{t: t, log: log, size: 8 << 10}
	l.start()
	l.untilAcked(100)
	disk.armed.Store(true)
	l.running.Wait() // each producer ends when it is refused
	for _, err := range l.lastError {
		if hubward.CodeOf(err) != hubward.CodeServiceUnavailable || !errors.Is(err, errDisk) {
			t.Errorf("Append to a failed log: %v", err)
		}
	}
	<-log.Failed()
	if err := log.Ping(t.Context()); !errors.Is(err, errDisk) {
		t.Errorf("Ping: %v", err)
	}
	if err := log.Drop(t.Context(), "h"); !errors.Is(err, errDisk) {
		t.Errorf("Drop: %v", err)
	}
	acked := [2]int64{l.acked[0].Load(), l.acked[1].Load()}
	l.check("failed log", log, acked)
	if err := log.Close(); !errors.Is(err, errDisk) {
		t.Errorf("Close: %v", err)
	}
	for id := range l.acked {
		l.appended[id].Add(-1) // the last one was refused
		if got, want := l.acked[id].Load()+l.failed[id].Load(), l.appended[id].Load(); got != want {
			t.Errorf("partition %d: done accounted for %d events of %d", id, got, want)
		}
	}
	acked = [2]int64{l.acked[0].Load(), l.acked[1].Load()}
	crashed := mem.CrashClone(vfs.CrashCloneCfg{})
	l.check("after a crash", open(t, pebblelog.Options{Dir: "dir", FS: crashed}), acked)
	l.check("opened in place", open(t, pebblelog.Options{Dir: "dir", FS: mem}), acked)
}

// TestCrash takes what would be on disk after a crash at many moments of a running load, with trims in between.
func TestCrash(t *testing.T) {
	const events = 4000
	mem := vfs.NewCrashableMem()
	log := open(t, pebblelog.Options{Dir: "dir", FS: mem, MaxGatheredBytes: 32 << 10}) // many small commits
	l := &load{t: t, log: log, size: 2 << 10, max: events}
	random := rand.New(rand.NewPCG(5, 6))
	type crash struct {
		acked [2]int64
		fs    *vfs.MemFS
	}
	var crashes []crash
	l.start()
	for at := int64(0); at < events; at += random.Int64N(events / 10) {
		l.untilAcked(at)
		if len(crashes)%3 == 2 {
			p := hub.Partition{Hub: "h", Endpoint: hub.EndpointEvents, ID: len(crashes) % 2}
			if err := log.Trim(t.Context(), p, time.Now().Add(-5*time.Millisecond)); err != nil {
				t.Fatal(err)
			}
		}
		c := crash{acked: [2]int64{l.acked[0].Load(), l.acked[1].Load()}}
		c.fs = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: random.IntN(3) * 50, RNG: random})
		crashes = append(crashes, c)
	}
	l.running.Wait()
	for i, c := range crashes {
		l.checkCrash(fmt.Sprintf("crash %d", i), c.fs, c.acked)
	}
}

// checkCrash opens what a crash left, and appends to it: new numbers must follow on the old ones.
func (l *load) checkCrash(what string, fs vfs.FS, acked [2]int64) {
	log, err := pebblelog.Open(pebblelog.Options{Dir: "dir", FS: fs})
	if err != nil {
		l.t.Fatalf("%s: %v", what, err)
	}
	l.check(what, log, acked)
	for id := range l.acked {
		p := hub.Partition{Hub: "h", Endpoint: hub.EndpointEvents, ID: id}
		before, err := log.Bounds(l.t.Context(), p)
		if err != nil {
			l.t.Fatal(err)
		}
		if err := log.Producer(p, nil).Append(l.t.Context(), []byte("new")); err != nil {
			l.t.Errorf("%s: Append: %v", what, err)
		}
		if err := log.Wait(l.t.Context(), p, before.Next); err != nil {
			l.t.Fatal(err)
		}
		next, err := log.Read(l.t.Context(), p, before.Next, 1<<20, func(r hub.Record) bool {
			if string(r.Data) != "new" || r.SequenceNumber != before.Next {
				l.t.Errorf("%s: event %d is not the new one", what, r.SequenceNumber)
			}
			return true
		})
		if err != nil || next != before.Next+1 {
			l.t.Errorf("%s: read up to %d from %d: %v", what, next, before.Next, err)
		}
	}
	if err := log.Close(); err != nil {
		l.t.Errorf("%s: Close: %v", what, err)
	}
}

// TestOpen_failingDisk lets the disk fail from some write on that opening a folder makes, when a crash has left much in the
// write-ahead log: Open says so, and what was acknowledged is there once the disk is mended.
func TestOpen_failingDisk(t *testing.T) {
	const events = 150 // of each partition: some memory tables full
	mem := vfs.NewCrashableMem()
	log := open(t, pebblelog.Options{Dir: "dir", FS: mem})
	l := &load{t: t, log: log, size: 8 << 10, max: events}
	l.start()
	l.running.Wait()
	l.untilAcked(events - 1)
	for n, failed := 1, true; failed; n += 1 + n/8 {
		fs := mem.CrashClone(vfs.CrashCloneCfg{})
		var count atomic.Int64
		disk := errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && count.Add(1) >= int64(n) {
				return errDisk
			}
			return nil
		}))
		again, err := pebblelog.Open(pebblelog.Options{Dir: "dir", FS: disk})
		if err == nil {
			err = again.Close()
		}
		if failed = count.Load() >= int64(n); failed && !errors.Is(err, errDisk) {
			t.Errorf("the disk fails from write %d on: %v", n, err)
		}
		if !failed && (err != nil || n < 50) {
			t.Errorf("opening made %d writes: %v", count.Load(), err)
		}
		l.check(fmt.Sprintf("mended after write %d", n), open(t, pebblelog.Options{Dir: "dir", FS: fs}), [2]int64{events, events})
	}
}
