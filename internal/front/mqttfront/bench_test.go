package mqttfront_test

import (
	"context"
	"net"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/mqttfront"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/mqttwire"
)

var bags = []struct{ name, bag string }{
	{"none", ""},
	{"python", "%24.mid=0b8cdd4c-0a8b-4cc4-a4d1-6d0f2a3d9a35&%24.ct=application%2Fjson&%24.ce=utf-8&temperatureAlert=true"},
	{"properties", "runId=17&windAlert=false&line=4&unit=celsius&site=north"},
}

func BenchmarkReadBag(b *testing.B) {
	for _, r := range bags {
		b.Run(r.name, func(b *testing.B) {
			var m hubward.Message
			buffer := make([]byte, len(r.bag))
			b.ReportAllocs()
			for b.Loop() {
				copy(buffer, r.bag) // it is decoded in place
				m = hubward.Message{Properties: m.Properties[:0]}
				if err := mqttfront.ReadBag(&m, buffer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The path of a PUBLISH from its packet to the log and back to the PUBACK, without socket and disk.
func BenchmarkPublish(b *testing.B) {
	c := newBareConn(b)
	for _, r := range bags {
		publish := c.publisher(r.bag)
		b.Run(r.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				publish()
			}
		})
	}
}

func TestPublish_doesNotAllocate(t *testing.T) {
	c := newBareConn(t)
	for _, r := range bags {
		publish := c.publisher(r.bag)
		for range 200 {
			publish() // until buffers have their size
		}
		if n := testing.AllocsPerRun(2000, publish); n > 0 {
			t.Errorf("%s: %v allocations", r.name, n)
		}
	}
}

// bareConn is a connection of d1 with a log that keeps nothing.
type bareConn struct {
	t      testing.TB
	server *mqttfront.Server
	nc     net.Conn
	open   *mqttfront.OpenConn
}

func newBareConn(t testing.TB) *bareConn {
	t.Helper()
	h, plant, _, _ := newHub(t, func(log hub.EventLog) hub.EventLog { return forgetfulLog{log} })
	d, err := h.PutDevice(t.Context(), plant, hubward.Device{DeviceID: "d1"}, "")
	if err != nil {
		t.Fatal(err)
	}
	server := mqttfront.New(h, mqttfront.Options{})
	connect, err := mqttwire.AppendConnect(nil, login(t, d))
	if err != nil {
		t.Fatal(err)
	}
	_, size, err := mqttwire.ParseHeader(connect)
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	nc := unreadConn{far}
	open, err := mqttfront.Open(server, nc, connect[size:])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		open.Close()
		near.Close()
		server.Shutdown(context.Background())
	})
	return &bareConn{t, server, nc, open}
}

// publisher returns what publishes 256 bytes with that property bag.
func (c *bareConn) publisher(bag string) func() {
	handle := c.handler(bag)
	return func() {
		if err := handle(); err != nil {
			c.t.Fatal(err)
		}
	}
}

// handler returns what hands over a PUBLISH of 256 bytes with that property bag.
func (c *bareConn) handler(bag string) func() error {
	c.t.Helper()
	packet, err := mqttwire.AppendPublish(nil, &mqttwire.PublishPacket{QoS: 1, ID: 7, Topic: []byte(eventsTopic + bag), Payload: make([]byte, 256)})
	if err != nil {
		c.t.Fatal(err)
	}
	header, size, err := mqttwire.ParseHeader(packet)
	if err != nil {
		c.t.Fatal(err)
	}
	body := make([]byte, header.Length)
	return func() error {
		copy(body, packet[size:]) // it is decoded in place
		return c.open.Handle(header, body)
	}
}

// unreadConn takes everything at once and gives it to nobody.
type unreadConn struct{ net.Conn }

func (unreadConn) Write(b []byte) (int, error) { return len(b), nil }

// forgetfulLog confirms everything and keeps nothing.
type forgetfulLog struct{ hub.EventLog }

func (forgetfulLog) Producer(_ hub.Partition, done func(int, error)) hub.Producer {
	return &forgetfulProducer{done: done}
}

type forgetfulProducer struct {
	done    func(int, error)
	waiting int
}

// Append confirms in groups, as a log does that shares syncs.
func (p *forgetfulProducer) Append(context.Context, []byte) error {
	if p.waiting++; p.waiting == 40 {
		p.waiting = 0
		p.done(40, nil)
	}
	return nil
}
