package hub

import (
	"bytes"
	"cmp"
	"context"
	"strconv"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/hub/eventcodec"
)

// EventQuery says which events a reader wants.
type EventQuery struct {
	Endpoint      Endpoint // EndpointEvents or EndpointHubEvents; empty means the former
	ConsumerGroup string   // empty means $Default
	DeviceID      string   // empty means all
	Source        string   // as eventcodec.SourceTwinChange; empty means all
	From          Position
	After         map[int]int64 // per partition: the event after this sequence number; partitions not named start at From
}

// Bounds of one ReadEvents call.
const (
	readChunk = 256 << 10 // bytes read from one partition at a time
	readAhead = 32        // decoded events waiting for visit
	aheadSize = 1 << 20   // bytes of their bodies; one that is larger waits alone
)

// ReadEvents hands visit the events of all partitions of a hub, and goes on with new ones as they arrive, until ctx
// ends, visit fails, or the hub or the consumer group is deleted, and returns that error. Events of one device come in
// order; partitions are interleaved as they are read; none is of a later hub of the same name. visit is called with nil
// when the reader is in position and each time it is about to wait: a front end flushes then. It does not count as a
// reader of its consumer group. p has ServiceConnect.
//
// Errors: CodeUnauthorizedAccess; CodeNoSuchHub and CodeNoSuchConsumerGroup, also when it is deleted meanwhile;
// CodeArgumentInvalid for an unknown endpoint; otherwise the log's, ctx's or visit's.
func (h *Hub) ReadEvents(ctx context.Context, p *access.Principal, q EventQuery, visit func(*hubward.Event) error) error {
	q.Endpoint = cmp.Or(q.Endpoint, EndpointEvents)
	if q.Endpoint != EndpointEvents && q.Endpoint != EndpointHubEvents {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "endpoint: %.64q is not %s or %s", q.Endpoint, EndpointEvents, EndpointHubEvents)
	}
	name := cmp.Or(q.ConsumerGroup, DefaultConsumerGroup)
	s, c, err := h.permitAt(access.DoorEvents, p, access.ServiceConnect, eventStreamPath, groupPath(p.Hub.Name, name))
	if err != nil {
		return err
	}
	group, ok := findGroup(c, name)
	if !ok {
		return noSuchGroup(name)
	}
	handle := newReaderHandle(readerKey{group, allPartitions})
	if err := h.openHandle(s, handle); err != nil {
		return err
	}
	defer s.readers.remove(handle)
	h.observer.EventStreams(s.ref.Name, group, 1)
	defer h.observer.EventStreams(s.ref.Name, group, -1)
	partitions := partitionsFor(c, &q)
	starts := make([]int64, len(partitions))
	for i, p := range partitions {
		if starts[i], err = h.start(ctx, p, &q); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	events := make(chan *hubward.Event, readAhead)
	ahead := semaphore.NewWeighted(aheadSize)
	var readers sync.WaitGroup
	for i, p := range partitions {
		readers.Go(func() { cancel(h.followPartition(ctx, p, starts[i], &q, ahead, events)) })
	}
	err = handOver(ctx, handle, events, func(e *hubward.Event) error {
		err := visit(e)
		if e != nil {
			ahead.Release(aheadOf(e))
		}
		return err
	})
	cancel(nil)
	readers.Wait()
	return err
}

// aheadOf is what an event takes of aheadSize.
func aheadOf(e *hubward.Event) int64 { return int64(min(len(e.Message.Body), aheadSize)) }

// handOver calls visit until it fails, or ctx or the reader ends. It looks at that before each event: what the log gives
// out after a hub was deleted may be of the next one of its name.
func handOver(ctx context.Context, reader *readerHandle, events <-chan *hubward.Event, visit func(*hubward.Event) error) error {
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
			case <-reader.ctx.Done():
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if ended := reader.ended(); ended != nil {
			return ended
		}
		if err := visit(e); err != nil {
			return err
		}
	}
}

// eventStreamPath is what a token for event streams may be limited to.
var eventStreamPath = []string{"$hubward", "events"}

// partitionsFor returns the partitions of the endpoint that hold the events of a device; of all devices when none is named.
func partitionsFor(c *Config, q *EventQuery) []Partition {
	if q.DeviceID != "" {
		return []Partition{{c.logName(), q.Endpoint, PartitionOf(q.DeviceID, c.Partitions)}}
	}
	partitions := make([]Partition, c.Partitions)
	for i := range partitions {
		partitions[i] = Partition{c.logName(), q.Endpoint, i}
	}
	return partitions
}

// start returns the sequence number to read from.
func (h *Hub) start(ctx context.Context, p Partition, q *EventQuery) (int64, error) {
	if after, ok := q.After[p.ID]; ok {
		return after + 1, nil
	}
	return h.seek(ctx, p, q.From)
}

// followPartition sends the events of one partition, from a sequence number on, until ctx ends.
func (h *Hub) followPartition(ctx context.Context, p Partition, from int64, q *EventQuery, ahead *semaphore.Weighted, out chan<- *hubward.Event) error {
	for {
		var decodeErr error
		next, err := h.log.Read(ctx, p, from, readChunk, func(r Record) bool {
			var e *hubward.Event
			if e, decodeErr = decodeRecord(p, r, q); decodeErr != nil {
				decodeErr = &DamageError{Partition: p, Sequence: r.SequenceNumber, Err: decodeErr}
				return false
			}
			if e == nil {
				return true
			}
			if ahead.Acquire(ctx, aheadOf(e)) != nil {
				return false
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

// decodeRecord turns a record into an event of its own memory, or nil when q does not want it.
func decodeRecord(p Partition, r Record, q *EventQuery) (*hubward.Event, error) {
	if q.DeviceID != "" {
		id, err := eventcodec.DeviceID(r.Data)
		if err != nil {
			return nil, err
		}
		if string(id) != q.DeviceID {
			return nil, nil
		}
	}
	e, err := eventcodec.Decode(bytes.Clone(r.Data))
	if err != nil || q.Source != "" && e.MessageSource != q.Source {
		return nil, err
	}
	e.Partition, e.SequenceNumber, e.EnqueuedTime = p.ID, r.SequenceNumber, r.Enqueued
	e.Offset = FormatOffset(r.SequenceNumber)
	return e, nil
}

// FormatOffset returns the offset of an event. Offsets are opaque to clients and need only grow: ours are the sequence
// number in decimal.
func FormatOffset(sequence int64) string { return strconv.FormatInt(sequence, 10) }
