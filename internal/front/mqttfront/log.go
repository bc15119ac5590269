package mqttfront

import (
	"log/slog"
	"runtime/debug"

	"github.com/hubward/hubward"
)

func (s *Server) logStart(c *conn) {
	s.logger.Debug("device connected", append(c.session.attrs(), "protocol", "mqtt", "policy", c.session.link.Principal.Policy)...)
}

// logEnd says once how a connection ended: an ordinary end for those who look closely, anything else for everybody. It
// names no topic, no payload and no user name: what a stranger sent may be a secret.
func (s *Server) logEnd(c *conn, reason error) {
	attrs := []any{"protocol", "mqtt", "remote", c.nc.RemoteAddr().String()}
	if c.session != nil {
		attrs = append(attrs, c.session.attrs()...)
	}
	level := slog.LevelInfo
	switch {
	case reason == errDisconnected || reason == errDraining || isNetworkEnd(reason):
		level = slog.LevelDebug
	default:
		if code := hubward.CodeOf(reason); code != hubward.CodeServerError {
			attrs = append(attrs, "code", int(code))
		}
	}
	text := "device disconnected"
	if c.session == nil {
		text = "connection refused"
	}
	s.logger.Log(s.ctx, level, text, append(attrs, "reason", reason)...)
}

// attrs says whose session it is.
func (s *session) attrs() []any {
	return []any{"hub", s.link.Principal.Hub.Name, "device", s.identity.String()}
}

func (s *Server) logPanic(p any) {
	s.logger.Error("bug: a connection panicked", "panic", p, "stack", string(debug.Stack()))
}
