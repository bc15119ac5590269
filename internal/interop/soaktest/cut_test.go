//go:build soak

package soaktest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// dice makes the random choices of one client. It is safe for concurrent use: SDKs dial on goroutines of their own.
type dice struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func newDice(seed *rand.Rand) *dice {
	return &dice{rng: rand.New(rand.NewPCG(seed.Uint64(), seed.Uint64()))}
}

// below returns a number from 0 to n-1.
func (d *dice) below(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rng.IntN(n)
}

// once is true once in n times.
func (d *dice) once(n int) bool { return d.below(n) == 0 }

// within returns a time up to most.
func (d *dice) within(most time.Duration) time.Duration {
	return time.Duration(d.below(int(most))) + 1
}

// pause waits, or ends with ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// counts tells what has happened.
type counts struct {
	inWrite, inRead, byTime atomic.Int64 // connections that were cut
	left                    atomic.Int64 // connections that were closed in good order
	crowded                 atomic.Int64 // readers that came before the hub knew that their last connection was gone
	opened                  atomic.Int64 // readers
}

func (c *counts) String() string {
	return fmt.Sprintf("cut: %d while writing, %d while reading, %d at some time; %d left in good order; %d readers opened, %d were one too many",
		c.inWrite.Load(), c.inRead.Load(), c.byTime.Load(), c.left.Load(), c.opened.Load(), c.crowded.Load())
}

func (c *counts) check(t *testing.T) {
	t.Helper()
	if c.inWrite.Load() == 0 || c.inRead.Load() == 0 || c.byTime.Load() == 0 || c.left.Load() == 0 {
		t.Errorf("the test proves little: %s", c)
	}
}

// reach says how long the connections of one kind of client last at most.
type reach struct {
	written, read int // bytes
	time          time.Duration
}

// dial opens a connection that will be cut one day. With TLS it is cut above or below it: the hub sees a part of a frame
// or a part of a TLS record.
// cuts, which may be nil, counts it then.
func (s *soak) dial(ctx context.Context, d *dice, r reach, cuts *atomic.Int64, address string, withTLS *tls.Config) (net.Conn, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := s.doom(raw.(*net.TCPConn), d, r, cuts)
	if withTLS == nil {
		return c, nil
	}
	var secure *tls.Conn
	var outer net.Conn
	if d.once(2) {
		secure = tls.Client(c, withTLS)
		outer = secure
	} else {
		secure = tls.Client(raw, withTLS)
		c.Conn = secure // nobody writes yet; a cut by time needs raw only
		outer = c
	}
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = c.Close() // the first error counts
		return nil, err
	}
	return outer, nil
}

// doomed is a connection with an end in sight: when so many bytes were written or read, or so much time is over.
type doomed struct {
	net.Conn // raw, or TLS on it
	raw      *net.TCPConn
	counts   *counts
	cuts     *atomic.Int64 // may be nil
	reset    bool          // the end is a reset

	canWrite, canRead atomic.Int64
	ends              *time.Timer // nil: never by time
	once              sync.Once
}

func (s *soak) doom(raw *net.TCPConn, d *dice, r reach, cuts *atomic.Int64) *doomed {
	const forEver = 1 << 60
	c := &doomed{Conn: raw, raw: raw, counts: &s.counts, cuts: cuts, reset: d.once(2)}
	c.canWrite.Store(forEver)
	c.canRead.Store(forEver)
	select {
	case <-s.quiet:
		return c
	default:
	}
	switch d.below(4) {
	case 0:
		c.canWrite.Store(int64(1 + d.below(r.written)))
	case 1:
		c.canRead.Store(int64(1 + d.below(r.read)))
	default:
		c.ends = time.AfterFunc(d.within(r.time), func() { c.cut(&c.counts.byTime) })
	}
	return c
}

func (c *doomed) Write(b []byte) (int, error) {
	over := c.canWrite.Add(-int64(len(b)))
	if over >= 0 {
		return c.Conn.Write(b)
	}
	n, _ := c.Conn.Write(b[:max(0, int64(len(b))+over)]) // the error that counts is the next one
	c.cut(&c.counts.inWrite)
	return n, errCut
}

func (c *doomed) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if over := c.canRead.Add(-int64(n)); over < 0 && err == nil {
		c.cut(&c.counts.inRead)
		return max(0, n+int(over)), errCut
	}
	return n, err
}

var errCut = errors.New("soak: the connection was cut")

// cut ends the TCP connection without a word.
func (c *doomed) cut(count *atomic.Int64) {
	c.once.Do(func() {
		count.Add(1)
		if c.cuts != nil {
			c.cuts.Add(1)
		}
		if c.reset {
			_ = c.raw.SetLinger(0) // the close is what counts
		}
		_ = c.raw.Close()
	})
}

func (c *doomed) Close() error {
	if c.ends != nil {
		c.ends.Stop()
	}
	return c.Conn.Close()
}
