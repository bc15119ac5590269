package amqpengine

import (
	"github.com/hubward/hubward/internal/amqpwire"
)

// Handler decides about the connections of a Server.
type Handler interface {
	// Connect returns the program's side of a connection; nil closes it. It is called when a connection was accepted and its TLS handshake is done, before anything else is read.
	Connect(c *Conn) Peer
}

// Peer is the program's side of one connection. Its methods are called one at a time, by the connection's reader; while
// one runs, nothing else of the connection is read.
type Peer interface {
	// Login is called when the peer logs in by SASL; a peer that does not, goes straight to Open. Any code but
	// SASLOK ends the connection.
	Login(l Login) amqpwire.SASLCode
	// Open is called with the peer's open. The server has its answer ready; an error closes the connection after it.
	Open(o *amqpwire.Open) *amqpwire.Error
	// Attach is called for each link the peer opens. It calls exactly one of the link's AcceptReceiver, AcceptSender and
	// Refuse before it returns.
	Attach(l *Link)
	// Closed is called once, last, when every link has ended. err says why: nil when the connection was closed in good order,
	// by the peer or by Close(nil); otherwise the *amqpwire.Error of either side's close, or why the connection broke.
	Closed(err error)
}

// Login is what a peer said in its sasl-init.
type Login struct {
	Mechanism string // one of Options.Mechanisms
	Response  []byte // the initial response; valid during the call
	Hostname  string // may be empty
}
