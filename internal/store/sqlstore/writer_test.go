package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/twindoc"
	"github.com/hubward/hubward/internal/store/sqlstore"
	"github.com/hubward/hubward/internal/storetest"
)

// hold keeps the writer busy until release is called, which waits for it.
func hold(t *testing.T, s *sqlstore.Store) (release func()) {
	t.Helper()
	started, free := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		e := edit("held", func(old *hub.Registration) (*hub.Registration, error) {
			close(started)
			<-free
			return old, nil
		})
		if err := s.EditIdentities(context.Background(), "h", []*hub.IdentityEdit{e}); err != nil {
			t.Errorf("the held write: %v", err)
		}
	})
	<-started
	return func() {
		close(free)
		wg.Wait()
	}
}

func ids(t *testing.T, s *sqlstore.Store) []string {
	t.Helper()
	list, err := s.Devices(context.Background(), "h", "", 10_000)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, d := range list {
		ids = append(ids, d.DeviceID)
	}
	return ids
}

func TestWriter_groupsAreBounded(t *testing.T) {
	n := 3 * sqlstore.GroupLimit // a third of them left
	if got, want := sqlstore.Gather(n), []int{sqlstore.GroupLimit, sqlstore.GroupLimit}; !slices.Equal(got, want) {
		t.Errorf("groups of %v, want %v", got, want)
	}
	if got, want := sqlstore.Gather(2), []int{2}; !slices.Equal(got, want) {
		t.Errorf("groups of %v, want %v", got, want)
	}
}

// TestWriter_callerLeaves: a caller may leave the queue, and its write is not made; one whose write has begun waits.
func TestWriter_callerLeaves(t *testing.T) {
	path := file(t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		s := withHub(t, path)
		release := hold(t, s)
		queued, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.EditIdentities(queued, "h", []*hub.IdentityEdit{put("left")}); !errors.Is(err, context.Canceled) {
				t.Errorf("the caller that left: %v", err)
			}
		})
		synctest.Wait()
		leave()
		wg.Wait()
		release()

		begun, leave := context.WithCancel(t.Context())
		e := edit("begun", func(*hub.Registration) (*hub.Registration, error) {
			leave()
			return registration("begun"), nil
		})
		if err := s.EditIdentities(begun, "h", []*hub.IdentityEdit{e}); err != nil {
			t.Errorf("the caller whose write had begun: %v", err)
		}
		if got := ids(t, s); !slices.Equal(got, []string{"begun", "d"}) {
			t.Errorf("devices %v", got)
		}
	})
}

// TestWriter_fullQueueBlocks: the queue is bounded, and waiting for a place in it ends with the caller's context.
func TestWriter_fullQueueBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := withHub(t, file(t.TempDir()))
		release := hold(t, s)
		var wg sync.WaitGroup
		for i := range sqlstore.QueueLimit {
			wg.Go(func() {
				if err := s.EditIdentities(t.Context(), "h", []*hub.IdentityEdit{put(fmt.Sprintf("d%d", i))}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		ctx, leave := context.WithCancel(t.Context())
		wg.Go(func() {
			if err := s.EditIdentities(ctx, "h", []*hub.IdentityEdit{put("left")}); !errors.Is(err, context.Canceled) {
				t.Errorf("the caller before a full queue: %v", err)
			}
		})
		synctest.Wait()
		leave()
		synctest.Wait()
		release()
		wg.Wait()
		if got := ids(t, s); len(got) != sqlstore.QueueLimit+1 || slices.Contains(got, "left") {
			t.Errorf("%d devices, want %d without the one that left", len(got), sqlstore.QueueLimit+1)
		}
	})
}

// TestEditReported_fullQueue: reported properties do not wait for a place in the queue, and get theirs, unless their caller has left.
func TestEditReported_fullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := withHub(t, file(t.TempDir()))
		release := hold(t, s)
		ctx, leave := context.WithCancel(t.Context())
		var stored, left int
		report := func(ctx context.Context) {
			e := &hub.ReportedEdit{ID: dev("d"), Edit: func(_ int64, old twindoc.Section) (twindoc.Section, []hub.HubEvent, error) {
				old.Version++
				return old, nil, nil
			}}
			s.EditReported(ctx, "h", []*hub.ReportedEdit{e}, func(err error) {
				switch {
				case errors.Is(err, context.Canceled):
					left++
				case err != nil || e.Err != nil:
					t.Error(err, e.Err)
				default:
					stored++
				}
			})
		}
		for range sqlstore.QueueLimit + 1 {
			report(t.Context())
		}
		report(ctx)
		synctest.Wait()
		leave()
		synctest.Wait()
		if stored != 0 || left != 1 {
			t.Errorf("while the queue is full, %d were stored and %d have left", stored, left)
		}
		release()
		synctest.Wait()
		if r, err := s.Twin(t.Context(), "h", dev("d")); err != nil || stored != sqlstore.QueueLimit+1 || r.Twin.Reported.Version != int64(1+stored) {
			t.Errorf("%d were stored, %+v, %v", stored, r, err)
		}
	})
}

// TestWriter_failuresInAGroup: a job that fails, by an error of the engine or a panic, takes no other with it.
func TestWriter_failuresInAGroup(t *testing.T) {
	path := file(t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		s := withHub(t, path)
		release := hold(t, s)
		errs := make([]error, 30)
		var wg sync.WaitGroup
		for i := range errs {
			edits := []*hub.IdentityEdit{put(fmt.Sprintf("first%02d", i)), put(fmt.Sprintf("second%02d", i))}
			hubName := "h"
			switch i % 3 {
			case 1:
				hubName = "nowhere"
			case 2:
				edits[1] = edit(edits[1].ID.Device, func(*hub.Registration) (*hub.Registration, error) { panic(fmt.Sprintf("job second%02d", i)) })
			}
			wg.Go(func() { errs[i] = s.EditIdentities(t.Context(), hubName, edits) })
		}
		synctest.Wait()
		release()
		wg.Wait()
		want := []string{"d"}
		for i, err := range errs {
			switch i % 3 {
			case 0:
				want = append(want, fmt.Sprintf("first%02d", i), fmt.Sprintf("second%02d", i))
				if err != nil {
					t.Errorf("job %d: %v", i, err)
				}
			case 1:
				if hubward.CodeOf(err) != hubward.CodeHubNotFound {
					t.Errorf("job %d: %v, want CodeHubNotFound", i, err)
				}
			case 2:
				if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("second%02d", i)) {
					t.Errorf("job %d: %v, want its own panic", i, err)
				}
			}
		}
		slices.Sort(want)
		if got := ids(t, s); !slices.Equal(got, want) {
			t.Errorf("devices %v, want %v", got, want)
		}
	})
}

// TestWriter_oneStatementFails: a job that was thought not to need a savepoint, and fails, costs the others their transaction;
// they run again, and count once.
func TestWriter_oneStatementFails(t *testing.T) {
	path := file(t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		s := withHub(t, path)
		report := func(id string, change func(*twindoc.Section)) error {
			e := &hub.ReportedEdit{ID: dev(id), Edit: func(_ int64, old twindoc.Section) (twindoc.Section, []hub.HubEvent, error) {
				old.Version++
				change(&old)
				return old, []hub.HubEvent{{Identity: dev(id), ID: fmt.Sprint(old.Version)}}, nil
			}}
			return errors.Join(storetest.EditReported(t.Context(), s, "h", []*hub.ReportedEdit{e}), e.Err)
		}
		nothing := func(*twindoc.Section) {}
		for range 2 { // the second time it has a row
			if err := report("d", nothing); err != nil {
				t.Fatal(err)
			}
		}
		release := hold(t, s)
		var wg sync.WaitGroup
		for i := range 9 {
			wg.Go(func() {
				change, fails := nothing, i%3 == 1
				if fails {
					change = func(*twindoc.Section) { panic("out of its mind") }
				}
				if err := report("d", change); (err != nil) != fails {
					t.Errorf("report %d: %v", i, err)
				}
			})
			synctest.Wait()
		}
		release()
		wg.Wait()
		if err := report("d", nothing); err != nil {
			t.Fatal(err)
		}
		r, err := s.Twin(t.Context(), "h", dev("d"))
		if err != nil || r.Twin.Reported.Version != 1+2+6+1 {
			t.Errorf("version %d, %v", r.Twin.Reported.Version, err)
		}
		var told []string
		batches, err := s.Outbox(t.Context(), "h", 100)
		for _, b := range batches {
			for _, e := range b.Events {
				told = append(told, e.ID)
			}
		}
		if want := []string{"2", "3", "4", "5", "6", "7", "8", "9", "10"}; err != nil || !slices.Equal(told, want) {
			t.Errorf("told %v, %v, want %v", told, err, want)
		}
	})
}

// TestWriter_fullDisk: a write that finds no room costs the shared transaction, and yet fails alone. Whatever was
// acknowledged is there and nothing else, and the store goes on.
func TestWriter_fullDisk(t *testing.T) {
	path := file(t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		s := withHub(t, path)
		s.Exec(t, fmt.Sprintf(`PRAGMA max_page_count = %d`, sqlstore.Value[int](t, s, `PRAGMA page_count`)+8))
		release := hold(t, s)
		errs := make([]error, 40)
		var wg sync.WaitGroup
		for i := range errs {
			e := put(fmt.Sprintf("d%02d", i))
			if i%2 == 1 { // more than there is room for
				e = edit(e.ID.Device, func(*hub.Registration) (*hub.Registration, error) {
					return &hub.Registration{Device: hubward.Device{DeviceScope: strings.Repeat("x", 20*4096)}}, nil
				})
			}
			wg.Go(func() { errs[i] = s.EditIdentities(t.Context(), "h", []*hub.IdentityEdit{e}) })
		}
		synctest.Wait()
		release()
		wg.Wait()
		want := []string{"d"}
		for i, err := range errs {
			if err == nil {
				want = append(want, fmt.Sprintf("d%02d", i))
			} else if hubward.CodeOf(err) != hubward.CodeServerError {
				t.Errorf("job %d: %v, want CodeServerError", i, err)
			}
			if (i%2 == 0) != (err == nil) {
				t.Errorf("job %d: %v", i, err)
			}
		}
		if got := ids(t, s); !slices.Equal(got, want) {
			t.Errorf("devices %v, acknowledged %v", got, want)
		}
		s.Exec(t, `PRAGMA max_page_count = 1000000`)
		mustEdit(t, s, put("later"))
	})
}

// TestClose_whileWritersAreQueued: each of them is told the truth.
func TestClose_whileWritersAreQueued(t *testing.T) {
	path := file(t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		s := withHub(t, path)
		release := hold(t, s)
		const n = sqlstore.QueueLimit + 50 // so that some wait for a place in the queue
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				errs[i] = s.EditIdentities(t.Context(), "h", []*hub.IdentityEdit{put(fmt.Sprintf("d%04d", i))})
			})
		}
		synctest.Wait()
		wg.Go(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		release()
		wg.Wait()

		want := []string{"d"}
		for i, err := range errs {
			if err == nil {
				want = append(want, fmt.Sprintf("d%04d", i))
			} else if hubward.CodeOf(err) != hubward.CodeServiceUnavailable {
				t.Errorf("write %d: %v", i, err)
			}
		}
		if len(want) != 1+sqlstore.QueueLimit {
			t.Errorf("%d writes were made, want the %d that were queued", len(want)-1, sqlstore.QueueLimit)
		}
		if got := ids(t, open(t, path)); !slices.Equal(got, want) {
			t.Errorf("devices %v, acknowledged %v", got, want)
		}
	})
}
