package mqttfront

import "github.com/hubward/hubward/internal/hub"

// requestTwin acts on a request for the twin, or for a change of it: this hub cannot serve it yet. Who listens for the
// answer gets one, so that its SDK reports an error: the status tells most of them, the body tells Node.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub, retrieving a device twin's properties;
// Azure/azure-iot-sdk-node device/transport/mqtt/src/mqtt_twin_client.ts.
func (s *session) requestTwin(p *publication) error {
	return s.refuse(p, "$iothub/twin/res/501/?$rid=", "this hub does not serve device twins yet")
}

// desiredChanged tells the device of a change of its desired properties: not yet. Whoever missed one finds it in the twin.
// The hub calls it, perhaps before the client has been let in.
func (c *conn) desiredChanged(*hub.DesiredChange) {}
