package hub

import (
	"context"
	"sync"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/eventcodec"
)

// Ingest is the way of one connection's telemetry into the log. It is for one goroutine at a time.
type Ingest struct {
	link     *Link
	producer Producer
	stamps   eventcodec.Stamps
}

// Ingest opens the way for l's telemetry. done runs after each shared commit that held messages of this Ingest: its n
// oldest unconfirmed messages are durable, or, with an error, are not known to be. Calls of done follow one another
// and must not block.
func (l *Link) Ingest(done func(n int, err error)) *Ingest {
	hub, name := l.hub, l.state.name
	l.hub.mu.RLock()
	partitions := l.state.config.Partitions
	l.hub.mu.RUnlock()
	p := Partition{Hub: name, ID: PartitionOf(l.Principal.Device.Device, partitions)}
	return &Ingest{
		link: l,
		stamps: eventcodec.NewStamps(eventcodec.Origin{
			Identity: l.Principal.Device, Generation: l.Principal.Generation, AuthMethod: l.Principal.AuthMethod(),
			ModelID: l.ModelID, Source: eventcodec.SourceTelemetry,
		}),
		producer: hub.log.Producer(p, func(n int, err error) {
			hub.observer.TelemetryAttempt(name, n)
			if err != nil {
				hub.observer.TelemetryRefused(name, hubward.CodeOf(err), n)
			} else {
				hub.observer.TelemetryStored(name, n)
			}
			done(n, err)
		}),
	}
}

// Telemetry queues one device-to-cloud message and returns: done reports when it is durable. It keeps nothing of m. It
// blocks while the log's queue is full.
//
// Errors: CodeMessageTooLarge beyond 256 KiB; otherwise the log's or ctx's. After an error nothing was queued.
func (i *Ingest) Telemetry(ctx context.Context, m *hubward.Message) error {
	h, l := i.link.hub, i.link
	size := m.Size()
	if size > hubward.MaxMessageSize {
		err := hubward.Errorf(hubward.CodeMessageTooLarge, "the message has %d bytes, the limit is %d", size, hubward.MaxMessageSize)
		h.refused(l, err)
		return err
	}
	now := h.now()
	l.active.Store(now.UnixMilli())
	buf := recordBuffers.Get().(*[]byte)
	*buf = eventcodec.Append((*buf)[:0], i.stamps, now, m)
	err := i.producer.Append(ctx, *buf)
	if cap(*buf) <= maxPooledRecord {
		recordBuffers.Put(buf)
	}
	if err != nil {
		h.refused(l, err)
		return err
	}
	h.observer.DeviceBytes(l.state.name, size)
	return nil
}

func (h *Hub) refused(l *Link, err error) {
	h.observer.TelemetryAttempt(l.state.name, 1)
	h.observer.TelemetryRefused(l.state.name, hubward.CodeOf(err), 1)
}

// recordBuffers holds the scratch space in which records are encoded, so that idle connections hold none.
var recordBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// maxPooledRecord keeps rare large messages from pinning memory.
const maxPooledRecord = 16 << 10
