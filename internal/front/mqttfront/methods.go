package mqttfront

import (
	"bytes"
	"context"
	"strconv"
	"strings"

	"github.com/hubward/hubward/internal/front/number"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/mqttwire"
)

// methodTopics is how the topics of calls of direct methods begin.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub, responding to a direct method.
const methodTopics = "$iothub/methods/POST/"

// takeMethods has the hub know whether the session takes direct methods, whichever: one that the device did not subscribe to
// gets no answer, as one that it does not know.
func (s *session) takeMethods(context.Context) error {
	takes := false
	for _, sub := range s.subscriptions {
		takes = takes || coversMethod(sub.Filter)
	}
	s.link.TakeMethods(takes)
	return nil
}

// coversMethod reports whether a filter covers the calls of some method.
func coversMethod(filter string) bool {
	name := anyBag
	if levels := strings.Split(filter, "/"); len(levels) > 3 && levels[3] != "+" && levels[3] != "#" {
		name = levels[3]
	}
	return covers(filter, methodTopics+name+"/"+anyBag)
}

// callMethod hands a call to the device, at QoS 0. The name stands raw in the topic, and $rid is all of the query: not all SDKs
// decode the one and take the other apart. A call that the device did not subscribe to, or that comes while it leaves too much
// unread, is not sent: its caller waits in vain.
//
// Source: MqttTransportHandler.cs of Azure/azure-iot-sdk-csharp; MqttDirectMethod.java of Azure/azure-iot-sdk-java.
func (s *session) callMethod(call *hub.MethodCall) {
	topic := methodTopics + call.Name + "/?$rid=" + strconv.FormatUint(call.ID, 16)
	packet, err := mqttwire.AppendPublish(nil, &mqttwire.PublishPacket{Topic: []byte(topic), Payload: call.Payload})
	sent := false
	if err == nil {
		s.ifListening(topic, func() { sent = s.conn.out.offer(packet) })
	}
	if !sent {
		s.conn.srv.logger.Debug("a call of a method was not sent", append(s.attrs(), "error", err)...)
	}
}

// respondToMethod acts on the answer to a call: $iothub/methods/res/{status}/?$rid={id}. The hub drops an answer that nobody
// waits for: the Python SDK sends each one twice.
func (s *session) respondToMethod(p *publication) error {
	at := bytes.LastIndexByte(p.rest, '/')
	if at >= 0 {
		q := readQuery(p.rest[at+1:])
		if id, err := strconv.ParseUint(q.rid, 16, 64); err == nil {
			s.link.RespondMethod(id, readStatus(string(p.rest[:at])), p.Payload)
		}
	}
	s.conn.out.acknowledge(p.ID)
	return nil
}

// readStatus reads the status of an answer, which is the device's own. Clients send whatever their application gives them:
// decimals are cut, and what is no number is 0. One that is too large the hub refuses.
//
// Source: what the SDKs for Node (azure-iot-device 1.18.4) and Python (azure-iot-device 2.14.0) were seen to send: nothing,
// null, 200.5, -1, and, from Python, any text.
func readStatus(text string) int {
	n, ok := number.Parse(text)
	if !ok {
		return 0
	}
	return int(max(-number.MaxExact, min(number.MaxExact, n)))
}
