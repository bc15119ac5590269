package mqttfront

import (
	"time"

	"github.com/hubward/hubward"
)

// watchInterval is how often connections are looked at. One look at all of them is cheaper than a timer each, and a
// second is close enough for limits of tens of seconds.
const watchInterval = time.Second

// Time limits of a connection.
const (
	// connectTimeout bounds handshake and CONNECT together. Source: spec/device.md 2.1.
	connectTimeout = 30 * time.Second
	// maxSilence caps one and a half keep-alives; it also stands for keep-alive 0. Source: spec/device.md 2.5.
	maxSilence = 1767 * time.Second
	// maxWrite bounds one write to a client that does not read.
	maxWrite = 30 * time.Second
	// maxDrain bounds how long a closing connection waits for its last acknowledgements.
	maxDrain = 10 * time.Second
)

// Why the server closes a connection.
var (
	errDraining     = hubward.Errorf(hubward.CodeServiceUnavailable, "the server is shutting down")
	errSilent       = hubward.Errorf(hubward.CodeDeviceConnectionClosed, "nothing came for one and a half keep-alives")
	errLate         = hubward.Errorf(hubward.CodeRequestTimeout, "no CONNECT within %s", connectTimeout)
	errStuck        = hubward.Errorf(hubward.CodeDeviceConnectionClosed, "the client does not read")
	errTokenExpired = hubward.Errorf(hubward.CodeUnauthorized, "the token has expired")
)

// watch looks at all connections once a second until the server ends.
func (s *Server) watch() {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.look()
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *Server) look() {
	now := s.now()
	s.coarse.Store(now.UnixMilli())
	s.writers.relieve()
	for _, c := range s.snapshot() {
		if reason := c.overdue(now); reason != nil {
			c.Close(reason)
		}
	}
}

func (s *Server) snapshot() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

// overdue says why c must be closed now, nil if it need not.
func (c *conn) overdue(now time.Time) error {
	ms := now.UnixMilli()
	if since := c.out.writingSince.Load(); since != 0 && ms-since > maxWrite.Milliseconds() {
		return errStuck
	}
	limits := c.limits.Load()
	if limits == nil {
		if ms-c.lastRead.Load() > connectTimeout.Milliseconds() {
			return errLate
		}
		return nil
	}
	// The time of the last bytes is that of the look before them.
	if ms-c.lastRead.Load() > (limits.silence + watchInterval).Milliseconds() {
		return errSilent
	}
	if !limits.expires.IsZero() && now.After(limits.expires) {
		return errTokenExpired
	}
	return nil
}
