package listen

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// logPause is the least time between two log lines about refused connections: a flood of them is no flood of lines.
const logPause = time.Second

// Limit bounds how many connections are open at a time over all listeners that share it, because what they use up is
// shared too: file descriptors and memory.
type Limit struct {
	max     int64
	now     func() time.Time
	open    atomic.Int64
	refused atomic.Int64
	logged  atomic.Int64 // time of the last line, in nanoseconds since the epoch
}

// NewLimit returns a limit of n connections; n below 1 means as many as the limit of open files leaves room for. A
// nil now means time.Now.
func NewLimit(n int, now func() time.Time) *Limit {
	if n < 1 {
		n = fileLimit()
	}
	if now == nil {
		now = time.Now
	}
	return &Limit{max: int64(n), now: now}
}

// Max is the bound.
func (l *Limit) Max() int { return int(l.max) }

// Open is the number of connections that are open now.
func (l *Limit) Open() int { return int(l.open.Load()) }

// Refused is the number of connections that were closed because of the bound.
func (l *Limit) Refused() int64 { return l.refused.Load() }

func (l *Limit) take() bool {
	if l.open.Add(1) <= l.max {
		return true
	}
	l.open.Add(-1)
	l.refused.Add(1)
	return false
}

func (l *Limit) mayLog() bool {
	now, last := l.now().UnixNano(), l.logged.Load()
	return now-last >= int64(logPause) && l.logged.CompareAndSwap(last, now)
}

// countedConn gives its place back when it is closed.
type countedConn struct {
	net.Conn
	limit *Limit
	once  sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.limit.open.Add(-1) })
	return c.Conn.Close()
}
