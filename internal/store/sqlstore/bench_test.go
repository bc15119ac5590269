package sqlstore_test

import (
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/c2d"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

// fill stores n devices with keys and returns their ids.
func fill(b *testing.B, s *sqlstore.Store, n int) []string {
	b.Helper()
	var ids []string
	for first := 0; first < n; first += 100 {
		var edits []*hub.IdentityEdit
		for i := range 100 {
			id := fmt.Sprintf("device-%06d", first+i)
			ids = append(ids, id)
			edits = append(edits, edit(id, func(*hub.Registration) (*hub.Registration, error) {
				r := registration(id)
				r.GenerationID, r.ETag = "1", "1"
				r.Authentication = &hubward.Authentication{Type: hubward.AuthSAS, SymmetricKey: hubward.SymmetricKey{
					PrimaryKey:   "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
					SecondaryKey: "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
				}}
				return r, nil
			}))
		}
		mustEdit(b, s, edits...)
	}
	return ids
}

// benchCallers has many callers that each wait for their own durable write to one device after another, as devices and
// back ends do.
func benchCallers(b *testing.B, write func(s *sqlstore.Store, id string) error) {
	for _, callers := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := withHub(b, file(b.TempDir()))
			ids := fill(b, s, 10_000)
			var next atomic.Int64
			one := func() error { return write(s, ids[next.Add(7919)%int64(len(ids))]) }
			b.ReportAllocs()
			if callers == 1 {
				for b.Loop() {
					if err := one(); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			b.SetParallelism(callers / runtime.GOMAXPROCS(0))
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := one(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func BenchmarkIdentity(b *testing.B) {
	s := withHub(b, file(b.TempDir()))
	ids := fill(b, s, 10_000)
	ctx := b.Context()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := s.Identity(ctx, "h", dev(ids[i%len(ids)])); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEditIdentities_grouped(b *testing.B) {
	benchCallers(b, func(s *sqlstore.Store, id string) error {
		e := edit(id, func(old *hub.Registration) (*hub.Registration, error) {
			n, err := strconv.Atoi(old.ETag)
			old.ETag = strconv.Itoa(n + 1)
			return old, err
		})
		if err := s.EditIdentities(b.Context(), "h", []*hub.IdentityEdit{e}); err != nil {
			return err
		}
		return e.Err
	})
}

func BenchmarkEditConnections_grouped(b *testing.B) {
	var fence atomic.Uint64
	benchCallers(b, func(s *sqlstore.Store, id string) error {
		e := &hub.ConnectionEdit{ID: dev(id), Edit: func(old hub.Connection) (hub.Connection, []hub.HubEvent) {
			old.Fence, old.State, old.StateUpdated = fence.Add(1), hubward.Connected, now
			return old, nil
		}}
		return s.EditConnections(b.Context(), "h", []*hub.ConnectionEdit{e})
	})
}

// BenchmarkEditQueues_grouped stores a message in an empty queue, and takes it out of one that holds one.
func BenchmarkEditQueues_grouped(b *testing.B) {
	content := make([]byte, 256)
	benchCallers(b, func(s *sqlstore.Store, id string) error {
		e := &c2d.Edit{Key: c2d.Key{Hub: "h", Identity: dev(id)}, Edit: func(q *c2dqueue.Queue) error {
			if q.Purge(now) > 0 {
				return nil
			}
			return q.Append(c2dqueue.Message{ID: "m", Enqueued: now, Expires: now.Add(time.Hour)}, content)
		}}
		if err := s.EditQueues(b.Context(), []*c2d.Edit{e}); err != nil {
			return err
		}
		return e.Err
	})
}
