package mqttwire

import "time"

// protocolName and protocolLevel are what a CONNECT of MQTT 3.1.1 begins with.
const (
	protocolName  = "MQTT"
	protocolLevel = 4
)

// maxKeepAlive is the longest keep-alive that sixteen bits of seconds can say.
const maxKeepAlive = (1<<16 - 1) * time.Second

// ConnectPacket is a CONNECT. ParseConnect fills Protocol and Level; AppendConnect ignores them, it writes "MQTT" and
// level 4.
//
// Source: MQTT 3.1.1 section 3.1.
type ConnectPacket struct {
	Protocol     string
	Level        byte
	CleanSession bool
	KeepAlive    time.Duration // whole seconds on the wire, 0 (off) to 65535 s
	ClientID     string        // may be empty; whether that is allowed is the server's rule
	Will         *Will         // nil: none
	HasUser      bool
	HasPassword  bool // only together with HasUser
	User         string
	Password     []byte
}

// Will is the message that the server publishes when the connection ends without DISCONNECT.
type Will struct {
	Topic   string
	Payload []byte
	QoS     byte
	Retain  bool
}

// The connect flags.
const (
	connectReserved = 1 << iota
	connectCleanSession
	connectWill
	connectWillQoSLow
	connectWillQoSHigh
	connectWillRetain
	connectPassword
	connectUser
)

const connectWillQoSShift = 3

// ParseConnect reads the body of a CONNECT. Strings and byte slices are copies. A level other than 4 (5, or 3 with the
// name "MQIsdp") is not an error: the packet is returned with Protocol and Level only, so that the server can say
// which level it speaks.
func ParseConnect(body []byte) (ConnectPacket, error) {
	r := reader{packet: Connect, rest: body}
	p := ConnectPacket{Protocol: string(r.text()), Level: r.byte()}
	if r.err != nil {
		return ConnectPacket{}, r.err
	}
	if p.Level != protocolLevel && (p.Protocol == protocolName || p.Protocol == "MQIsdp") {
		return p, nil // [MQTT-3.1.2-2]
	}
	if p.Protocol != protocolName {
		return ConnectPacket{}, malformed(Connect, "the protocol is not MQTT") // [MQTT-3.1.2-1]
	}
	flags := r.byte()
	p.KeepAlive = time.Duration(r.uint16()) * time.Second
	if reason := checkConnectFlags(flags); r.err == nil && reason != "" {
		r.fail(reason)
	}
	p.readPayload(&r, flags)
	if err := r.end(); err != nil {
		return ConnectPacket{}, err
	}
	return p, nil
}

// checkConnectFlags returns what is wrong with the connect flags, or "".
func checkConnectFlags(flags byte) string {
	const will = connectWillQoSLow | connectWillQoSHigh
	switch {
	case flags&connectReserved != 0:
		return "the reserved connect flag is set" // [MQTT-3.1.2-3]
	case flags&connectWill == 0 && flags&(will|connectWillRetain) != 0:
		return "a will QoS or will retain without a will" // [MQTT-3.1.2-13] [MQTT-3.1.2-15]
	case flags&will == will:
		return "the will QoS is 3" // [MQTT-3.1.2-14]
	case flags&connectPassword != 0 && flags&connectUser == 0:
		return "a password without a user name" // [MQTT-3.1.2-22]
	}
	return ""
}

// readPayload reads the fields that the flags announce, in the order of [MQTT-3.1.3-1].
func (p *ConnectPacket) readPayload(r *reader, flags byte) {
	p.CleanSession = flags&connectCleanSession != 0
	p.ClientID = string(r.text()) // [MQTT-3.1.3-3] [MQTT-3.1.3-4]
	if flags&connectWill != 0 {
		p.Will = &Will{
			Topic:   string(r.topic()), // [MQTT-3.1.3-10]
			Payload: append([]byte(nil), r.binary()...),
			QoS:     flags >> connectWillQoSShift & 3,
			Retain:  flags&connectWillRetain != 0,
		}
	}
	if p.HasUser = flags&connectUser != 0; p.HasUser {
		p.User = string(r.text()) // [MQTT-3.1.3-11]
	}
	if p.HasPassword = flags&connectPassword != 0; p.HasPassword {
		p.Password = append([]byte(nil), r.binary()...)
	}
}

// AppendConnect appends a CONNECT. It fails, with dst as it was, when a field is too long or no UTF-8, when the
// keep-alive does not fit 16 bits of seconds (fractions are rounded up), when the will has no topic or a QoS above 2,
// and when there is a password without a user name.
func AppendConnect(dst []byte, p *ConnectPacket) ([]byte, error) {
	if reason := p.check(); reason != "" {
		return dst, malformed(Connect, reason)
	}
	seconds := (p.KeepAlive + time.Second - 1) / time.Second
	size := fieldSize(len(protocolName)) + 4 + fieldSize(len(p.ClientID))
	if p.Will != nil {
		size += fieldSize(len(p.Will.Topic)) + fieldSize(len(p.Will.Payload))
	}
	if p.HasUser {
		size += fieldSize(len(p.User))
	}
	if p.HasPassword {
		size += fieldSize(len(p.Password))
	}
	dst = appendHeader(dst, Connect, 0, size)
	dst = appendField(dst, protocolName)
	dst = append(dst, protocolLevel, p.flags(), byte(seconds>>8), byte(seconds))
	dst = appendField(dst, p.ClientID)
	if p.Will != nil {
		dst = appendField(dst, p.Will.Topic)
		dst = appendField(dst, p.Will.Payload)
	}
	if p.HasUser {
		dst = appendField(dst, p.User)
	}
	if p.HasPassword {
		dst = appendField(dst, p.Password)
	}
	return dst, nil
}

// check returns why p cannot be written, or "".
func (p *ConnectPacket) check() string {
	if p.KeepAlive < 0 || p.KeepAlive > maxKeepAlive {
		return "the keep-alive is outside 0 to 65535 s"
	}
	if p.HasPassword && !p.HasUser {
		return "a password without a user name" // [MQTT-3.1.2-22]
	}
	if len(p.Password) > maxFieldLength {
		return reasonLong
	}
	if w := p.Will; w != nil {
		switch {
		case w.Topic == "":
			return "a topic is empty"
		case w.QoS > 2:
			return "the will QoS is above 2"
		case len(w.Payload) > maxFieldLength:
			return reasonLong
		}
		if reason := checkStrings(w.Topic); reason != "" {
			return reason
		}
	}
	return checkStrings(p.ClientID, p.User)
}

func (p *ConnectPacket) flags() byte {
	var flags byte
	set := func(on bool, flag byte) {
		if on {
			flags |= flag
		}
	}
	set(p.CleanSession, connectCleanSession)
	set(p.HasUser, connectUser)
	set(p.HasPassword, connectPassword)
	if w := p.Will; w != nil {
		set(true, connectWill|w.QoS<<connectWillQoSShift)
		set(w.Retain, connectWillRetain)
	}
	return flags
}
