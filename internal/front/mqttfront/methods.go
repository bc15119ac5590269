package mqttfront

import (
	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// callMethod hands a call to the device: not yet, so it takes none. The hub calls it, perhaps before the client has been
// let in.
func (c *conn) callMethod(call *hub.MethodCall) {
	call.Respond(hub.MethodResult{}, hubward.Errorf(hubward.CodeDeviceNotOnline, "the device takes no methods over MQTT yet"))
}

// respondToMethod acts on the answer to a call. There was none, so nobody waits for it.
func (s *session) respondToMethod(p *publication) error {
	s.acknowledge(p)
	return nil
}
