package device_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
)

// amqpHub is a hub over AMQP on loopback, without TLS, that grants every token, takes telemetry, and hands what comes on the
// other links to the test, which answers it.
type amqpHub struct {
	t       *testing.T
	server  *amqpengine.Server
	addr    string
	cs      string               // of clients
	refuse  string               // links to this node are refused
	came    chan amqpArrival     // what came on links to "twin" and "methods/devicebound"
	links   chan amqpwire.Attach // these links
	serving sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	conns   []*amqpengine.Conn
	senders map[string]*amqpengine.Sender // the youngest, by node
}

// amqpArrival is a message from the device.
type amqpArrival struct {
	node    string
	message *amqpwire.Message
}

func startAMQPHub(t *testing.T) *amqpHub {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &amqpHub{
		t: t, addr: l.Addr().String(), cs: testConnectionString, came: make(chan amqpArrival, 100), links: make(chan amqpwire.Attach, 100),
		senders: map[string]*amqpengine.Sender{},
	}
	h.server = amqpengine.New(h, amqpengine.Options{})
	h.serving.Go(func() { h.server.Serve(l) })
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		h.server.Shutdown(ctx)
		h.serving.Wait()
	})
	return h
}

// client makes a client of the hub and connects it.
func (h *amqpHub) client(opts device.Options) *device.Client {
	h.t.Helper()
	opts.Protocol = device.AMQP
	opts.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, h.addr)
	}
	c, err := device.NewFromConnectionString(h.cs, device.ForPipe(opts))
	if err != nil {
		h.t.Fatal(err)
	}
	if err := c.Connect(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		c.Close(ctx)
	})
	return c
}

// Connect implements amqpengine.Handler.
func (h *amqpHub) Connect(c *amqpengine.Conn) amqpengine.Peer {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns = append(h.conns, c)
	return &amqpPeer{hub: h}
}

// cut breaks all connections.
func (h *amqpHub) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns {
		c.NetConn().Close()
	}
	h.conns = nil
}

// next returns the next message from the device, which has to come to that node.
func (h *amqpHub) next(node string) *amqpwire.Message {
	h.t.Helper()
	select {
	case a := <-h.came:
		if a.node != node {
			h.t.Fatalf("a message came to %s, want %s", a.node, node)
		}
		return a.message
	case <-time.After(20 * time.Second):
		h.t.Fatalf("no message came to %s", node)
		return nil
	}
}

// link returns the next link that the device opened.
func (h *amqpHub) link() amqpwire.Attach {
	h.t.Helper()
	select {
	case a := <-h.links:
		return a
	case <-time.After(20 * time.Second):
		h.t.Fatal("no link came")
		return amqpwire.Attach{}
	}
}

// send sends a message on the link from a node.
func (h *amqpHub) send(node string, m *amqpwire.Message) {
	h.t.Helper()
	if err := h.post(node, m); err != nil {
		h.t.Fatal(err)
	}
}

func (h *amqpHub) post(node string, m *amqpwire.Message) error {
	return h.postAs(node, m, amqpengine.Outgoing{Settled: true})
}

// postAs sends m on the link from a node, as o says.
func (h *amqpHub) postAs(node string, m *amqpwire.Message, o amqpengine.Outgoing) error {
	payload, err := m.Append(nil)
	if err != nil {
		return err
	}
	h.mu.Lock()
	s := h.senders[node]
	h.mu.Unlock()
	if s == nil {
		return errors.New("there is no link from " + node)
	}
	o.Payload = payload
	s.Post(o)
	return nil
}

// amqpPeer is its side of one connection.
type amqpPeer struct{ hub *amqpHub }

func (p *amqpPeer) Login(amqpengine.Login) amqpwire.SASLCode { return amqpwire.SASLOK }
func (p *amqpPeer) Open(*amqpwire.Open) *amqpwire.Error      { return nil }
func (p *amqpPeer) Closed(error)                             {}

// Attach implements amqpengine.Peer.
func (p *amqpPeer) Attach(l *amqpengine.Link) {
	h, a := p.hub, l.Attach()
	address := a.Source.Address
	if a.Role == amqpwire.RoleSender {
		address = a.Target.Address
	}
	node := strings.TrimPrefix(address, "/devices/d1/")
	switch {
	case node == h.refuse:
		l.Refuse(&amqpwire.Error{Condition: amqpwire.NotImplemented, Description: "there is none"})
		return
	case node == "twin" || node == "methods/devicebound" || strings.HasPrefix(node, "modules/") && a.Role == amqpwire.RoleReceiver:
		h.links <- *a
	}
	if a.Role != amqpwire.RoleSender {
		s := l.AcceptSender(amqpengine.SenderOptions{MaxPosted: 1000})
		h.mu.Lock()
		h.senders[node] = s
		h.mu.Unlock()
		return
	}
	l.AcceptReceiver(amqpengine.ReceiverOptions{Deliver: func(d *amqpengine.Delivery) { p.deliver(node, d) }})
}

func (p *amqpPeer) deliver(node string, d *amqpengine.Delivery) {
	m, err := amqpwire.DecodeMessage(append([]byte(nil), d.Payload...))
	d.Settle(&amqpwire.Accepted{})
	switch {
	case err != nil:
		p.hub.t.Error(err)
	case node == "$cbs":
		granted := &amqpwire.Message{
			Properties:            &amqpwire.Properties{CorrelationID: m.Properties.MessageID},
			ApplicationProperties: amqpwire.Map{{Key: "status-code", Value: int32(200)}},
		}
		if err := p.hub.post("$cbs", granted); err != nil {
			p.hub.t.Error(err)
		}
	case !strings.HasSuffix(node, "messages/events"):
		p.hub.came <- amqpArrival{node, m}
	}
}
