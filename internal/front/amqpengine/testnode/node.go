package testnode

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"net"
	"strings"
	"sync"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
)

// Node is a running node. Start makes one.
type Node struct {
	Server  *amqpengine.Server
	addr    string
	serving sync.WaitGroup // Serve, and the goroutines of slow links

	mu     sync.Mutex // guards queues
	queues map[string]*queue
}

// New makes a node that serves no listener yet: use its Server.
func New(o amqpengine.Options) *Node {
	n := &Node{queues: make(map[string]*queue)}
	n.Server = amqpengine.New(n, o)
	return n
}

// Start makes a node that listens on a free port of the loopback interface, with TLS if config is not nil.
func Start(o amqpengine.Options, config *tls.Config) (*Node, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n := New(o)
	n.addr = l.Addr().String()
	if config != nil {
		l = tls.NewListener(l, config)
	}
	n.serving.Go(func() { n.Server.Serve(l) })
	return n, nil
}

// Addr is host:port of the node's listener.
func (n *Node) Addr() string { return n.addr }

// Shutdown ends the node and waits for everything that belongs to it.
func (n *Node) Shutdown(ctx context.Context) error {
	err := n.Server.Shutdown(ctx)
	n.serving.Wait()
	return err
}

// Connect implements amqpengine.Handler.
func (n *Node) Connect(c *amqpengine.Conn) amqpengine.Peer { return &peer{node: n, conn: c} }

func (n *Node) queue(name string) *queue {
	n.mu.Lock()
	defer n.mu.Unlock()
	q := n.queues[name]
	if q == nil {
		q = &queue{changed: make(chan struct{})}
		n.queues[name] = q
	}
	return q
}

// peer is the node's side of one connection.
type peer struct {
	node *Node
	conn *amqpengine.Conn
	echo *amqpengine.Sender // the youngest
}

// Login implements amqpengine.Peer.
func (p *peer) Login(l amqpengine.Login) amqpwire.SASLCode {
	switch l.Mechanism {
	case "ANONYMOUS", "MSSBCBS":
		return amqpwire.SASLOK
	case "PLAIN":
		if subtle.ConstantTimeCompare(l.Response, []byte("\x00user\x00secret")) == 1 {
			return amqpwire.SASLOK
		}
	}
	return amqpwire.SASLAuth
}

// Open implements amqpengine.Peer. The host name "refused" is refused.
func (p *peer) Open(o *amqpwire.Open) *amqpwire.Error {
	if o.Hostname == "refused" {
		return &amqpwire.Error{Condition: amqpwire.NotAllowed, Description: "this host name is refused"}
	}
	return nil
}

// Closed implements amqpengine.Peer.
func (p *peer) Closed(error) {}

// Attach implements amqpengine.Peer.
func (p *peer) Attach(l *amqpengine.Link) {
	a := l.Attach()
	address := a.Source.Address
	if a.Role == amqpwire.RoleSender {
		address = a.Target.Address
	}
	kind, rest, _ := strings.Cut(address, "/")
	switch {
	case kind == "refuse":
		l.Refuse(&amqpwire.Error{Condition: amqpwire.Symbol(rest), Description: "the address says so"})
	case kind == "panic":
		panic("the address says so")
	case a.Role == amqpwire.RoleSender:
		p.receive(l, kind, rest)
	default:
		p.send(l, kind, rest)
	}
}

func notFound(l *amqpengine.Link) {
	l.Refuse(&amqpwire.Error{Condition: amqpwire.NotFound, Description: "there is no such address"})
}

// receive accepts a link on which the peer sends.
func (p *peer) receive(l *amqpengine.Link, kind, rest string) {
	o := amqpengine.ReceiverOptions{}
	switch kind {
	case "queue":
		o.Deliver = p.node.queue(rest).deliver
	case "echo":
		o.Deliver = p.deliverEcho
	case "reject":
		o.Deliver = func(d *amqpengine.Delivery) { d.Settle(rejected(amqpwire.NotAllowed)) }
	case "slow":
		o.Credit = 100
		o.Deliver, o.Closed = p.node.slow()
	case "never-credit":
		o.Credit = 1
		o.Deliver = func(*amqpengine.Delivery) {}
	case "break":
		o.Deliver = func(*amqpengine.Delivery) {}
		defer l.Detach(&amqpwire.Error{Condition: amqpwire.Symbol(rest), Description: "the address says so"})
	default:
		notFound(l)
		return
	}
	l.AcceptReceiver(o)
}

// send accepts a link on which the peer receives.
func (p *peer) send(l *amqpengine.Link, kind, rest string) {
	switch kind {
	case "queue":
		q := p.node.queue(rest)
		l.AcceptSender(amqpengine.SenderOptions{Run: q.run})
	case "echo":
		p.echo = l.AcceptSender(amqpengine.SenderOptions{})
	case "break":
		l.AcceptSender(amqpengine.SenderOptions{})
		l.Detach(&amqpwire.Error{Condition: amqpwire.Symbol(rest), Description: "the address says so"})
	default:
		notFound(l)
	}
}

func (p *peer) deliverEcho(d *amqpengine.Delivery) {
	d.Settle(&amqpwire.Accepted{}) // before the answer: some clients need that order
	if p.echo != nil {
		p.echo.Post(amqpengine.Outgoing{Payload: d.Payload, Format: d.Format, Settled: true})
	}
}

func rejected(condition amqpwire.Symbol) amqpwire.DeliveryState {
	return &amqpwire.Rejected{Error: &amqpwire.Error{Condition: condition, Description: "the address says so"}}
}
