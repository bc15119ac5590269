package amqpwire

import (
	"fmt"
	"time"
)

// Append appends the sections that are set: maps and lists of fields with nothing in them are left out, and so are the
// fields behind the last one that is set. More than one kind of body, a message id of another type, a key that its
// section does not allow, or a value of a Go type that AMQP lacks, is an error that wraps ErrType; dst is returned as it
// was.
func (m *Message) Append(dst []byte) ([]byte, error) {
	out, err := m.append(dst)
	if err != nil {
		return dst, err
	}
	return out, nil
}

func (m *Message) append(dst []byte) ([]byte, error) {
	dst = m.Header.append(dst)
	dst, err := appendSectionMap(dst, SectionDeliveryAnnotations, m.DeliveryAnnotations)
	if err != nil {
		return dst, err
	}
	if dst, err = appendSectionMap(dst, SectionMessageAnnotations, m.Annotations); err != nil {
		return dst, err
	}
	if dst, err = m.Properties.append(dst); err != nil {
		return dst, err
	}
	if dst, err = appendSectionMap(dst, SectionApplicationProperties, m.ApplicationProperties); err != nil {
		return dst, err
	}
	if dst, err = m.appendBody(dst); err != nil {
		return dst, err
	}
	return appendSectionMap(dst, SectionFooter, m.Footer)
}

func (m *Message) appendBody(dst []byte) ([]byte, error) {
	if len(m.Data) > 0 && len(m.Sequences) > 0 || m.HasValue && len(m.Data)+len(m.Sequences) > 0 {
		return dst, inField("message", "body", fmt.Errorf("%w: data, sequences and a value exclude one another", ErrType))
	}
	for _, data := range m.Data {
		dst = AppendBinary(AppendSection(dst, SectionData), data)
	}
	var err error
	for _, list := range m.Sequences {
		if list == nil {
			list = List{}
		}
		if dst, err = appendValue(AppendSection(dst, SectionSequence), list, 0); err != nil {
			return dst, inField("message", "amqp-sequence", err)
		}
	}
	if m.HasValue {
		if dst, err = appendValue(AppendSection(dst, SectionValue), m.Value, 0); err != nil {
			return dst, inField("message", "amqp-value", err)
		}
	}
	return dst, nil
}

// appendSectionMap appends a section that is a map, with keys of the type that it asks for, or nothing for an empty one.
func appendSectionMap(dst []byte, s Section, m Map) ([]byte, error) {
	if len(m) == 0 {
		return dst, nil
	}
	dst, c := BeginMap(AppendSection(dst, s))
	for i := range m {
		switch key := m[i].Key.(type) {
		case string:
			dst = appendKey(dst, s, key)
		case Symbol:
			dst = appendKey(dst, s, string(key))
		case uint64:
			if s == SectionApplicationProperties {
				return dst, keyError(s, key)
			}
			dst = AppendUlong(dst, key)
		default:
			return dst, keyError(s, key)
		}
		var err error
		if dst, err = appendValue(dst, m[i].Value, 1); err != nil {
			return dst, inField("message", fmt.Sprintf("%s[%v]", sectionNames[s-SectionHeader], m[i].Key), err)
		}
	}
	return c.endShort(dst, 2*len(m)), nil
}

func keyError(s Section, key any) error {
	return inField("message", sectionNames[s-SectionHeader], fmt.Errorf("%w: a key of type %T", ErrType, key))
}

func appendKey(dst []byte, s Section, key string) []byte {
	if s == SectionApplicationProperties {
		return AppendString(dst, key)
	}
	return AppendSymbol(dst, key)
}

func (h *Header) append(dst []byte) []byte {
	if h == nil {
		return dst
	}
	dst, l := beginTrimmed(dst, SectionHeader)
	dst = l.field(orNull(dst, h.Durable, AppendBool))
	dst = l.field(orNull(dst, h.Priority, AppendUbyte))
	dst = l.field(orNull(dst, milliseconds(h.TTL), AppendUint))
	dst = l.field(orNull(dst, h.FirstAcquirer, AppendBool))
	dst = l.field(orNull(dst, h.DeliveryCount, AppendUint))
	return l.end(dst)
}

func (p *Properties) append(dst []byte) ([]byte, error) {
	if p == nil {
		return dst, nil
	}
	dst, l := beginTrimmed(dst, SectionProperties)
	dst, err := appendMessageID(dst, p.MessageID)
	if err != nil {
		return dst, inField("message.properties", "message-id", err)
	}
	dst = l.field(dst)
	if len(p.UserID) == 0 {
		dst = l.field(append(dst, codeNull))
	} else {
		dst = l.field(AppendBinary(dst, p.UserID))
	}
	dst = l.field(appendOptional(dst, p.To))
	dst = l.field(appendOptional(dst, p.Subject))
	dst = l.field(appendOptional(dst, p.ReplyTo))
	if dst, err = appendMessageID(dst, p.CorrelationID); err != nil {
		return dst, inField("message.properties", "correlation-id", err)
	}
	dst = l.field(dst)
	dst = l.field(appendOptionalSymbol(dst, Symbol(p.ContentType)))
	dst = l.field(appendOptionalSymbol(dst, Symbol(p.ContentEncoding)))
	dst = l.field(appendTime(dst, p.AbsoluteExpiryTime))
	dst = l.field(appendTime(dst, p.CreationTime))
	dst = l.field(appendOptional(dst, p.GroupID))
	dst = l.field(appendUint(dst, p.GroupSequence))
	dst = l.field(appendOptional(dst, p.ReplyToGroupID))
	return l.end(dst), nil
}

func appendMessageID(dst []byte, id any) ([]byte, error) {
	switch id.(type) {
	case nil, uint64, UUID, []byte, string:
		return appendValue(dst, id, 0)
	}
	return dst, fmt.Errorf("%w, not %T", ErrType, id)
}

func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, codeNull)
	}
	return AppendTimestamp(dst, t)
}

// orNull appends v, or null for its zero value.
func orNull[T comparable](dst []byte, v T, appendV func([]byte, T) []byte) []byte {
	var zero T
	if v == zero {
		return append(dst, codeNull)
	}
	return appendV(dst, v)
}

// trimmedList is an open list that ends with its last field that is not null.
type trimmedList struct {
	c           Compound
	start       int // of the section
	at          int // where the next field begins
	count, last int // fields so far, and up to the last one that is not null
	behind      int // where that one ends
}

func beginTrimmed(dst []byte, s Section) ([]byte, trimmedList) {
	start := len(dst)
	dst, c := BeginList(AppendSection(dst, s))
	return dst, trimmedList{c: c, start: start, at: len(dst)}
}

// field notes that a field was appended.
func (l *trimmedList) field(dst []byte) []byte {
	l.count++
	if dst[l.at] != codeNull {
		l.last, l.behind = l.count, len(dst)
	}
	l.at = len(dst)
	return dst
}

// end closes the list, or takes the section back if it has no fields.
func (l *trimmedList) end(dst []byte) []byte {
	if l.last == 0 {
		return dst[:l.start]
	}
	return l.c.endShort(dst[:l.behind], l.last)
}
