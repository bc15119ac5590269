package amqpfront

import "github.com/hubward/hubward/internal/amqpwire"

// cutBody returns what stands before the body of an encoded message, of which the end may be missing, and the body with all
// that follows it.
func cutBody(payload []byte) (head, rest []byte) {
	in := amqpwire.NewReader(payload)
	for in.More() {
		at := len(payload) - len(in.Rest())
		switch in.Section() {
		case amqpwire.SectionData, amqpwire.SectionSequence, amqpwire.SectionValue:
			return payload[:at], payload[at:]
		}
		if in.Skip(); in.Err() != nil {
			return payload[:at], payload[at:]
		}
	}
	return payload, nil
}
