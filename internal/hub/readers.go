package hub

import (
	"context"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// ReaderOptions say what a reader reads.
type ReaderOptions struct {
	ConsumerGroup string // compared without case
	Partition     int
	Start         Position
	Name          string // what error texts call the reader, cut to 128 bytes; empty: "nil"
	Epoch         *int64 // the owner level of an exclusive reader, 0 or more; nil: one of several
}

// Reader reads one partition for one client of the Event-Hubs-compatible endpoint. It is for one goroutine at a time,
// except Close. While it waits for events it costs its memory, and nothing else: no timer, no goroutine.
type Reader struct {
	hub       *Hub
	state     *state
	partition Partition
	handle    *readerHandle
	next      int64 // the number to go on from

	handOut func(Record) (more bool) // r.visit, made once
	to      func(Record) (more bool) // whom visit hands events to, during a Read
	handed  int                      // how many, in that Read

	// What a Read waits with ends with the context that it was given and with the reader. It is kept for the next Read,
	// which mostly comes with the same context.
	waiting context.Context
	of      <-chan struct{} // Done of the context that waiting was made of
	release func()
}

// OpenReader registers a reader with the node that owns the partition. Of a partition and consumer group there are five
// plain readers or one exclusive one, in the whole cluster: an exclusive reader displaces plain ones, and an exclusive one
// of the same or a lower epoch. The start is looked up now: of a reader from the latest event on, what is enqueued after
// the call returned is not missed. p has ServiceConnect.
//
// Errors: CodeUnauthorizedAccess; CodeNoSuchHub, CodeNoSuchConsumerGroup, CodeNoSuchPartition; CodeArgumentInvalid for a
// start behind the last event or a negative epoch; CodeReaderDisplaced when a reader that is there has precedence;
// CodeReaderLimit for a sixth plain one; the cluster's. Their messages are those that SDKs look into.
//
// Source: Azure/azure-event-hubs-python#13, Azure/azure-sdk-for-java#10215 (start behind the end), #32046 (precedence).
func (h *Hub) OpenReader(ctx context.Context, p *access.Principal, o ReaderOptions) (*Reader, error) {
	s, c, err := h.permitAt(access.DoorEvents, p, access.ServiceConnect, append(groupPath(p.Hub.Name, o.ConsumerGroup), "Partitions", itoa(o.Partition)))
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
	if o.Epoch != nil && *o.Epoch < 0 {
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "epoch: %d is negative", *o.Epoch)
	}
	r := &Reader{hub: h, state: s, partition: partition, handle: newReaderHandle(readerKey{group, o.Partition})}
	r.handOut = r.visit
	if r.next, err = h.seek(ctx, partition, o.Start); err != nil {
		return nil, err
	}
	if err := h.register(ctx, s, r.handle, registration{Name: readerName(o.Name), Epoch: o.Epoch}); err != nil {
		return nil, err
	}
	return r, nil
}

// groupPath is what a token for a consumer group is limited to.
func groupPath(hub, group string) []string { return []string{hub, "ConsumerGroups", group} }

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
		if ended := r.handle.ended(); ended != nil {
			return ended
		}
		r.next = next
		if err != nil || r.handed > 0 {
			return err
		}
		err = r.hub.log.Wait(r.whileOpen(ctx), r.partition, r.next)
		if ended := r.handle.ended(); ended != nil {
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
	if r.handle.ended() != nil {
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
	forget := context.AfterFunc(r.handle.ctx, cancel)
	r.waiting, r.of = waiting, ctx.Done()
	r.release = func() {
		forget()
		cancel()
	}
	return waiting
}

// Undecodable makes an error of what is wrong with a record that Read has handed out: what the log has read is not what was
// written.
func (r *Reader) Undecodable(sequence int64, err error) error {
	return &DamageError{Partition: r.partition, Sequence: sequence, Err: err}
}

// Bounds says what the reader's partition holds now. Errors: as Read.
func (r *Reader) Bounds(ctx context.Context) (Bounds, error) {
	b, err := r.hub.log.Bounds(ctx, r.partition)
	if ended := r.handle.ended(); ended != nil {
		return Bounds{}, ended
	}
	return b, err
}

// Context ends when the reader does, also while nobody reads: its cause is what Read would return.
func (r *Reader) Context() context.Context { return r.handle.ctx }

// Close makes room for another reader, and ends a Read that waits. It may be called more than once, also at the same
// time as other methods.
func (r *Reader) Close() { r.hub.unregister(r.state, r.handle) }

// PartitionBounds says what a partition of the built-in endpoint holds now. p has ServiceConnect for the hub's event hub, or
// one of its consumer groups, or for this partition in one of them.
//
// Errors: CodeUnauthorizedAccess, CodeNoSuchHub, CodeNoSuchPartition; the log's.
func (h *Hub) PartitionBounds(ctx context.Context, p *access.Principal, partition int) (Bounds, error) {
	_, c, err := h.permitEventHub(p, "Partitions", itoa(partition))
	if err != nil {
		return Bounds{}, err
	}
	of, err := c.partition(partition)
	if err != nil {
		return Bounds{}, err
	}
	return h.log.Bounds(ctx, of)
}

// EventHub returns a hub's configuration, without its policies, to who may read its events. p has ServiceConnect for the
// hub's event hub, or one of its consumer groups.
//
// Errors: CodeUnauthorizedAccess, CodeNoSuchHub.
func (h *Hub) EventHub(p *access.Principal) (Config, error) {
	_, c, err := h.permitEventHub(p)
	if err != nil {
		return Config{}, err
	}
	out := c.clone()
	out.Policies = nil
	return out, nil
}

// permitEventHub is permit for what the event hub tells of itself: to who may read it, its node, or one of its consumer
// groups, as tokens of different clients say. Of a group, what below names is enough.
func (h *Hub) permitEventHub(p *access.Principal, below ...string) (*state, *Config, error) {
	_, c, err := h.findRef(p.Hub)
	if err != nil {
		return nil, nil, err
	}
	paths := [][]string{{c.Name}, {c.Name, "$management"}}
	for _, g := range c.ConsumerGroups {
		paths = append(paths, append(groupPath(c.Name, g), below...))
	}
	return h.permitAt(access.DoorEvents, p, access.ServiceConnect, paths...)
}

// partition returns one of the partitions of the built-in endpoint, or an error in the words of the cloud service.
func (c *Config) partition(id int) (Partition, error) {
	if id < 0 || id >= c.Partitions {
		return Partition{}, hubward.Errorf(hubward.CodeNoSuchPartition, "The specified partition is invalid for an EventHub partition "+
			"sender or receiver. It should be between 0 and %d.", c.Partitions-1)
	}
	return Partition{c.logName(), EndpointEvents, id}, nil
}
