package mqttfront_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/eventlog/memlog"
	"github.com/hubward/hubward/internal/front/mqttfront"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/mqttwire"
	"github.com/hubward/hubward/internal/store/sqlstore"
	"github.com/hubward/hubward/sas"
)

// bench is a front end over a hub in memory, reached through pipes: it works inside a synctest bubble.
type bench struct {
	t      *testing.T
	hub    *hub.Hub
	log    *memlog.Log
	server *mqttfront.Server
	conns  chan net.Conn
	done   chan struct{}
	once   sync.Once
}

func newBench(t *testing.T) *bench {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), sqlstore.Options{Path: sqlstore.Memory})
	if err != nil {
		t.Fatal(err)
	}
	log := memlog.Open(memlog.Options{})
	h, err := hub.Open(t.Context(), hub.Options{Store: store, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.CreateHub(t.Context(), hub.NewHub{Name: "plant"}); err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, hub: h, log: log, server: mqttfront.New(h, mqttfront.Options{}), conns: make(chan net.Conn), done: make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- b.server.Serve(b) }()
	t.Cleanup(func() {
		b.stop()
		if err := <-served; !errors.Is(err, mqttfront.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
		log.Close()
		store.Close()
	})
	return b
}

func (b *bench) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := b.server.Shutdown(ctx); err != nil {
		b.t.Errorf("Shutdown: %v", err)
	}
}

// Accept, Close and Addr make it a net.Listener.
func (b *bench) Accept() (net.Conn, error) {
	select {
	case nc := <-b.conns:
		return nc, nil
	case <-b.done:
		return nil, net.ErrClosed
	}
}

func (b *bench) Close() error {
	b.once.Do(func() { close(b.done) })
	return nil
}

func (b *bench) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (b *bench) createDevice(id string) *hubward.Device {
	b.t.Helper()
	d, err := b.hub.PutDevice(b.t.Context(), "plant", hubward.Device{DeviceID: id}, "")
	if err != nil {
		b.t.Fatal(err)
	}
	return d
}

// client is a device that is spoken for packet by packet.
type client struct {
	t  *testing.T
	nc net.Conn
	in *bufio.Reader
}

func (b *bench) dial() *client {
	b.t.Helper()
	near, far := net.Pipe()
	b.conns <- far
	b.t.Cleanup(func() { near.Close() })
	return &client{b.t, near, bufio.NewReader(near)}
}

// token is good for an hour.
func token(t *testing.T, d *hubward.Device) []byte {
	t.Helper()
	text, err := sas.Sign("localhost/devices/"+d.DeviceID, string(d.Authentication.SymmetricKey.PrimaryKey), "", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(text)
}

// login is the CONNECT of a usual SDK.
func login(t *testing.T, d *hubward.Device) *mqttwire.ConnectPacket {
	return &mqttwire.ConnectPacket{
		KeepAlive: time.Minute, ClientID: d.DeviceID, HasUser: true, HasPassword: true,
		User: "localhost/" + d.DeviceID + "/?api-version=2021-04-12", Password: token(t, d),
	}
}

func (c *client) send(packet []byte, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.nc.Write(packet); err != nil {
		c.t.Errorf("write: %v", err)
	}
}

func (c *client) publish(qos byte, id uint16, topic, payload string) {
	c.t.Helper()
	c.send(mqttwire.AppendPublish(nil, &mqttwire.PublishPacket{QoS: qos, ID: id, Topic: []byte(topic), Payload: []byte(payload)}))
}

// next reads one packet.
func (c *client) next() (mqttwire.Type, []byte, error) {
	first, err := c.in.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	length, err := c.in.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	if length > 127 {
		more, err := c.in.ReadByte()
		if err != nil {
			return 0, nil, err
		}
		body := make([]byte, int(length&127)|int(more)<<7)
		_, err = io.ReadFull(c.in, body)
		return mqttwire.Type(first >> 4), body, err
	}
	body := make([]byte, length)
	_, err = io.ReadFull(c.in, body)
	return mqttwire.Type(first >> 4), body, err
}

func (c *client) expect(want mqttwire.Type) []byte {
	c.t.Helper()
	got, body, err := c.next()
	if err != nil || got != want {
		c.t.Fatalf("got %v, %v; want %v", got, err, want)
	}
	return body
}

// expectEnd checks that the server closes without another packet.
func (c *client) expectEnd() {
	c.t.Helper()
	if got, _, err := c.next(); !errors.Is(err, io.EOF) {
		c.t.Errorf("got %v, %v; want the end", got, err)
	}
}

// connect logs in and returns SessionPresent.
func (c *client) connect(p *mqttwire.ConnectPacket) bool {
	c.t.Helper()
	c.send(mqttwire.AppendConnect(nil, p))
	ack, err := mqttwire.ParseConnack(c.expect(mqttwire.Connack))
	if err != nil || ack.Code != mqttwire.Accepted {
		c.t.Fatalf("CONNACK %+v, %v", ack, err)
	}
	return ack.SessionPresent
}

func (c *client) expectPuback(want uint16) {
	c.t.Helper()
	if id, err := mqttwire.ParseID(c.expect(mqttwire.Puback)); err != nil || id != want {
		c.t.Errorf("PUBACK %d, %v; want %d", id, err, want)
	}
}

// events reads what the hub has stored, n events.
func (b *bench) events(n int) []*hubward.Event {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 10*time.Second)
	defer cancel()
	var got []*hubward.Event
	if n == 0 {
		return nil
	}
	enough := errors.New("enough")
	err := b.hub.ReadEvents(ctx, hub.EventQuery{Hub: "plant", From: hub.Position{Earliest: true}}, func(e *hubward.Event) error {
		if e != nil {
			got = append(got, e)
		}
		if len(got) == n {
			return enough
		}
		return nil
	})
	if err != enough {
		b.t.Fatalf("%d of %d events: %v", len(got), n, err)
	}
	return got
}

// stored counts the events that the hub has.
func (b *bench) stored() (n int64) {
	b.t.Helper()
	for id := range 4 {
		bounds, err := b.log.Bounds(context.Background(), hub.Partition{Hub: "plant", Endpoint: hub.EndpointEvents, ID: id})
		if err != nil {
			b.t.Fatal(err)
		}
		n += bounds.Next
	}
	return n
}
