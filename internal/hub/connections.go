package hub

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/eventcodec"
)

// Bounds of the recording of connections.
const (
	recordInterval = time.Second // how often signs of life are stored
	recordBatch    = 500         // in one transaction
	maxUnrecorded  = 100_000     // changes that wait to be stored: beyond it nobody connects
	recordTimeout  = 5 * time.Second
)

// connectionRecorder gathers what happens to connections until it is stored: each connect and disconnect, in order, and the
// newest sign of life of identities without a connection.
type connectionRecorder struct {
	changed chan struct{} // there are changes to store; holds one

	storing sync.Mutex // held while what was taken is stored, so that it is stored in order; outside mu

	mu      sync.Mutex                    // guards the fields below
	pending map[string][]connectionChange // by hub
	waiting int                           // how many there are in pending
	seen    map[linkKey]time.Time
}

// connectionChange is one connect or disconnect.
type connectionChange struct {
	id           hubward.Identity
	fence        uint64
	state        hubward.ConnectionState
	at           time.Time
	lastActivity time.Time
	modelID      string // of who connects
}

func newConnectionRecorder() *connectionRecorder {
	return &connectionRecorder{
		changed: make(chan struct{}, 1), pending: make(map[string][]connectionChange), seen: make(map[linkKey]time.Time),
	}
}

func (r *connectionRecorder) connected(l *Link, now time.Time) {
	r.add(l, connectionChange{state: hubward.Connected, at: now, lastActivity: now, modelID: l.ModelID})
}

func (r *connectionRecorder) disconnected(l *Link, now time.Time) {
	r.add(l, connectionChange{state: hubward.Disconnected, at: now, lastActivity: l.lastActive()})
}

func (r *connectionRecorder) add(l *Link, c connectionChange) {
	c.id, c.fence = l.Principal.Identity, l.claim.Fence
	hub := l.state.ref.Name
	r.mu.Lock()
	r.pending[hub] = append(r.pending[hub], c)
	r.waiting++
	r.mu.Unlock()
	wake(r.changed)
}

// isFull reports whether too many changes wait for the store.
func (r *connectionRecorder) isFull() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waiting >= maxUnrecorded
}

// sign notes a sign of life of an identity that may have no connection.
func (r *connectionRecorder) sign(k linkKey, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[k] = now
}

func (r *connectionRecorder) take() (pending map[string][]connectionChange, seen map[linkKey]time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pending, seen = r.pending, r.seen
	r.pending, r.seen, r.waiting = make(map[string][]connectionChange), make(map[linkKey]time.Time), 0
	return pending, seen
}

// putBack gives back changes of a hub that were taken and not stored: they came before all that is there by now.
func (r *connectionRecorder) putBack(hub string, changes []connectionChange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending[hub] = append(changes, r.pending[hub]...)
	r.waiting += len(changes)
}

// recordConnections stores what gathers, until ctx ends and all of it is stored: connects and disconnects at once, together
// with what comes while others are being stored.
func (h *Hub) recordConnections(ctx context.Context) {
	for ctx.Err() == nil {
		// Not a Ticker: polling one that is due, in a synctest bubble, sometimes crashes Go 1.26's race detector.
		select {
		case <-time.After(recordInterval):
		case <-h.connections.changed:
		case <-ctx.Done():
		}
		if !h.recordOnce(ctx) { // a store in trouble is not asked anew for each connection
			h.waitFor(ctx, nil, recordInterval)
		}
	}
	h.recordOnce(ctx)
}

// recordOnce stores what has gathered, and reports whether it could. Connects and disconnects that cannot be stored are kept
// for the next time: an edit that was made in spite of an error is none when it is made again. What is left when the process
// ends, the job that looks for connections that are none sets right.
func (h *Hub) recordOnce(ctx context.Context) (ok bool) {
	// What was taken is stored also when ctx ends meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	h.connections.storing.Lock()
	defer h.connections.storing.Unlock()
	pending, seen := h.connections.take()
	ok = true
	for hub, changes := range pending {
		if stored, err := h.storeChanges(ctx, hub, changes); err != nil {
			h.connections.putBack(hub, changes[stored:])
			ok = false
			h.logger.Error("connections wait to be recorded", "hub", hub, "changes", len(changes)-stored, "error", err)
		}
	}
	for hub, signs := range signsOfLife(seen) {
		if _, err := h.editConnections(ctx, hub, signs); err != nil {
			h.logger.Error("signs of life were not recorded", "hub", hub, "error", err)
		}
	}
	return ok
}

// storeChanges stores the changes of a hub in their order, and returns how many it has stored.
func (h *Hub) storeChanges(ctx context.Context, hub string, changes []connectionChange) (stored int, err error) {
	edits := make([]*ConnectionEdit, len(changes))
	for i := range changes {
		if edits[i], err = h.connectionEdit(hub, &changes[i]); err != nil {
			return 0, err
		}
	}
	return h.editConnections(ctx, hub, edits)
}

// signsOfLife turns the newest signs of life into edits, by hub.
func signsOfLife(seen map[linkKey]time.Time) map[string][]*ConnectionEdit {
	edits := make(map[string][]*ConnectionEdit)
	for k, at := range seen {
		edits[k.hub] = append(edits[k.hub], &ConnectionEdit{ID: k.id, Edit: func(old Connection) (Connection, []HubEvent) {
			if at.After(old.LastActivity) {
				old.LastActivity = at
			}
			return old, nil
		}})
	}
	return edits
}

// editConnections makes edits in their order, and returns how many it has made.
func (h *Hub) editConnections(ctx context.Context, hub string, edits []*ConnectionEdit) (made int, err error) {
	for made < len(edits) {
		batch := edits[made:min(made+recordBatch, len(edits))]
		if err := h.store.EditConnections(ctx, hub, batch); err != nil {
			return made, err
		}
		made += len(batch)
		h.eventsAdded(hub)
	}
	return made, nil
}

// connectionEdit turns a change into an edit that gives the same whenever it runs.
//
// The stored row decides what is an event, under its lock and by the fences of claims, so that the events of one identity
// are in turn connects and disconnects, whatever nodes they come from: a change by an older claim than the stored one is
// none, a claim connects once, and a connect that displaced another connection ends that first.
func (h *Hub) connectionEdit(hub string, c *connectionChange) (*ConnectionEdit, error) {
	var ids [2]string
	for i := range ids {
		id, err := h.newGUID()
		if err != nil {
			return nil, err
		}
		ids[i] = id
	}
	change := *c
	return &ConnectionEdit{ID: c.id, Edit: func(old Connection) (Connection, []HubEvent) {
		again := change.fence == old.Fence && (change.state == old.State || change.state == hubward.Connected)
		if change.fence < old.Fence || again {
			return old, nil
		}
		var events []HubEvent
		if change.state == hubward.Connected && old.State == hubward.Connected {
			events = append(events, connectionEvent(hub, ids[0], &connectionChange{
				id: old.ID, fence: old.Fence, state: hubward.Disconnected, at: change.at,
			}))
		}
		if change.state != old.State || len(events) > 0 {
			events = append(events, connectionEvent(hub, ids[1], &change))
		}
		next := Connection{
			ID: old.ID, Fence: change.fence, State: change.state, StateUpdated: change.at, LastActivity: old.LastActivity, ModelID: old.ModelID,
		}
		if change.state == hubward.Connected {
			next.ModelID = cmp.Or(change.modelID, old.ModelID)
		}
		if change.lastActivity.After(next.LastActivity) {
			next.LastActivity = change.lastActivity
		}
		return next, events
	}}, nil
}

// connectionEvent encodes a connect or disconnect. Its sequence number grows with each of one identity: the claim's fence,
// doubled, and one more for the end.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-non-telemetry-event-schema, device connection state events.
func connectionEvent(hub, id string, c *connectionChange) HubEvent {
	operation, sequence := "deviceConnected", 2*c.fence
	if c.state == hubward.Disconnected {
		operation, sequence = "deviceDisconnected", 2*c.fence+1
	}
	return hubEvent{
		hub: hub, id: id, identity: c.id, at: c.at, operation: operation,
		source: eventcodec.SourceConnectionState, schema: "deviceConnectionStateNotification",
		body: fmt.Appendf(nil, `{"sequenceNumber":"%064X"}`, sequence),
	}.encode()
}

// endLostConnections ends the stored connections of which the directory knows nothing: of a node that went without saying
// so, or of a process before this one.
func (h *Hub) endLostConnections(ctx context.Context, hub string) error {
	after := hubward.Identity{}
	for {
		stored, err := h.store.Connected(ctx, hub, after, recordBatch)
		if err != nil || len(stored) == 0 {
			return err
		}
		var edits []*ConnectionEdit
		for i := range stored {
			edit, err := h.endIfLost(ctx, hub, &stored[i])
			if err != nil {
				return err
			}
			if edit != nil {
				edits = append(edits, edit)
			}
		}
		if _, err := h.editConnections(ctx, hub, edits); err != nil {
			return err
		}
		after = stored[len(stored)-1].ID
	}
}

// endIfLost returns nil when the connection has an owner. One that a node has just claimed, or has just given up, is about
// to be recorded: its fence will be the newer one, or the state another.
func (h *Hub) endIfLost(ctx context.Context, hub string, c *Connection) (*ConnectionEdit, error) {
	owner, err := h.cluster.Owner(ctx, hub, c.ID)
	if err != nil || owner != nil && owner.Fence >= c.Fence {
		return nil, err
	}
	return h.connectionEdit(hub, &connectionChange{id: c.ID, fence: c.Fence, state: hubward.Disconnected, at: h.now().UTC()})
}

// wake signals a channel that holds one: a signal that waits is for this news too.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
