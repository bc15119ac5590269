package amqpwire

// DeliveryState is *Accepted, *Rejected, *Released, *Modified, *Received or *UnknownState: AMQP 1.0 part 3 §3.4.
type DeliveryState interface {
	Append(dst []byte) []byte
	deliveryState()
}

// The delivery states.
type (
	Accepted struct{}
	Rejected struct{ Error *Error }
	Released struct{}
	Modified struct {
		DeliveryFailed    bool
		UndeliverableHere bool
		Annotations       Map
	}
	Received struct {
		SectionNumber uint32
		SectionOffset uint64
	}
	// UnknownState is a state of an extension, e.g. of transactions. It is read and never written.
	UnknownState struct{ Descriptor any }
)

func (*Accepted) deliveryState()     {}
func (*Rejected) deliveryState()     {}
func (*Released) deliveryState()     {}
func (*Modified) deliveryState()     {}
func (*Received) deliveryState()     {}
func (*UnknownState) deliveryState() {}

// Append appends the state.
func (*Accepted) Append(dst []byte) []byte { return appendBare(dst, codeAccepted) }

// Append appends the state with its error, or null for it.
func (s *Rejected) Append(dst []byte) []byte {
	dst, c := beginDescribed(dst, codeRejected)
	return c.End(s.Error.Append(dst), 1)
}

// Append appends the state.
func (*Released) Append(dst []byte) []byte { return appendBare(dst, codeReleased) }

// Append appends the state with all fields.
func (s *Modified) Append(dst []byte) []byte {
	dst, c := beginDescribed(dst, codeModified)
	dst = AppendBool(AppendBool(dst, s.DeliveryFailed), s.UndeliverableHere)
	return c.End(AppendMap(dst, s.Annotations), 3)
}

// Append appends the state with all fields.
func (s *Received) Append(dst []byte) []byte {
	dst, c := beginDescribed(dst, codeReceived)
	return c.End(AppendUlong(AppendUint(dst, s.SectionNumber), s.SectionOffset), 2)
}

// Append appends null.
func (*UnknownState) Append(dst []byte) []byte { return append(dst, codeNull) }

// appendBare appends a described list without fields: a list8, since pyamqp does not read list0.
func appendBare(dst []byte, code byte) []byte {
	return append(dst, codeDescribed, codeSmallUlong, code, codeList8, 1, 0)
}

// appendState appends a state, or null for nil.
func appendState(dst []byte, s DeliveryState) []byte {
	switch s := s.(type) { // the frequent ones without a call through the interface
	case nil:
		return append(dst, codeNull)
	case *Accepted:
		return s.Append(dst)
	default:
		return s.Append(dst)
	}
}

// Every accepted delivery is the same one: reading these does not allocate.
var (
	accepted = &Accepted{}
	released = &Released{}
)

// state reads a field that is nil when absent.
func (f *fields) state(field string) DeliveryState {
	if !f.has(field) {
		return nil
	}
	r := f.r
	at := r.b
	switch r.anyDescriptor() {
	case codeAccepted:
		r.Skip()
		return accepted
	case codeReleased:
		r.Skip()
		return released
	case codeRejected:
		in := r.fields(field)
		s := &Rejected{Error: in.error("error")}
		_ = in.end() // the reader keeps it
		return s
	case codeModified:
		in := r.fields(field)
		s := &Modified{
			DeliveryFailed:    in.bool("delivery-failed"),
			UndeliverableHere: in.bool("undeliverable-here"),
			Annotations:       in.mapping("message-annotations"),
		}
		_ = in.end()
		return s
	case codeReceived:
		return r.received(field)
	}
	if r.err != nil {
		return nil
	}
	r.b = at[1:]
	s := &UnknownState{Descriptor: r.Value()}
	r.Skip()
	return s
}

func (r *Reader) received(field string) DeliveryState {
	in := r.fields(field)
	s := &Received{}
	if in.must("section-number") {
		s.SectionNumber = r.Uint()
	}
	if in.must("section-offset") {
		s.SectionOffset = r.Ulong()
	}
	_ = in.end()
	return s
}
