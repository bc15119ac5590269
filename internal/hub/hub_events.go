package hub

import (
	"context"
	"sync"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/eventcodec"
)

// The hub's own events tell of what is no telemetry: creation and deletion of identities, their connections, and changes of twins. They are
// stored in the transaction of what they tell of, in an outbox, and moved from there into EndpointHubEvents by one node at
// a time. An event that was moved and not yet deleted, because the node went in between, is known by its message id.

// Bounds of the move.
const (
	outboxRound  = 1024 // events; the last batch of a round may bring up to MaxEventBatch-1 more
	outboxRetry  = time.Second
	contentJSON  = "application/json"
	encodingUTF8 = "utf-8"
)

// encodedEvent is how large an event is without its body, in bytes, about.
const encodedEvent = 640

// hubEvent is an event before it is encoded.
type hubEvent struct {
	hub       string
	id        string // a GUID
	identity  hubward.Identity
	at        time.Time
	source    string
	schema    string
	operation string // opType
	updatedBy string // empty: it says nothing of that
	body      []byte // JSON
}

// encode returns the event as it is stored.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-non-telemetry-event-schema.
func (e hubEvent) encode() HubEvent {
	properties := append(make([]hubward.Property, 0, 6),
		hubward.Property{Name: "hubName", Value: e.hub}, hubward.Property{Name: "deviceId", Value: e.identity.Device},
		hubward.Property{Name: "operationTimestamp", Value: hubward.Time{Time: e.at}.String()}, hubward.Property{Name: "opType", Value: e.operation},
	)
	if e.identity.Module != "" {
		properties = append(properties, hubward.Property{Name: "moduleId", Value: e.identity.Module})
	}
	if e.updatedBy != "" {
		properties = append(properties, hubward.Property{Name: updatedBy, Value: e.updatedBy})
	}
	m := hubward.Message{
		MessageID: e.id, CorrelationID: e.id, UserID: e.hub, ContentType: contentJSON, ContentEncoding: encodingUTF8,
		Schema: e.schema, Properties: properties, Body: e.body,
	}
	stamps := eventcodec.NewStamps(eventcodec.Origin{Identity: e.identity, Source: e.source})
	return HubEvent{Identity: e.identity, ID: e.id, Data: eventcodec.Append(make([]byte, 0, len(e.body)+encodedEvent), stamps, e.at, &m)}
}

// lifecycleEvent encodes the creation or deletion of an identity with its twin.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-non-telemetry-event-schema, device lifecycle events.
func lifecycleEvent(hub, id string, r *Registration, t *StoredTwin, operation string, at time.Time) HubEvent {
	return hubEvent{
		hub: hub, id: id, identity: r.Identity(), at: at, operation: operation,
		source: eventcodec.SourceLifecycle, schema: "deviceLifecycleNotification", body: appendTwin(nil, r, t),
	}.encode()
}

// outboxNews are the hubs whose events wait to be moved, or to be announced.
type outboxNews struct {
	added chan struct{} // hubs has grown; holds one

	mu   sync.Mutex
	hubs map[string]bool // guarded by mu
}

func newOutboxNews() *outboxNews {
	return &outboxNews{added: make(chan struct{}, 1), hubs: make(map[string]bool)}
}

func (o *outboxNews) add(hub string) {
	o.mu.Lock()
	o.hubs[hub] = true
	o.mu.Unlock()
	wake(o.added)
}

func (o *outboxNews) take() map[string]bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	hubs := o.hubs
	o.hubs = make(map[string]bool)
	return hubs
}

// eventsAdded is called after a change that may have added events of a hub. It costs next to nothing: devices change their twins
// all the time.
func (h *Hub) eventsAdded(hub string) { h.unannounced.add(hub) }

// announceEvents tells the nodes, one of which moves them, of events that were added, until ctx ends. What comes while it tells of
// others is told of at once.
func (h *Hub) announceEvents(ctx context.Context) {
	for {
		h.announceAdded()
		select {
		case <-h.unannounced.added:
		case <-ctx.Done():
			return
		}
	}
}

func (h *Hub) announceAdded() {
	for hub := range h.unannounced.take() {
		h.announce(subjectOutbox, hubNews{Hub: hub})
	}
}

// moveEvents moves events from the outbox into the log, until ctx ends: those of all hubs at first and from time to time, and
// of those that are told of in between. It is one node's job at a time.
func (h *Hub) moveEvents(ctx context.Context) {
	known := make(map[string]*movedEvents)
	var next time.Time // when all hubs are looked at
	for {
		told := h.outbox.take()
		all := !h.now().Before(next)
		if all {
			next = h.now().Add(lookInterval)
		}
		retry := time.Duration(0)
		for _, s := range h.states() {
			if !all && !told[s.ref.Name] {
				continue
			}
			if err := h.moveEventsOf(ctx, s, known); err != nil && ctx.Err() == nil {
				h.logger.Error("events of the hub wait to be stored in the log", "hub", s.ref.Name, "error", err)
				retry, next = outboxRetry, time.Time{}
			}
		}
		if !h.waitFor(ctx, h.outbox.added, retry) {
			return
		}
	}
}

// waitFor waits for a signal, or for a while; zero means the time in which a node looks for what nobody told it. It returns
// false when ctx has ended.
func (h *Hub) waitFor(ctx context.Context, signal <-chan struct{}, most time.Duration) bool {
	if most == 0 {
		most = lookInterval
	}
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-signal:
	case <-t.C:
	case <-ctx.Done():
		return false
	}
	return true
}

// movedEvents are the ids of the newest events in a hub's partitions.
type movedEvents struct {
	created time.Time
	ids     map[string]bool
}

func (h *Hub) moveEventsOf(ctx context.Context, s *state, known map[string]*movedEvents) error {
	moved := known[s.ref.Name]
	for {
		batches, err := h.store.Outbox(ctx, s.ref.Name, outboxRound)
		if err != nil {
			return err
		}
		if len(batches) == 0 {
			if moved != nil {
				clear(moved.ids) // none of them is in the outbox
			}
			return nil
		}
		if moved == nil || !moved.created.Equal(s.ref.Created) {
			if moved, err = h.newestEvents(ctx, s); err != nil {
				return err
			}
			known[s.ref.Name] = moved
		}
		if err := h.appendEvents(ctx, s, moved.rest(batches)); err != nil {
			delete(known, s.ref.Name) // what became of them has to be looked up
			return err
		}
		ids := make([]int64, len(batches))
		for i := range batches {
			ids[i] = batches[i].ID
		}
		if err := h.store.DeleteOutbox(ctx, s.ref.Name, ids); err != nil {
			delete(known, s.ref.Name) // they are in the log, and still in the outbox
			return err
		}
	}
}

// newestEvents looks up which events an earlier holder of the job may have moved and not deleted: those of a round.
func (h *Hub) newestEvents(ctx context.Context, s *state) (*movedEvents, error) {
	moved := &movedEvents{created: s.ref.Created, ids: make(map[string]bool)}
	c := h.config(s)
	for i := range c.Partitions {
		p := Partition{c.logName(), EndpointHubEvents, i}
		b, err := h.log.Bounds(ctx, p)
		if err != nil {
			return nil, err
		}
		for from := max(b.First, b.Next-outboxRound-MaxEventBatch); from < b.Next; {
			var damaged error
			from, err = h.log.Read(ctx, p, from, readChunk, func(r Record) bool {
				e, err := eventcodec.Decode(r.Data)
				if err != nil {
					damaged = err
					return false
				}
				moved.ids[e.Message.MessageID] = true
				return true
			})
			if err != nil || damaged != nil {
				return nil, hubward.Wrap(hubward.CodeServerError, "hub.newestEvents", orElse(err, damaged))
			}
		}
	}
	return moved, nil
}

func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// rest returns the events that were not moved before.
func (m *movedEvents) rest(batches []HubEventBatch) (events []*HubEvent) {
	for i := range batches {
		for j := range batches[i].Events {
			if e := &batches[i].Events[j]; !m.ids[e.ID] {
				events = append(events, e)
			}
		}
	}
	return events
}

// appendEvents returns when all of the events are durable, or when ctx ends: then some may become so later.
func (h *Hub) appendEvents(ctx context.Context, s *state, events []*HubEvent) error {
	config := h.config(s)
	c := &confirmations{left: 1, all: make(chan struct{})} // one for the loop
	producers := make(map[int]Producer)
	for _, e := range events {
		id := PartitionOf(e.Identity.Device, config.Partitions)
		p := producers[id]
		if p == nil {
			p = h.log.Producer(Partition{config.logName(), EndpointHubEvents, id}, c.confirm)
			producers[id] = p
		}
		c.expect()
		if err := p.Append(ctx, e.Data); err != nil {
			c.confirm(1, err)
			break
		}
	}
	c.confirm(1, nil)
	select {
	case <-c.all:
		return c.failed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// confirmations counts what the log has not confirmed.
type confirmations struct {
	mu     sync.Mutex // a leaf
	left   int
	failed error         // the first one; read it after all is closed
	all    chan struct{} // closed when nothing is left
}

func (c *confirmations) expect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left++
}

func (c *confirmations) confirm(n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = orElse(c.failed, err)
	if c.left -= n; c.left == 0 {
		close(c.all)
	}
}
