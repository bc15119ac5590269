package amqpfront

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/hub/eventcodec"
)

// Bounds of what a reader link reads and sends in one go.
const (
	maxBatchBytes  = 64 << 10 // of records; one event may be larger
	maxBatchEvents = 512
	maxKeptBuffer  = 256 << 10 // a buffer that grew beyond it is not kept
)

// Names on a reader's attach.
//
// Source: Azure/azure-sdk-for-go sdk/messaging/azeventhubs/partition_client.go; the SDKs for .NET, Java, JavaScript and
// Python use the same names.
const (
	propertyEpoch = "com.microsoft:epoch"
	propertyName  = "com.microsoft:receiver-name"

	runtimeMetric amqpwire.Symbol = "com.microsoft:enable-receiver-runtime-metric"
)

// attachReader serves a link that reads a partition.
func attachReader(c *conn, l *amqpengine.Link, a *address) *amqpwire.Error {
	p := c.principalOf(l)
	group, ok := c.groupName(p, a.group)
	if !ok || !c.isEventHub(a.eventHub) {
		return noSuchEntity(c, l, a)
	}
	o := hub.ReaderOptions{ConsumerGroup: group, Partition: partitionID(a.partition)}
	o.Name, _ = amqpwire.Text(l.Attach().Properties.Get(propertyName))
	var e *amqpwire.Error
	if o.Epoch, e = epochOf(l.Attach().Properties); e != nil {
		return e
	}
	if o.Start, e = c.readerStart(l, p, o.Partition); e != nil {
		return e
	}
	key := readerKey{c.hub.Name, group, o.Partition}
	reader, err := c.server.openReader(l.Context(), p, key, o)
	if err != nil {
		return c.readerError(err, a)
	}
	r := &readerLink{
		conn: c, link: l, key: key, reader: reader, address: a, logger: c.logger.With("partition", o.Partition, "group", group),
	}
	r.start(slices.Contains(l.Attach().DesiredCapabilities, runtimeMetric))
	return nil
}

func epochOf(properties amqpwire.Map) (*int64, *amqpwire.Error) {
	v := properties.Get(propertyEpoch)
	if v == nil {
		return nil, nil
	}
	epoch, ok := amqpwire.Integer(v)
	if !ok {
		return nil, argumentError("The property %s is no integer.", propertyEpoch)
	}
	if epoch < 0 {
		return nil, newError(conditionOutOfRange, "The property %s is %d. It should not be negative.", propertyEpoch, epoch)
	}
	return &epoch, nil
}

// groupName returns a consumer group as the hub spells it.
func (c *conn) groupName(p *access.Principal, name string) (string, bool) {
	config, err := c.server.hub.OwnHub(p)
	if err != nil {
		return "", false
	}
	i := slices.IndexFunc(config.ConsumerGroups, func(g string) bool { return strings.EqualFold(g, name) })
	if i < 0 {
		return "", false
	}
	return config.ConsumerGroups[i], true
}

// readerStart reads the link's filter.
func (c *conn) readerStart(l *amqpengine.Link, p *access.Principal, partition int) (hub.Position, *amqpwire.Error) {
	start, err := positionOf(l.Attach().Source.Filter)
	var bad *badPosition
	if !errors.As(err, &bad) {
		if err != nil {
			return start, wireError(err)
		}
		return start, nil
	}
	bounds, err := c.server.hub.PartitionBounds(l.Context(), p, partition)
	if err != nil {
		return start, c.readerError(err, nil)
	}
	return start, argumentError("%s", bad.text(hub.FormatOffset(bounds.Next-1)))
}

// readerError is what a reader is told of an error of the hub. Our own failures are logged.
func (c *conn) readerError(err error, a *address) *amqpwire.Error {
	e := wireError(err)
	switch {
	case e.Condition == amqpwire.NotFound && a != nil:
		return noSuchEntity(c, nil, a)
	case e.Condition == amqpwire.InternalError && !errors.Is(err, context.Canceled):
		c.logger.Error("amqp reader failed", "hub", c.hub.Name, "error", err, "tracking", c.server.track(e))
	}
	return e
}

// readerLink sends the events of one partition on one link.
type readerLink struct {
	conn    *conn
	link    *amqpengine.Link
	key     readerKey
	reader  *hub.Reader
	address *address
	logger  *slog.Logger

	// Touched by run only.
	limit   int // events that may be in the batch
	buffer  []byte
	ends    []int // where in buffer each message of the batch ends
	out     []amqpengine.Outgoing
	failure error // what stopped the batch

	metric *metricSection // nil: the client did not ask for it
}

// start accepts the link. The reader is closed with it.
func (r *readerLink) start(metric bool) {
	options := amqpengine.SenderOptions{Run: r.run}
	if metric {
		r.metric = &metricSection{now: r.conn.server.now}
		options.Capabilities = []amqpwire.Symbol{runtimeMetric}
	}
	server := r.conn.server
	server.readers.add(r)
	server.observer.Readers(r.key.hub, r.key.group, 1)
	// A peer that does not answer our detach keeps its link, but is no reader.
	uncount := func() { server.observer.Readers(r.key.hub, r.key.group, -1) }
	// Another reader may displace it while the link waits for credit: the peer is told at once.
	stop := context.AfterFunc(r.reader.Context(), func() {
		uncount()
		if r.link.Context().Err() == nil {
			r.link.Detach(r.ended(context.Cause(r.reader.Context())))
		}
	})
	options.Closed = func() {
		if stop() {
			uncount()
		}
		r.reader.Close()
		r.conn.forget(r.link)
		server.readers.remove(r)
	}
	r.link.AcceptSender(options)
}

// ended is what the peer is told of why its reader has ended.
func (r *readerLink) ended(err error) *amqpwire.Error {
	e := r.conn.readerError(err, r.address)
	r.logger.Debug("amqp reader ended", "error", err, "tracking", r.conn.server.track(e))
	return e
}

// run sends events as the peer gives credit, until the link ends.
func (r *readerLink) run(ctx context.Context, s *amqpengine.Sender) *amqpwire.Error {
	take := r.take
	for {
		err := r.step(ctx, s, take)
		switch {
		case ctx.Err() != nil:
			return nil // the link has ended, and the peer knows
		case err != nil:
			return r.ended(err)
		}
	}
}

// step waits for credit, then for events, and sends a batch of them. It never reads more than it may send.
func (r *readerLink) step(ctx context.Context, s *amqpengine.Sender, take func(hub.Record) bool) error {
	credit, err := s.Wait(ctx)
	if err != nil {
		return err
	}
	r.limit = min(credit, maxBatchEvents)
	r.buffer, r.ends, r.failure = r.buffer[:0], r.ends[:0], nil
	err = r.reader.Read(ctx, maxBatchBytes, take)
	if len(r.ends) > 0 {
		if sendErr := r.send(ctx, s); sendErr != nil {
			return sendErr
		}
	}
	if err == nil {
		err = r.failure
	}
	return err
}

// take adds one event to the batch: the hot path.
func (r *readerLink) take(record hub.Record) (more bool) {
	buffer, err := eventcodec.AppendMessage(r.buffer, record.Data, record.SequenceNumber, record.Enqueued)
	if err != nil {
		r.failure = r.reader.Undecodable(record.SequenceNumber, err)
		return false
	}
	r.buffer = buffer
	r.ends = append(r.ends, len(buffer))
	return len(r.ends) < r.limit
}

// send sends the batch.
func (r *readerLink) send(ctx context.Context, s *amqpengine.Sender) error {
	buffer, ends := r.buffer, r.ends
	if r.metric != nil {
		bounds, err := r.reader.Bounds(ctx)
		if err != nil {
			return err
		}
		buffer, ends = r.metric.prepend(bounds, buffer, ends)
	}
	r.out = r.out[:0]
	start := 0
	for _, end := range ends {
		r.out = append(r.out, amqpengine.Outgoing{Payload: buffer[start:end], Settled: true})
		start = end
	}
	n, err := s.Send(ctx, r.out...)
	if n > 0 {
		r.conn.server.observer.EventsDelivered(r.key.hub, r.key.group, n, ends[n-1])
	}
	if cap(r.buffer) > maxKeptBuffer {
		r.buffer, r.out = nil, nil
	}
	return err
}
