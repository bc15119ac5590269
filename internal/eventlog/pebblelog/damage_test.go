package pebblelog_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hubward/hubward/internal/eventlog/pebblelog"
	"github.com/hubward/hubward/internal/hub"
)

// damagedLog has 400 events in each of two partitions, of which one has a damaged byte in its largest table.
func damagedLog(t *testing.T, log io.Writer, now func() time.Time) *pebblelog.Log {
	t.Helper()
	fs := vfs.NewMem()
	l := &load{t: t, log: open(t, pebblelog.Options{Dir: "dir", FS: fs, Now: now}), size: 1000, max: 400}
	l.start()
	l.running.Wait()
	if err := l.log.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, pebblelog.Options{Dir: "dir", FS: fs, Now: now}).Close(); err != nil { // the write-ahead log becomes tables
		t.Fatal(err)
	}
	damageLargestTable(t, fs)
	return open(t, pebblelog.Options{Dir: "dir", FS: fs, Now: now, Logger: slog.New(slog.NewTextHandler(log, nil))})
}

// damageLargestTable changes a byte in the middle.
func damageLargestTable(t *testing.T, fs vfs.FS) {
	t.Helper()
	names, err := fs.List("dir")
	if err != nil {
		t.Fatal(err)
	}
	largest, size := "", int64(0)
	for _, name := range names {
		info, err := fs.Stat(fs.PathJoin("dir", name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".sst") && info.Size() > size {
			largest, size = fs.PathJoin("dir", name), info.Size()
		}
	}
	f, err := fs.OpenReadWrite(largest, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, size/2); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0xff
	if _, err := f.WriteAt(b, size/2); err != nil {
		t.Fatal(err)
	}
}

// readAll returns how many events of a partition can be read, from the oldest on.
func readAll(t *testing.T, log *pebblelog.Log, p hub.Partition) (n int64, err error) {
	t.Helper()
	b, err := log.Bounds(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	next, err := log.Read(t.Context(), p, 0, 1<<30, func(hub.Record) bool {
		n++
		return true
	})
	if next != b.First+n {
		t.Errorf("read %d events from %d on, to go on from %d", n, b.First, next)
	}
	return n, err
}

func TestDamage_readersAreTold(t *testing.T) {
	var text bytes.Buffer
	log := damagedLog(t, &text, nil)
	var damaged []hub.Partition
	for range 3 {
		damaged = damaged[:0]
		for id := range 2 {
			p := hub.Partition{Hub: "h", Endpoint: hub.EndpointEvents, ID: id}
			n, err := readAll(t, log, p)
			var damage *hub.DamageError
			switch {
			case err == nil && n == 400:
			case errors.As(err, &damage) && damage.Partition == p && damage.Sequence == n && n > 0 && n < 400:
				damaged = append(damaged, p)
			default:
				t.Errorf("%v: %d events, then %v", p, n, err)
			}
		}
	}
	found := log.Damage()
	if len(damaged) != 1 || len(found) != 1 || found[0].Partition != damaged[0] || log.Metrics().Damaged != 1 {
		t.Fatalf("readers met damage in %v, the log knows of %v", damaged, found)
	}
	if err := log.Ping(t.Context()); err != nil {
		t.Errorf("the log takes no events: %v", err)
	}
	if err := log.Close(); err != nil {
		t.Error(err)
	}
	if got := text.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, damaged[0].String()) || !strings.Contains(got, ".sst") || strings.Contains(got, "stack") {
		t.Errorf("logged:\n%s", got)
	}
}

// Retention deletes what is damaged, too, and then there is no damage.
func TestDamage_isTrimmed(t *testing.T) {
	now := time.Unix(1000, 0)
	clock := func() time.Time {
		now = now.Add(10 * time.Millisecond) // producers take turns under the log's lock, or wait for each other
		return now
	}
	log := damagedLog(t, io.Discard, locked(clock))
	for id := range 2 {
		if _, err := readAll(t, log, hub.Partition{Hub: "h", Endpoint: hub.EndpointEvents, ID: id}); err == nil {
			continue
		}
		p := log.Damage()[0].Partition
		b, err := log.Bounds(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Trim(t.Context(), p, b.LastEnqueued); err != nil {
			t.Fatal(err)
		}
		if n, err := readAll(t, log, p); n != 1 || err != nil {
			t.Errorf("behind the damage: %d events, %v", n, err)
		}
		if len(log.Damage()) != 1 {
			t.Error("the damaged table is forgotten while one of its events is there")
		}
		if err := log.Trim(t.Context(), p, b.LastEnqueued.Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	if found := log.Damage(); len(found) > 0 {
		t.Errorf("after retention: %v", found)
	}
}

func TestDamage_goesWithItsHub(t *testing.T) {
	log := damagedLog(t, io.Discard, nil)
	for id := range 2 {
		readAll(t, log, hub.Partition{Hub: "h", Endpoint: hub.EndpointEvents, ID: id})
	}
	if len(log.Damage()) != 1 {
		t.Fatal("no damage was found")
	}
	if err := log.Drop(t.Context(), "h"); err != nil {
		t.Fatal(err)
	}
	if found := log.Damage(); len(found) > 0 {
		t.Errorf("of a hub that is gone: %v", found)
	}
}

// locked makes a function safe for concurrent use.
func locked(f func() time.Time) func() time.Time {
	one := make(chan struct{}, 1)
	return func() time.Time {
		one <- struct{}{}
		defer func() { <-one }()
		return f()
	}
}
