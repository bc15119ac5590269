package amqpfront

import (
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/hub"
)

// The application properties of direct methods.
//
// Source: Azure/azure-iot-sdk-c iothub_client/src/iothubtransportamqp_methods.c, which compares the bytes.
const (
	propertyMethod = "IoThub-methodname"
	propertyStatus = "IoThub-status"
)

// encodeMethod encodes a call. The correlation id is a uuid, and there is one data section: C takes no other.
//
// Source: as of propertyMethod.
func encodeMethod(m *hub.MethodCall) ([]byte, error) {
	out := amqpwire.Message{
		Properties:            &amqpwire.Properties{CorrelationID: callUUID(m.ID)},
		ApplicationProperties: amqpwire.Map{{Key: propertyMethod, Value: m.Name}},
		Data:                  [][]byte{m.Payload},
	}
	return out.Append(nil)
}

// callUUID writes the id of a call as a UUID of version 8, whose content is ours: RFC 9562 section 5.8.
func callUUID(id uint64) (u amqpwire.UUID) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], id)
	copy(u[:6], b[:6])
	copy(u[14:], b[6:])
	u[6], u[8] = 0x80, 0x80
	return u
}

// callOf reads the id of a call from a UUID; false for one that callUUID did not write.
func callOf(u amqpwire.UUID) (id uint64, ok bool) {
	var b [8]byte
	copy(b[:6], u[:6])
	copy(b[6:], u[14:])
	id = binary.BigEndian.Uint64(b[:])
	return id, u == callUUID(id)
}

// methodResponse is an answer to a call, taken apart.
type methodResponse struct {
	call    uint64
	known   bool // the answer names a call
	status  int
	payload []byte // it may lie in the frame
}

// noJSON is what stands for a body that cannot be one, so that who waits is told that.
var noJSON = []byte{0}

// readMethodResponse reads an answer, of which the end may be missing. It takes what clients make of the types: a correlation
// id that is text or binary, a status of any number, several data sections, none.
func readMethodResponse(payload []byte, truncated bool) (r methodResponse, e *amqpwire.Error) {
	var rest []byte
	if truncated {
		payload, rest = cutBody(payload)
	}
	m, err := amqpwire.DecodeMessage(payload)
	if err != nil {
		return r, newError(amqpwire.DecodeError, "The answer cannot be decoded: %s.", err)
	}
	if m.Properties != nil {
		r.call, r.known = callNamed(m.Properties.CorrelationID)
	}
	r.status = methodStatus(m.ApplicationProperties.Get(propertyStatus))
	body, ok := m.Body()
	switch {
	case truncated:
		r.payload = rest // with its descriptor, which no JSON begins with
	case ok:
		r.payload = body
	case m.Value != nil || m.Sequences != nil:
		r.payload = noJSON
	}
	return r, nil
}

// callNamed reads a correlation id.
//
// Source: Azure/azure-iot-sdk-node common/transport/amqp/src/amqp_message.ts (uuid if it looks like one, text otherwise).
func callNamed(id any) (call uint64, ok bool) {
	switch id := id.(type) {
	case amqpwire.UUID:
		return callOf(id)
	case []byte:
		if len(id) == len(amqpwire.UUID{}) {
			return callOf(amqpwire.UUID(id))
		}
		return callNamed(string(id))
	case string:
		b, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
		if err == nil && len(b) == len(amqpwire.UUID{}) {
			return callOf(amqpwire.UUID(b))
		}
	}
	return 0, false
}

// methodStatus reads a status, which is the device's own: decimals are cut, and what is no number is 0. One that has more than
// 32 bits the hub refuses.
func methodStatus(v any) int {
	n, _, _ := wholeOf(v)
	return int(n)
}
