package sqlstore_test

import (
	"database/sql"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

// TestOpen_byManyAtOnce: one of them brings the schema up to date, and all can go on.
func TestOpen_byManyAtOnce(t *testing.T) {
	script, err := os.ReadFile("testdata/sqlite/0001.sql")
	if err != nil {
		t.Fatal(err)
	}
	path := file(t.TempDir())
	sqlstore.CreateAt(t, path, 1, string(script))
	stores := make([]*sqlstore.Store, 6)
	var wg sync.WaitGroup
	for i := range stores {
		wg.Go(func() {
			s, err := sqlstore.Open(t.Context(), sqlstore.Options{Path: path})
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Ping(t.Context()); err != nil {
				t.Error(err)
			}
			stores[i] = s
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	wantOldContent(t, stores[0])
	for _, s := range stores {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestWriter_manyBesideMany: two busy stores on one file get on, and nobody is told of it.
func TestWriter_manyBesideMany(t *testing.T) {
	path := file(t.TempDir())
	stores := []*sqlstore.Store{withHub(t, path), open(t, path)}
	const callers, writes = 100, 10 // at each
	var wg sync.WaitGroup
	for at, s := range stores {
		for c := range callers {
			wg.Go(func() {
				for i := range writes {
					if err := s.EditIdentities(t.Context(), "h", []*hub.IdentityEdit{put(fmt.Sprintf("%d-%d-%d", at, c, i))}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	n, err := stores[0].DeviceStatistics(t.Context(), "h")
	if want := 1 + len(stores)*callers*writes; err != nil || n.TotalDeviceCount != want {
		t.Errorf("%d devices, %v, want %d", n.TotalDeviceCount, err, want)
	}
}

// TestWriter_waitsForAnother: a writer waits while another one has the file, but not for ever; then nothing of what waited
// is stored, and later writes are made.
func TestWriter_waitsForAnother(t *testing.T) {
	path := file(t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		s, other := withHub(t, path), open(t, path)
		write := func(id string) error { return s.EditIdentities(t.Context(), "h", []*hub.IdentityEdit{put(id)}) }

		release := hold(t, other)
		began := time.Now()
		if err := write("late"); hubward.CodeOf(err) != hubward.CodeServerError || !strings.Contains(err.Error(), "locked") {
			t.Errorf("a write whose patience ended: %v", err)
		}
		if waited := time.Since(began); waited < 30*time.Second || waited > 31*time.Second {
			t.Errorf("it waited %v", waited)
		}
		time.AfterFunc(29*time.Second, release)
		if err := write("in time"); err != nil {
			t.Errorf("a write that waited for 29 s: %v", err)
		}
		if err := write("later"); err != nil {
			t.Error(err)
		}
		if got := ids(t, s); !slices.Equal(got, []string{"d", "in time", "later"}) {
			t.Errorf("devices %v", got)
		}
	})
}

// busy returns the engine's error of a writer that does not wait for another.
func busy(t *testing.T) error {
	t.Helper()
	path := file(t.TempDir())
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	first, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Rollback()
	if _, err = db.Begin(); err == nil {
		t.Fatal("two transactions write at once")
	}
	return err
}

// TestWriter_conflictRunsAllAgain: a job that another writer was in the way of, which engines with row locks can tell in
// the middle of a transaction, runs again with the whole group; each counts once.
func TestWriter_conflictRunsAllAgain(t *testing.T) {
	path := file(t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		s := withHub(t, path)
		conflict := busy(t)
		release := hold(t, s)
		var wg sync.WaitGroup
		runs := make([]int, 6)
		for i := range runs {
			wg.Go(func() {
				e := edit("d", func(old *hub.Registration) (*hub.Registration, error) {
					runs[i]++
					old.ETag += "x"
					return old, nil
				})
				if err := s.EditIdentities(t.Context(), "h", []*hub.IdentityEdit{e}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		met := 0
		wg.Go(func() {
			err := s.EditNotification(t.Context(), "h", hub.NotificationFeedback, "t", func(*hub.Notification) (*hub.Notification, error) {
				if met++; met < 3 {
					return nil, conflict
				}
				return nil, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		release()
		wg.Wait()
		if !slices.Equal(runs, []int{3, 3, 3, 3, 3, 3}) || met != 3 {
			t.Errorf("jobs ran %v times beside one that ran %d times", runs, met)
		}
		if d, err := s.Identity(t.Context(), "h", dev("d")); err != nil || d.ETag != "xxxxxx" {
			t.Errorf("etag %q, %v, want each edit once", d.ETag, err)
		}
	})
}
