package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/twindoc"
)

// stepOf edits one part of an identity, which counts how often it was edited, and tells of it.
type stepOf func(t *testing.T, s hub.Store, id hubward.Identity) error

// Each kind of edit changes something of its own. Those of twins tell of both versions: the sum of these counts them all.
var twinSteps = map[string]stepOf{
	"twin": func(t *testing.T, s hub.Store, id hubward.Identity) error {
		e := &hub.TwinEdit{ID: id, Edit: func(r *hub.Registration) ([]hub.HubEvent, error) {
			r.Twin.ETag++
			r.Twin.Desired.Version++
			return []hub.HubEvent{told(id, fmt.Sprint("twin ", r.Twin.Version()))}, nil
		}}
		return errors.Join(s.EditTwins(t.Context(), homeHub, []*hub.TwinEdit{e}), e.Err)
	},
	"reported": func(t *testing.T, s hub.Store, id hubward.Identity) error {
		e := &hub.ReportedEdit{ID: id, Edit: func(etag int64, old twindoc.Section) (twindoc.Section, []hub.HubEvent, error) {
			old.Version++
			old.Document = fmt.Appendf(nil, `{"n":%d}`, old.Version)
			return old, []hub.HubEvent{told(id, fmt.Sprint("twin ", etag+old.Version))}, nil
		}}
		return errors.Join(EditReported(t.Context(), s, homeHub, []*hub.ReportedEdit{e}), e.Err)
	},
	"identity": func(t *testing.T, s hub.Store, id hubward.Identity) error {
		e := &hub.IdentityEdit{ID: id, WithTwin: true, Edit: func(old *hub.Registration) (*hub.Registration, []hub.HubEvent, error) {
			old.StatusReason += "x"
			old.Twin.Tags.Size++
			return old, []hub.HubEvent{told(id, fmt.Sprint("identity ", len(old.StatusReason)))}, nil
		}}
		return errors.Join(s.EditIdentities(t.Context(), homeHub, []*hub.IdentityEdit{e}), e.Err)
	},
	"connection": func(t *testing.T, s hub.Store, id hubward.Identity) error {
		e := &hub.ConnectionEdit{ID: id, Edit: func(old hub.Connection) (hub.Connection, []hub.HubEvent) {
			old.Fence++
			return old, []hub.HubEvent{told(id, fmt.Sprint("connection ", old.Fence))}
		}}
		return s.EditConnections(t.Context(), homeHub, []*hub.ConnectionEdit{e})
	},
}

// testConcurrentTwins: edits of all parts of one identity lose nothing of one another, and their events stand in the order
// of the edits.
func testConcurrentTwins(t *testing.T, s hub.Store) {
	withHome(t, s)
	id := dev("d")
	edit(t, s, homeHub, id, func(*hub.Registration) (*hub.Registration, error) {
		return &hub.Registration{Device: hubward.Device{ConnectionState: hubward.Disconnected}}, nil
	})
	race(t, s, func(at hub.Store, w int) error {
		for range rounds {
			for _, step := range twinSteps {
				if err := step(t, at, id); err != nil {
					return err
				}
			}
		}
		return nil
	})
	const n = writers * rounds
	got, err := s.Twin(t.Context(), homeHub, id)
	if err != nil {
		t.Fatal(err)
	}
	want := &hub.StoredTwin{
		ETag: 1 + n, Tags: twindoc.Section{Size: n}, Desired: twindoc.Section{Version: 1 + n},
		Reported: twindoc.Section{Version: 1 + n, Document: fmt.Appendf(nil, `{"n":%d}`, 1+n)},
	}
	wantEqual(t, "twin", got.Twin, want)
	if len(got.StatusReason) != n {
		t.Errorf("%d edits of the identity counted, want %d", len(got.StatusReason), n)
	}
	if fence := connection(t, s, id).Fence; fence != n {
		t.Errorf("%d edits of the connection counted, want %d", fence, n)
	}
	wantInOrder(t, eventsOf(outboxBatches(t, s, homeHub, 1000)), map[string]int{"twin": 3, "identity": 1, "connection": 1}, 4*n)
}

// wantInOrder checks events whose data end with a kind and a number: those of a kind are numbered from first on.
func wantInOrder(t *testing.T, events []hub.HubEvent, first map[string]int, n int) {
	t.Helper()
	if len(events) != n {
		t.Errorf("%d events, want %d", len(events), n)
	}
	for i, e := range events {
		var kind string
		var number int
		if _, err := fmt.Sscanf(string(e.Data), "data of %s %d", &kind, &number); err != nil {
			t.Fatalf("event %q: %v", e.Data, err)
		}
		if number != first[kind] {
			t.Fatalf("event %d is %q, want number %d", i, e.Data, first[kind])
		}
		first[kind]++
	}
}

// testConcurrentMover: who moves events while others store them misses none, and has those of one identity in order.
func testConcurrentMover(t *testing.T, s hub.Store) {
	withHome(t, s)
	first := make(map[string]int)
	for w := range writers {
		create(t, s, homeHub, aDevice(fmt.Sprint("own-", w)))
		first[fmt.Sprint("own-", w)] = 1
	}
	create(t, s, homeHub, aDevice("shared"))
	first["shared"] = 1
	report := func(at hub.Store, id string) error {
		e := &hub.ReportedEdit{ID: dev(id), Edit: func(_ int64, old twindoc.Section) (twindoc.Section, []hub.HubEvent, error) {
			e := told(dev(id), fmt.Sprintf("%s %d", id, old.Version))
			old.Version++
			return old, []hub.HubEvent{e}, nil
		}}
		return errors.Join(EditReported(t.Context(), at, homeHub, []*hub.ReportedEdit{e}), e.Err)
	}
	ctx, stop := context.WithCancel(t.Context())
	moved, failed := make(chan []hub.HubEvent), make(chan error, 1)
	go func() {
		events, err := moveAll(ctx, s)
		failed <- err
		moved <- events
	}()
	race(t, s, func(at hub.Store, w int) error {
		for range rounds {
			if err := errors.Join(report(at, "shared"), report(at, fmt.Sprint("own-", w))); err != nil {
				return err
			}
		}
		return nil
	})
	stop()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	wantInOrder(t, <-moved, first, 2*writers*rounds)
	wantOutbox(t, s, homeHub)
}

// moveAll takes events out of the outbox until ctx ends and there are no more.
func moveAll(ctx context.Context, s hub.Store) (events []hub.HubEvent, err error) {
	for {
		ended := ctx.Err() != nil
		batches, err := s.Outbox(context.WithoutCancel(ctx), homeHub, 3)
		if err != nil {
			return nil, err
		}
		if len(batches) == 0 && ended {
			return events, nil
		}
		var ids []int64
		for _, b := range batches {
			events, ids = append(events, b.Events...), append(ids, b.ID)
		}
		if err := s.DeleteOutbox(context.WithoutCancel(ctx), homeHub, ids); err != nil {
			return nil, err
		}
	}
}

// testConcurrentTwinOwners: while some write to the twin of a device, others delete the device and create it again. Who
// creates it finds a fresh twin.
func testConcurrentTwinOwners(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	race(t, s, func(at hub.Store, w int) error {
		for i := range rounds {
			if w%2 == 0 {
				step := twinSteps[[]string{"twin", "reported"}[i%2]]
				if err := step(t, at, dev("d")); err != nil && hubward.CodeOf(err) != hubward.CodeDeviceNotFound {
					return err
				}
				continue
			}
			fresh := &hub.IdentityEdit{ID: dev("d"), WithTwin: true, Edit: func(old *hub.Registration) (*hub.Registration, []hub.HubEvent, error) {
				if v := old.Twin.Version(); v != hub.NewTwin().Version() {
					return nil, nil, fmt.Errorf("a new device has a twin of version %d", v)
				}
				return old, nil, nil
			}}
			edits := []*hub.IdentityEdit{identityEdit(dev("d"), remove), put(dev("d")), fresh}
			err := errors.Join(at.EditIdentities(t.Context(), homeHub, edits), edits[0].Err, edits[1].Err, fresh.Err)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
