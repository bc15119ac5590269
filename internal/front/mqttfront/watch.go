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
	// maxWrite bounds a write of up to maxPiece bytes to a client that does not read, or reads them one by one.
	maxWrite = 30 * time.Second
	// maxDrain bounds how long a closing connection waits for its last acknowledgements.
	maxDrain = 10 * time.Second
	// willTimeout bounds how long the will of a connection waits for room in the log.
	willTimeout = 10 * time.Second
)

// Why the server closes a connection.
var (
	errDraining     = hubward.Errorf(hubward.CodeServiceUnavailable, "the server is shutting down")
	errSilent       = hubward.Errorf(hubward.CodeDeviceConnectionClosed, "nothing came for one and a half keep-alives")
	errSlow         = hubward.Errorf(hubward.CodeRequestTimeout, "a packet came too slowly")
	errBusy         = hubward.Errorf(hubward.CodeServiceUnavailable, "the hub has had no room for the client's messages for %s", maxSilence)
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
		if ms-c.began > connectTimeout.Milliseconds() {
			return errLate
		}
		return nil
	}
	if !limits.expires.IsZero() && now.After(limits.expires) {
		return errTokenExpired
	}
	// The time of the last bytes is that of the look before them.
	quiet := ms - c.lastRead.Load() - watchInterval.Milliseconds()
	if !c.reading.Load() { // back-pressure: what the client sends meanwhile is not heard
		if quiet > maxSilence.Milliseconds() {
			return errBusy
		}
		return nil
	}
	if quiet > limits.silence.Milliseconds() {
		return errSilent
	}
	if c.packet.Late(ms, watchInterval) {
		return errSlow
	}
	return nil
}
