package mqttfront

import (
	"time"

	"github.com/hubward/hubward"
)

// watchInterval is how often connections are looked at: close enough for limits of tens of seconds.
const watchInterval = time.Second

// Time limits of a connection.
const (
	// connectTimeout bounds handshake and CONNECT together.
	// Source: MQTT 3.1.1 section 3.1.4 asks for a bound; the figure: learn.microsoft.com/azure/iot-hub/iot-hub-mqtt-5.
	connectTimeout = 30 * time.Second
	// maxSilence caps one and a half keep-alives. It also stands for keep-alive 0, which is not documented.
	// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub, default keep-alive time-out: 29.45 minutes.
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

// look keeps the clock, helps stuck writers, and closes the connections that are overdue.
func (s *Server) look(open []*conn) {
	now := s.now()
	s.coarse.Store(now.UnixMilli())
	s.writers.relieve()
	for _, c := range open {
		if reason := c.overdue(now); reason != nil {
			c.Close(reason)
		}
	}
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
