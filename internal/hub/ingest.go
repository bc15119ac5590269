package hub

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/hub/eventcodec"
)

// Ingest is the way of one device's telemetry into the log. It is for one goroutine at a time.
type Ingest struct {
	hub      *Hub
	name     string        // of the hub
	active   *atomic.Int64 // Unix milliseconds of the device's last sign of life
	producer Producer
	stamps   eventcodec.Stamps
}

// Ingest opens the way for l's telemetry. done runs after each shared commit that held messages of this Ingest: its n
// oldest unconfirmed messages are durable, or, with an error, are not known to be. Calls of done follow one another
// and must not block.
func (l *Link) Ingest(done func(n int, err error)) *Ingest {
	return l.hub.newIngest(l.state, &l.Principal, l.ModelID, &l.active, done)
}

func (h *Hub) newIngest(s *state, p *access.Principal, model string, active *atomic.Int64, done func(n int, err error)) *Ingest {
	name, config := s.ref.Name, h.config(s)
	partition := Partition{Hub: config.logName(), Endpoint: EndpointEvents, ID: PartitionOf(p.Identity.Device, config.Partitions)}
	return &Ingest{
		hub: h, name: name, active: active,
		stamps: eventcodec.NewStamps(eventcodec.Origin{
			Identity: p.Identity, Generation: p.Generation, AuthMethod: p.AuthMethod(),
			ModelID: model, Source: eventcodec.SourceTelemetry,
		}),
		producer: h.log.Producer(partition, func(n int, err error) {
			h.observer.TelemetryAttempt(name, n)
			if err != nil {
				h.observer.TelemetryRefused(name, hubward.CodeOf(err), n)
			} else {
				h.observer.TelemetryStored(name, n)
			}
			done(n, err)
		}),
	}
}

// Telemetry queues one device-to-cloud message and returns: done reports when it is durable. It keeps nothing of m, whose
// TTL becomes an Expiry. It blocks while the log's queue is full.
//
// Errors: those of CheckTelemetry; otherwise the log's or ctx's. After an error nothing was queued.
func (i *Ingest) Telemetry(ctx context.Context, m *hubward.Message) error {
	size, err := checkTelemetry(m)
	if err != nil {
		i.refused(err)
		return err
	}
	now := i.hub.now()
	if m.TTL > 0 && m.Expiry.IsZero() {
		m.Expiry = now.Add(m.TTL).UTC()
	}
	i.active.Store(now.UnixMilli())
	buf := recordBuffers.Get().(*[]byte)
	*buf = eventcodec.Append((*buf)[:0], i.stamps, now, m)
	err = i.producer.Append(ctx, *buf)
	if cap(*buf) <= maxPooledRecord {
		recordBuffers.Put(buf)
	}
	if err != nil {
		i.refused(err)
		return err
	}
	i.hub.observer.DeviceBytes(i.name, size)
	return nil
}

func (i *Ingest) refused(err error) {
	i.hub.observer.TelemetryAttempt(i.name, 1)
	i.hub.observer.TelemetryRefused(i.name, hubward.CodeOf(err), 1)
}

// recordBuffers holds the scratch space in which records are encoded, so that idle connections hold none.
var recordBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// maxPooledRecord keeps rare large messages from pinning memory.
const maxPooledRecord = 16 << 10
