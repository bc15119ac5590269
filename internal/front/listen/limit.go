package listen

import (
	"container/list"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// logPause is the least time between two log lines about refused connections: a flood of them is no flood of lines.
const logPause = time.Second

// Limit bounds how many connections of one protocol are open at a time, over all listeners that lead to it: each has a place.
//
// A connection that has not logged in may be anybody's. When all places are taken, the one of them that has waited longest
// gives its place to the next that comes: who floods a listener with connections that say nothing takes no place of those
// that are logged in, and keeps nobody out who logs in without delay. Whose address has more of them waiting than that one's, gets
// the place of its own oldest. LoggedIn, Waits and Move say how a connection stands.
type Limit struct {
	o       LimitOptions
	refused atomic.Int64
	crowded atomic.Int64 // refused because of their address
	logged  logPacer

	mu      sync.Mutex // guards the fields below, and those of places; a leaf
	open    int
	waiting list.List      // of *place: those that have not logged in, the oldest first
	from    map[source]int // how many of them come from where
}

// LimitOptions are what a Limit is made of.
type LimitOptions struct {
	Protocol  string           // what the log calls it
	Max       int              // below 1: 1
	Addresses *Addresses       // over all limits that have it; nil: an address may have all
	Logger    *slog.Logger     // nil: nothing is logged
	Now       func() time.Time // nil: time.Now
}

// NewLimit returns a limit of which all places are free.
func NewLimit(o LimitOptions) *Limit {
	o.Max = max(o.Max, 1)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Limit{o: o, from: make(map[source]int)}
}

// MostConnections is how many connections, of all protocols, the limit of open files leaves room for.
func MostConnections() int { return fileLimit() }

// Max is the bound.
func (l *Limit) Max() int { return l.o.Max }

// Open is the number of connections that are open now.
func (l *Limit) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// Refused is the number of connections that were closed because of the bound: when they came, or before they had logged in.
func (l *Limit) Refused() int64 { return l.refused.Load() }

// Crowded is the number of connections that were refused because too many came from their address.
func (l *Limit) Crowded() int64 { return l.crowded.Load() }

// place is a connection's place in a limit.
type place struct {
	limit *Limit
	conn  *limited

	// Guarded by the limit's mutex.
	waits *list.Element // in waiting; nil: the connection is logged in
	left  bool
}

// admit returns nc with a place, or nil, with nc closed, when there is none.
func (l *Limit) admit(nc net.Conn) net.Conn {
	c := &limited{Conn: nc, source: sourceOf(nc), addresses: l.o.Addresses}
	if !c.addresses.enter(c.source) {
		l.crowded.Add(1)
		nc.Close()
		return nil
	}
	p := l.enter(c)
	if p == nil {
		c.addresses.leave(c.source)
		return nil
	}
	c.place.Store(p)
	return c
}

// enter gives a connection a place, perhaps that of another, which is closed. When there is none it closes
// this one, and returns nil.
func (l *Limit) enter(c *limited) *place {
	p, refused := l.tryEnter(c)
	if refused != nil {
		l.countRefused()
		refused.Conn.Close() // the socket: its front end, if it has one, notices
	}
	return p
}

// tryEnter returns the connection that is to be closed for want of a place: c itself, another one, or nil.
func (l *Limit) tryEnter(c *limited) (p *place, refused *limited) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == l.o.Max {
		evicted := l.oldestFor(c.source)
		if evicted == nil {
			return nil, c
		}
		refused = evicted.conn
		evicted.leaveLocked()
	}
	p = &place{limit: l, conn: c}
	l.open++
	l.startWaiting(p)
	return p, refused
}

// oldestFor returns whose place one from a source gets: that of who has waited longest, unless more from this source than from that
// one's wait. The caller holds mu.
func (l *Limit) oldestFor(s source) *place {
	front := l.waiting.Front()
	if front == nil {
		return nil
	}
	oldest := front.Value.(*place)
	if l.from[s] > l.from[oldest.conn.source] {
		for e := front; e != nil; e = e.Next() {
			if p := e.Value.(*place); p.conn.source == s {
				return p
			}
		}
	}
	return oldest
}

// startWaiting and stopWaiting are called with mu held.
func (l *Limit) startWaiting(p *place) {
	p.waits = l.waiting.PushBack(p)
	l.from[p.conn.source]++
}

func (l *Limit) stopWaiting(p *place) {
	l.waiting.Remove(p.waits)
	p.waits = nil
	if s := p.conn.source; l.from[s] > 1 {
		l.from[s]--
	} else {
		delete(l.from, s)
	}
}

func (l *Limit) countRefused() {
	n := l.refused.Add(1)
	if l.logged.may(l.o.Now()) {
		l.o.Logger.Warn("connections were refused, or closed before they had logged in: too many are open",
			"protocol", l.o.Protocol, "limit", l.o.Max, "refused", n)
	}
}

func (p *place) leaveLocked() {
	if p.left {
		return
	}
	p.left = true
	p.limit.open--
	if p.waits != nil {
		p.limit.stopWaiting(p)
	}
}

func (p *place) leave() {
	p.limit.mu.Lock()
	defer p.limit.mu.Unlock()
	p.leaveLocked()
}

// wait says whether the connection waits, from now on, to be logged in.
func (p *place) wait(waits bool) {
	l := p.limit
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case p.left || waits == (p.waits != nil):
	case waits:
		l.startWaiting(p)
	default:
		l.stopWaiting(p)
	}
}

// limited is a connection with a place, which it gives back when it is closed.
type limited struct {
	net.Conn
	source    source
	addresses *Addresses            // in which it is counted until it is closed; nil: it is not
	place     atomic.Pointer[place] // nil: it was closed
}

func (c *limited) Close() error {
	if p := c.place.Swap(nil); p != nil {
		p.leave()
		c.addresses.leave(c.source)
	}
	return c.Conn.Close()
}

// LoggedIn keeps the place of a connection for it until it ends.
func LoggedIn(nc net.Conn) { setWaits(nc, false) }

// Waits makes a connection one that has not logged in, again.
func Waits(nc net.Conn) { setWaits(nc, true) }

func setWaits(nc net.Conn, waits bool) {
	if c := below(nc); c != nil {
		if p := c.place.Load(); p != nil {
			p.wait(waits)
		}
	}
}

// Move gives a connection a place in another limit for the one that it has, because it turns out to speak another protocol; it
// has not logged in there. It reports false when there is no place, or the connection was closed.
func Move(nc net.Conn, to *Limit) bool {
	c := below(nc)
	if c == nil {
		return true // a connection without a place, as in tests
	}
	next := to.enter(c)
	if next == nil {
		return false
	}
	for {
		old := c.place.Load()
		if old == nil {
			next.leave()
			return false
		}
		if c.place.CompareAndSwap(old, next) {
			old.leave()
			return true
		}
	}
}

// below finds the connection with a place, below TLS and whatever else has a method NetConn; nil: there is none.
func below(nc net.Conn) *limited {
	for {
		switch c := nc.(type) {
		case *limited:
			return c
		case interface{ NetConn() net.Conn }:
			nc = c.NetConn()
		default:
			return nil
		}
	}
}
