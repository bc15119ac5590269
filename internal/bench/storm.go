package bench

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubward/hubward/internal/mqttwire"
)

// Of devices that come back.
const (
	minBackoff = 100 * time.Millisecond // after a connection that failed; doubled each time, and half of it is chance
	maxBackoff = 5 * time.Second
)

// StormResult is what Storm measured.
type StormResult struct {
	Devices int        `json:"devices"`
	Full    StormRound `json:"full"`    // with full TLS handshakes
	Resumed StormRound `json:"resumed"` // with session tickets

	acked map[string]int64
}

// StormRound is one return of all devices. Times are from the moment at which all connections were cut.
type StormRound struct {
	Last      float64 `json:"lastSeconds"`        // until the last CONNACK
	P50       float64 `json:"p50Milliseconds"`    // until CONNACK
	P99       float64 `json:"p99Milliseconds"`    // until CONNACK
	Settled   float64 `json:"settledSeconds"`     // until all messages that were under way at the cut are acknowledged
	Retries   int64   `json:"retries"`            // connections that failed and were tried again
	Tickets   int64   `json:"resumedConnections"` // whose session was resumed
	CPUMicros float64 `json:"serverCPUMicrosecondsPerDevice,omitempty"`
}

// Acked is how many messages were acknowledged.
func (r *StormResult) Acked() (n int64) {
	for _, acked := range r.acked {
		n += acked
	}
	return n
}

// NewCheck is as Result.NewCheck.
func (r *StormResult) NewCheck(run string) *Check {
	return (&Result{acked: r.acked}).NewCheck(run)
}

// Storm connects the devices of o, cuts all their connections at one moment, and has all come back at once; first with full TLS
// handshakes, then with session tickets. At the cut each device has sent a message whose acknowledgement it has not seen, and it
// sends that again as soon as it is back. Of o, Window, QoS, Rate, Warm and Duration count for nothing.
func Storm(ctx context.Context, o Options) (*StormResult, error) {
	devices := make([]*stormDevice, len(o.Devices))
	for i, d := range o.Devices {
		devices[i] = newStormDevice(&o, d)
	}
	defer func() {
		for _, d := range devices {
			d.cut()
		}
	}()
	err := each(ctx, devices, func(d *stormDevice) error {
		if err := d.connect(ctx, true); err != nil {
			return err
		}
		return d.publish() // what comes first also brings the session ticket
	})
	if err != nil {
		return nil, err
	}
	r := &StormResult{Devices: len(devices), acked: make(map[string]int64)}
	if r.Full, err = storm(ctx, &o, devices, false); err == nil {
		r.Resumed, err = storm(ctx, &o, devices, true)
	}
	for _, d := range devices {
		r.acked[d.device.ID] = d.acked
	}
	return r, err
}

// storm cuts all connections and waits until all devices are back and settled.
func storm(ctx context.Context, o *Options, devices []*stormDevice, tickets bool) (r StormRound, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err = each(ctx, devices, func(d *stormDevice) error { return d.send(false) })
	if err != nil {
		return r, err
	}
	var back sync.WaitGroup
	var retries, resumed atomic.Int64
	cut := make(chan struct{})
	var at time.Time // set before cut is closed
	for _, d := range devices {
		d.back, d.settled = 0, 0
		back.Go(func() {
			<-cut
			if err := d.comeBack(ctx, at, tickets, &retries); err != nil {
				cancel(err)
			} else if d.conn.nc.(*tls.Conn).ConnectionState().DidResume {
				resumed.Add(1)
			}
		})
	}
	before := snapshot(o, func() int64 { return 0 })
	at = time.Now()
	for _, d := range devices {
		d.cut()
	}
	close(cut)
	back.Wait()
	after := snapshot(o, func() int64 { return 0 })
	if err := context.Cause(ctx); err != nil {
		return r, err
	}
	r.fill(devices)
	r.Retries, r.Tickets = retries.Load(), resumed.Load()
	if !before.noCPU && !after.noCPU {
		r.CPUMicros = float64((after.cpu - before.cpu).Microseconds()) / float64(len(devices))
	}
	return r, nil
}

// fill works the times out.
func (r *StormRound) fill(devices []*stormDevice) {
	var all []time.Duration
	for _, d := range devices {
		all = append(all, d.back)
		r.Last = max(r.Last, d.back.Seconds())
		r.Settled = max(r.Settled, d.settled.Seconds())
	}
	r.P50, r.P99 = percentile(all, 0.50), percentile(all, 0.99)
}

// stormDevice is one device. It belongs to one goroutine at a time.
type stormDevice struct {
	o       Options // with TLS of its own, which keeps its session tickets
	full    *tls.Config
	tickets *tls.Config
	device  Device
	conn    *conn // nil: none
	sending *telemetry
	acked   int64 // messages 0 to acked-1

	back, settled time.Duration // of the last storm, from the cut on
}

func newStormDevice(o *Options, device Device) *stormDevice {
	d := &stormDevice{o: *o, device: device, full: o.TLS, tickets: o.TLS.Clone()}
	d.o.QoS = 1
	d.tickets.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	d.sending = newTelemetry(&d.o, device)
	return d
}

func (d *stormDevice) connect(ctx context.Context, tickets bool) (err error) {
	d.o.TLS = d.full
	if tickets {
		d.o.TLS = d.tickets
	}
	d.conn, err = dial(ctx, &d.o, d.device)
	return err
}

// cut ends the connection as a power cut does, without a word to the server but the reset of TCP.
func (d *stormDevice) cut() {
	if d.conn == nil {
		return
	}
	socket := d.conn.nc.(*tls.Conn).NetConn()
	if tcp, ok := socket.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	socket.Close()
	d.conn = nil
}

// comeBack connects again, as often as it takes, and sends what was not acknowledged.
func (d *stormDevice) comeBack(ctx context.Context, cut time.Time, tickets bool, retries *atomic.Int64) error {
	for pause := minBackoff; ; pause = min(2*pause, maxBackoff) {
		err := d.connect(ctx, tickets)
		if err == nil {
			d.back = time.Since(cut)
			if err = d.publish(); err == nil {
				d.settled = time.Since(cut)
				return nil
			}
			d.cut()
		}
		if time.Since(cut) > 2*time.Minute {
			return fmt.Errorf("device %s is not back after two minutes: %w", d.device.ID, err)
		}
		retries.Add(1)
		select {
		case <-time.After(pause/2 + rand.N(pause/2)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// send sends the next message and does not wait for the acknowledgement.
func (d *stormDevice) send(again bool) error {
	packet, err := d.sending.appendRequest(nil, d.acked, 1)
	if err != nil {
		return err
	}
	if again {
		packet[0] |= 1 << 3 // DUP, [MQTT-3.3.1-1]
	}
	d.conn.nc.SetWriteDeadline(time.Now().Add(dialTimeout))
	_, err = d.conn.nc.Write(packet)
	return err
}

// publish sends the next message, which may have been sent before, and waits for the acknowledgement.
func (d *stormDevice) publish() error {
	if err := d.send(true); err != nil {
		return err
	}
	d.conn.nc.SetReadDeadline(time.Now().Add(dialTimeout))
	for {
		h, body, err := d.conn.read()
		if err != nil {
			return fmt.Errorf("device %s: %w", d.device.ID, err)
		}
		if h.Type == mqttwire.Puback && len(body) == 2 && binary.BigEndian.Uint16(body) == 1 {
			d.acked++
			return nil
		}
	}
}
