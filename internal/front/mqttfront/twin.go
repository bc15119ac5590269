package mqttfront

import (
	"fmt"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/mqttwire"
)

// The filters of twins.
const (
	filterTwinResponse = "$iothub/twin/res/#"
	filterDesired      = "$iothub/twin/PATCH/properties/desired/#"
)

// requestTwin acts on a request for the twin, or for a change of it: this hub cannot serve it yet. Who listens for the
// answer gets one, so that its SDK reports an error: the status tells most of them, the body tells Node.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub, retrieving a device twin's properties;
// Azure/azure-iot-sdk-node device/transport/mqtt/src/mqtt_twin_client.ts.
func (s *session) requestTwin(p *publication) error {
	s.acknowledge(p)
	if _, listens := s.subscription(filterTwinResponse); !listens {
		return nil
	}
	body := fmt.Sprintf(`{"errorCode":%d,"trackingId":"","message":"this hub does not serve device twins yet","timestampUtc":""}`,
		int(hubward.CodeInvalidOperation))
	packet, err := mqttwire.AppendPublish(nil, &mqttwire.PublishPacket{
		Topic: []byte("$iothub/twin/res/501/?$rid=" + requestID(string(p.rest))), Payload: []byte(body),
	})
	if err != nil {
		return err
	}
	s.conn.out.send(packet)
	return nil
}

// requestID returns what a request wants to find in its answer.
func requestID(query string) string {
	for part := range strings.SplitSeq(query, "&") {
		if rid, found := strings.CutPrefix(part, "$rid="); found {
			return rid
		}
	}
	return ""
}

// desiredChanged tells the device of a change of its desired properties: not yet. Whoever missed one finds it in the twin.
// The hub calls it, perhaps before the client has been let in.
func (c *conn) desiredChanged(*hub.DesiredChange) {}
