package mqttwire

// The return codes of CONNACK.
//
// Source: MQTT 3.1.1 table 3.1.
const (
	Accepted              byte = 0
	RefusedProtocol       byte = 1 // unacceptable protocol level
	RefusedIdentifier     byte = 2
	RefusedUnavailable    byte = 3
	RefusedBadCredentials byte = 4
	RefusedNotAuthorized  byte = 5
)

// ReasonUnsupportedVersion is the reason code of MQTT 5 for a protocol level that the server does not speak.
const ReasonUnsupportedVersion byte = 0x84

// ConnackPacket is a CONNACK.
//
// Source: MQTT 3.1.1 section 3.2.
type ConnackPacket struct {
	SessionPresent bool
	Code           byte // Accepted or one of the Refused codes; others are passed on as they came
}

// ParseConnack reads the body of a CONNACK.
func ParseConnack(body []byte) (ConnackPacket, error) {
	r := reader{packet: Connack, rest: body}
	flags, code := r.byte(), r.byte()
	if flags > 1 {
		r.fail("reserved acknowledge flags are set")
	}
	if flags == 1 && code != Accepted {
		r.fail("a refusal with session present") // [MQTT-3.2.2-4]
	}
	if err := r.end(); err != nil {
		return ConnackPacket{}, err
	}
	return ConnackPacket{SessionPresent: flags == 1, Code: code}, nil
}

// AppendConnack appends a CONNACK. With a code other than Accepted, session present is written as false.
func AppendConnack(dst []byte, sessionPresent bool, code byte) []byte {
	flags := byte(0)
	if sessionPresent && code == Accepted { // [MQTT-3.2.2-4]
		flags = 1
	}
	return append(appendHeader(dst, Connack, 0, 2), flags, code)
}

// AppendConnackV5 appends a CONNACK in the format of MQTT 5, with a reason code and no properties: what a client of
// that version can read when it is refused.
func AppendConnackV5(dst []byte, reason byte) []byte {
	return append(appendHeader(dst, Connack, 0, 3), 0, reason, 0)
}
