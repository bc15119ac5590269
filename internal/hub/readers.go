package hub

import (
	"context"
	"strings"

	"github.com/hubward/hubward"
)

// ReaderOptions say what a reader reads.
type ReaderOptions struct {
	Hub           string
	ConsumerGroup string // compared without case
	Partition     int
	Start         Start
	Name          string // what error texts call the reader, cut to 128 bytes; empty: "nil"
	Epoch         *int64 // the owner level of an exclusive reader, 0 or more; nil: one of several
}

// Reader reads one partition for one client of the Event-Hubs-compatible endpoint. It is for one goroutine at a time,
// except Close. While it waits for events it costs its memory, and nothing else: no timer, no goroutine.
type Reader struct {
	hub       *Hub
	state     *state
	partition Partition
	place     *place
	next      int64 // the number to go on from

	handOut func(Record) (more bool) // r.visit, made once
	to      func(Record) (more bool) // whom visit hands events to, during a Read
	handed  int                      // how many, in that Read

	// What a Read waits with ends with the context that it was given and with the place. It is kept for the next Read,
	// which mostly comes with the same context.
	waiting context.Context
	of      <-chan struct{} // Done of the context that waiting was made of
	release func()
}

// OpenReader registers a reader. Of a partition and consumer group there are five plain readers or one exclusive one:
// an exclusive reader displaces plain ones, and an exclusive one of the same or a lower epoch. The start is looked up
// now: of a reader from the latest event on, what is enqueued after the call returned is not missed.
//
// Errors: CodeNoSuchHub, CodeNoSuchConsumerGroup, CodeNoSuchPartition; CodeArgumentInvalid for a start behind the last
// event or a negative epoch; CodeReaderDisplaced when a reader that is there has precedence; CodeReaderLimit for a sixth
// plain one. Their messages are those that SDKs look into (spec/event-hubs-endpoint.md 6.2 and 9).
func (h *Hub) OpenReader(ctx context.Context, o ReaderOptions) (*Reader, error) {
	s, c, err := h.find(o.Hub)
	if err != nil {
		return nil, err
	}
	group, ok := findGroup(c, o.ConsumerGroup)
	if !ok {
		return nil, noSuchGroup(o.ConsumerGroup)
	}
	partition, err := c.partition(o.Partition)
	if err != nil {
		return nil, err
	}
	p := newPlace(placeKey{group, o.Partition}, readerName(o.Name), nil)
	if o.Epoch != nil {
		epoch := *o.Epoch
		if p.epoch = &epoch; epoch < 0 {
			return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "epoch: %d is negative", epoch)
		}
	}
	r := &Reader{hub: h, state: s, partition: partition, place: p}
	r.handOut = r.visit
	if r.next, err = h.seek(ctx, partition, o.Start); err != nil {
		return nil, err
	}
	if err := h.enter(s, p); err != nil {
		return nil, err
	}
	return r, nil
}

// enter lets p in, unless its consumer group was deleted after the caller had looked it up: then nobody would end p.
func (h *Hub) enter(s *state, p *place) error {
	if err := s.places.enter(p); err != nil {
		return err
	}
	h.mu.RLock()
	_, ok := findGroup(s.config, p.key.group)
	h.mu.RUnlock()
	if !ok {
		s.places.leave(p)
		return noSuchGroup(p.key.group)
	}
	return nil
}

// maxReaderName bounds what error texts quote, and the memory that a client can make the hub keep, in bytes.
const maxReaderName = 128

func readerName(name string) string {
	if name == "" {
		return "nil"
	}
	return strings.ToValidUTF8(name[:min(len(name), maxReaderName)], "")
}

// Read waits for an event, hands visit what there is, until visit says stop or maxBytes of data have been seen, and
// goes on after it at the next call. An event counts as read once visit got it, also when visit says stop. Events that
// are deleted before they were read are left out. A record's Data is valid only during the call.
//
// Errors: ctx's; CodeReaderDisplaced when another reader took over; CodeNoSuchHub or CodeNoSuchConsumerGroup when it
// was deleted, and nothing of a later hub of that name; CodeInvalidOperation when the reader was closed; the log's. What
// visit got before stays read.
func (r *Reader) Read(ctx context.Context, maxBytes int, visit func(Record) (more bool)) error {
	r.to, r.handed = visit, 0
	defer func() { r.to = nil }()
	for {
		next, err := r.hub.log.Read(ctx, r.partition, r.next, maxBytes, r.handOut)
		if ended := r.place.ended(); ended != nil {
			return ended
		}
		r.next = next
		if err != nil || r.handed > 0 {
			return err
		}
		err = r.hub.log.Wait(r.whileOpen(ctx), r.partition, r.next)
		if ended := r.place.ended(); ended != nil {
			return ended
		}
		if err != nil {
			return err
		}
	}
}

// visit looks before each event whether the reader has ended: what the log gives out after a hub was deleted may be of
// the next one of its name.
func (r *Reader) visit(record Record) (more bool) {
	if r.place.ended() != nil {
		return false
	}
	r.handed++
	return r.to(record)
}

// whileOpen returns a context that ends with ctx and with the reader's place.
func (r *Reader) whileOpen(ctx context.Context) context.Context {
	if r.waiting != nil && r.of == ctx.Done() {
		return r.waiting
	}
	if r.release != nil {
		r.release()
	}
	waiting, cancel := context.WithCancel(ctx)
	forget := context.AfterFunc(r.place.ctx, cancel)
	r.waiting, r.of = waiting, ctx.Done()
	r.release = func() {
		forget()
		cancel()
	}
	return waiting
}

// Bounds says what the reader's partition holds now. Errors: as Read.
func (r *Reader) Bounds(ctx context.Context) (Bounds, error) {
	b, err := r.hub.log.Bounds(ctx, r.partition)
	if ended := r.place.ended(); ended != nil {
		return Bounds{}, ended
	}
	return b, err
}

// Context ends when the reader does, also while nobody reads: its cause is what Read would return.
func (r *Reader) Context() context.Context { return r.place.ctx }

// Close gives the reader's place free, and ends a Read that waits. It may be called more than once, also at the same
// time as other methods.
func (r *Reader) Close() { r.state.places.leave(r.place) }

// PartitionBounds says what a partition holds now. Errors: CodeNoSuchHub, CodeNoSuchPartition; the log's.
func (h *Hub) PartitionBounds(ctx context.Context, hub string, partition int) (Bounds, error) {
	_, c, err := h.find(hub)
	if err != nil {
		return Bounds{}, err
	}
	p, err := c.partition(partition)
	if err != nil {
		return Bounds{}, err
	}
	return h.log.Bounds(ctx, p)
}

// partition returns one of the hub's partitions, or an error in the words of the cloud service.
//
// Source: spec/event-hubs-endpoint.md 6.1.
func (c *Config) partition(id int) (Partition, error) {
	if id < 0 || id >= c.Partitions {
		return Partition{}, hubward.Errorf(hubward.CodeNoSuchPartition, "The specified partition is invalid for an EventHub partition "+
			"sender or receiver. It should be between 0 and %d.", c.Partitions-1)
	}
	return Partition{c.Name, EndpointEvents, id}, nil
}
