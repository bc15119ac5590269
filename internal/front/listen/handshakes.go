package listen

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Time limits of a TLS handshake, from the accept on.
const (
	// helloTimeout bounds the wait for the ClientHello, in which a client costs its socket and a goroutine that reads.
	helloTimeout = 10 * time.Second
	// handshakeTimeout bounds all of it, the wait for its turn included.
	handshakeTimeout = 30 * time.Second
)

// defaultWaiting is how many connections wait for their turn at most, unless told.
const defaultWaiting = 16384

// Handshakes bounds the TLS handshakes of all listeners: at most Max compute at a time, which is what costs a server most
// of a new connection. The others wait for their turn, without a goroutine: in a queue that is fair between hubs, and between the
// sources of each, so that neither a flood from one address nor the devices of one hub that all come back keep others out.
//
// A client has a turn once its ClientHello is there, and up to the moment at which the server has to wait for it: those that are
// silent or slow take nobody's.
type Handshakes struct {
	o                     HandshakeOptions
	full, resumed, failed atomic.Int64
	silent, busy          atomic.Int64
	logged                logPacer

	mu    sync.Mutex // guards the fields below; a leaf
	free  int        // of the slots
	queue turns      // empty while one is free
}

// HandshakeOptions are what Handshakes is made of.
type HandshakeOptions struct {
	Max        int                            // handshakes that compute at a time; 0: runtime.GOMAXPROCS(0)
	MaxWaiting int                            // connections that wait for that; 0: 16,384
	HubOf      func(serverName string) string // whose host name it is, empty: nobody's; nil: all are nobody's
	Logger     *slog.Logger                   // nil: nothing is logged
	Now        func() time.Time               // for the log's pace; nil: time.Now
}

// NewHandshakes returns one of which all slots are free.
func NewHandshakes(o HandshakeOptions) *Handshakes {
	if o.Max <= 0 {
		o.Max = runtime.GOMAXPROCS(0)
	}
	if o.MaxWaiting <= 0 {
		o.MaxWaiting = defaultWaiting
	}
	if o.HubOf == nil {
		o.HubOf = func(string) string { return "" }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Handshakes{o: o, free: o.Max}
}

// HandshakeStats are numbers since the start, but Waiting.
type HandshakeStats struct {
	Full, Resumed, Failed int64
	Silent                int64 // closed because no ClientHello came in time
	Busy                  int64 // closed because too many waited, or for too long
	Waiting               int   // for their turn, now
}

// Stats returns the numbers.
func (h *Handshakes) Stats() HandshakeStats {
	h.mu.Lock()
	waiting := h.queue.n
	h.mu.Unlock()
	return HandshakeStats{
		Full: h.full.Load(), Resumed: h.resumed.Load(), Failed: h.failed.Load(), Silent: h.silent.Load(), Busy: h.busy.Load(), Waiting: waiting,
	}
}

// enter gives t a slot, at once or when its turn has come, and calls t.begin; or t.refuse, for whoever has most waiting has to
// give way when too many are.
func (h *Handshakes) enter(t *turn) {
	h.mu.Lock()
	if h.free > 0 {
		h.free--
		h.mu.Unlock()
		t.begin()
		return
	}
	h.queue.push(t)
	var out *turn
	if h.queue.n > h.o.MaxWaiting {
		out = h.queue.newestOfMost()
		h.queue.remove(out)
	}
	h.mu.Unlock()
	if out != nil {
		h.countBusy()
		out.refuse()
	}
}

// leave gives a slot to the next one.
func (h *Handshakes) leave() {
	h.mu.Lock()
	next := h.queue.pop()
	if next == nil {
		h.free++
	}
	h.mu.Unlock()
	if next != nil {
		next.begin()
	}
}

// withdraw takes t out, and reports whether it waited: who gets true has it for itself.
func (h *Handshakes) withdraw(t *turn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.queue.remove(t)
}

func (h *Handshakes) countBusy() {
	n := h.busy.Add(1)
	if h.logged.may(h.o.Now()) {
		h.o.Logger.Warn("connections were closed before their TLS handshake: too many wait for one, or for too long", "refused", n)
	}
}

// count notes how a handshake has ended.
func (h *Handshakes) count(tc *tls.Conn, err error) {
	switch {
	case err != nil:
		h.failed.Add(1)
	case tc.ConnectionState().DidResume:
		h.resumed.Add(1)
	default:
		h.full.Add(1)
	}
}

// errBusy is what a handshake fails with that has no turn.
var errBusy = errors.New("listen: too many TLS handshakes wait, or this one has for too long")

// greeted is a connection whose ClientHello has been read. It is what a *tls.Conn reads from.
type greeted struct {
	net.Conn
	*entrance // nil once the handshake is over; touched by the handshake's goroutine only
}

// Read reads the ClientHello again, and then ends the turn: what comes next, the client has to send.
func (c *greeted) Read(b []byte) (int, error) {
	if e := c.entrance; e != nil {
		if len(e.hello) > 0 {
			n := copy(b, e.hello)
			e.hello = e.hello[n:]
			return n, nil
		}
		e.endTurn()
	}
	return c.Conn.Read(b)
}

// NetConn is the connection below.
func (c *greeted) NetConn() net.Conn { return c.Conn }

// awaitTurn sees that a handshake has a turn when it is about to sign: one that has begun anew (HelloRetryRequest, RFC 8446
// 4.1.4) has lost its first. nc is what the tls.Conn reads from.
func awaitTurn(nc net.Conn) error {
	if c, ok := nc.(*greeted); ok && c.entrance != nil {
		return c.awaitTurn()
	}
	return nil
}

// logPacer lets one log line a second through: a flood of connections is no flood of lines.
type logPacer struct{ last atomic.Int64 } // nanoseconds since the epoch

func (p *logPacer) may(now time.Time) bool {
	ns, last := now.UnixNano(), p.last.Load()
	return ns-last >= int64(logPause) && p.last.CompareAndSwap(last, ns)
}
