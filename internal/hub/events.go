package hub

import (
	"bytes"
	"cmp"
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/eventcodec"
)

// Position says where a reader starts. After wins over the other fields; the zero Position is Latest.
type Position struct {
	Earliest bool          // the oldest event that is kept
	Time     time.Time     // the first event enqueued at or after it
	After    map[int]int64 // per partition: the event after this sequence number; partitions not named start as the other fields say
}

// EventQuery says which events a reader wants.
type EventQuery struct {
	Hub           string
	ConsumerGroup string // empty means $Default
	DeviceID      string // empty means all
	From          Position
}

// Bounds of one ReadEvents call.
const (
	readChunk = 256 << 10 // bytes read from one partition at a time
	readAhead = 32        // decoded events waiting for visit
)

// ReadEvents hands visit the events of all partitions of a hub, and goes on with new ones as they arrive, until ctx
// ends, visit fails, or the hub or the consumer group is deleted, and returns that error. Events of one device come in
// order; partitions are interleaved as they are read; none is of a later hub of the same name. visit is called with nil
// when the reader is in position and each time it is about to wait: a front end flushes then. It does not count as a
// reader of its consumer group.
//
// Errors: CodeNoSuchHub and CodeNoSuchConsumerGroup, also when it is deleted meanwhile; otherwise the log's, ctx's or
// visit's.
func (h *Hub) ReadEvents(ctx context.Context, q EventQuery, visit func(*hubward.Event) error) error {
	s, group, partitions, err := h.partitionsFor(q)
	if err != nil {
		return err
	}
	place := newPlace(placeKey{group, allPartitions}, "", nil)
	if err := h.enter(s, place); err != nil {
		return err
	}
	defer s.places.leave(place)
	starts := make([]int64, len(partitions))
	for i, p := range partitions {
		if starts[i], err = h.start(ctx, p, q.From); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	events := make(chan *hubward.Event, readAhead)
	var readers sync.WaitGroup
	for i, p := range partitions {
		readers.Go(func() { cancel(h.followPartition(ctx, p, starts[i], q.DeviceID, events)) })
	}
	err = deliver(ctx, place, events, visit)
	cancel(nil)
	readers.Wait()
	return err
}

// deliver calls visit until it fails, or ctx or the place ends. It looks at that before each event: what the log gives
// out after a hub was deleted may be of the next one of its name.
func deliver(ctx context.Context, place *place, events <-chan *hubward.Event, visit func(*hubward.Event) error) error {
	for {
		var e *hubward.Event
		select {
		case e = <-events:
		default:
			if err := visit(nil); err != nil {
				return err
			}
			select {
			case e = <-events:
			case <-place.ctx.Done():
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if ended := place.ended(); ended != nil {
			return ended
		}
		if err := visit(e); err != nil {
			return err
		}
	}
}

// partitionsFor checks the query and returns the hub, its consumer group and the partitions that the query touches: one
// when it names a device.
func (h *Hub) partitionsFor(q EventQuery) (s *state, group string, partitions []Partition, err error) {
	s, c, err := h.find(q.Hub)
	if err != nil {
		return nil, "", nil, err
	}
	group, ok := findGroup(c, cmp.Or(q.ConsumerGroup, DefaultConsumerGroup))
	if !ok {
		return nil, "", nil, noSuchGroup(q.ConsumerGroup)
	}
	if q.DeviceID != "" {
		return s, group, []Partition{{q.Hub, EndpointEvents, PartitionOf(q.DeviceID, c.Partitions)}}, nil
	}
	partitions = make([]Partition, c.Partitions)
	for i := range partitions {
		partitions[i] = Partition{q.Hub, EndpointEvents, i}
	}
	return s, group, partitions, nil
}

// start turns a position into the sequence number to read from.
func (h *Hub) start(ctx context.Context, p Partition, from Position) (int64, error) {
	if after, ok := from.After[p.ID]; ok {
		return after + 1, nil
	}
	start := Start{Kind: StartLatest}
	if from.Earliest {
		start.Kind = StartEarliest
	}
	if !from.Time.IsZero() {
		start = Start{Kind: StartTime, Time: from.Time, Inclusive: true}
	}
	return h.seek(ctx, p, start)
}

// followPartition sends the events of one partition, from a sequence number on, until ctx ends.
func (h *Hub) followPartition(ctx context.Context, p Partition, from int64, device string, out chan<- *hubward.Event) error {
	for {
		var decodeErr error
		next, err := h.log.Read(ctx, p, from, readChunk, func(r Record) bool {
			var e *hubward.Event
			if e, decodeErr = decodeRecord(p, r, device); decodeErr != nil {
				return false
			}
			if e == nil {
				return true
			}
			select {
			case out <- e:
				return true
			case <-ctx.Done():
				return false
			}
		})
		if err == nil {
			err = decodeErr
		}
		if err == nil && next == from {
			err = h.log.Wait(ctx, p, from)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		from = next
	}
}

// decodeRecord turns a record into an event of its own memory, or nil when it is of another device.
func decodeRecord(p Partition, r Record, device string) (*hubward.Event, error) {
	if device != "" {
		id, err := eventcodec.DeviceID(r.Data)
		if err != nil {
			return nil, err
		}
		if string(id) != device {
			return nil, nil
		}
	}
	e, err := eventcodec.Decode(bytes.Clone(r.Data))
	if err != nil {
		return nil, err
	}
	e.Partition, e.SequenceNumber, e.EnqueuedTime = p.ID, r.SequenceNumber, r.Enqueued
	e.Offset = FormatOffset(r.SequenceNumber)
	return e, nil
}

// FormatOffset returns the offset of an event. Offsets are opaque to clients and need only grow: ours are the sequence
// number in decimal.
//
// Source: spec/event-hubs-endpoint.md 7.
func FormatOffset(sequence int64) string { return strconv.FormatInt(sequence, 10) }
