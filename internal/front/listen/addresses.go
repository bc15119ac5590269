package listen

import (
	"log/slog"
	"sync"
	"time"
)

// Addresses bounds how many connections from one address are open at a time, over all protocols: an IPv4 address, or the /64
// network of an IPv6 address. Those from this machine are not counted: what forwards connections here has them all.
type Addresses struct {
	o      AddressOptions
	logged logPacer

	mu   sync.Mutex // guards open; a leaf
	open map[source]int
}

// AddressOptions are what Addresses is made of.
type AddressOptions struct {
	Max    int              // from one address; below 1: 1
	Logger *slog.Logger     // nil: nothing is logged
	Now    func() time.Time // nil: time.Now
}

// NewAddresses returns one that knows no connection yet.
func NewAddresses(o AddressOptions) *Addresses {
	o.Max = max(o.Max, 1)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Addresses{o: o, open: make(map[source]int)}
}

// enter counts a connection, and reports false when there are too many of its source.
func (a *Addresses) enter(s source) bool {
	if a == nil || s.IsLoopback() {
		return true
	}
	a.mu.Lock()
	ok := a.open[s] < a.o.Max
	if ok {
		a.open[s]++
	}
	a.mu.Unlock()
	if !ok && a.logged.may(a.o.Now()) {
		a.o.Logger.Warn("a connection was refused: too many from its address are open", "address", s.String(), "limit", a.o.Max)
	}
	return ok
}

// leave takes back what enter has counted.
func (a *Addresses) leave(s source) {
	if a == nil || s.IsLoopback() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[s]--; a.open[s] <= 0 {
		delete(a.open, s)
	}
}
