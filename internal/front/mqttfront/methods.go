package mqttfront

import (
	"github.com/hubward/hubward/internal/hub"
)

// callMethod hands a call to the device: not yet.
func (c *conn) callMethod(call *hub.MethodCall) {}

// respondToMethod acts on the answer to a call. There was none, so nobody waits for it.
func (s *session) respondToMethod(p *publication) error {
	s.acknowledge(p)
	return nil
}
