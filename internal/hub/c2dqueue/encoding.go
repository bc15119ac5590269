package c2dqueue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/hubward/hubward"
)

// The form of a stored message: a version byte, then fields until the end, each a tag, a length (uvarint) and that many
// bytes. Absent fields are empty. A property is a name, followed by a value unless it is null.
//
// It is neither JSON nor AMQP: JSON would change bytes that are no UTF-8 (a user id is binary in AMQP) and swell the body
// by a third; AMQP sections have no place for some fields of hubward.Message, and tie the store to a wire. Expiry is what its
// sender said; what ends it, the queue has. TTL is not in it: it has become an expiry.
const encodingVersion = 1

// Tags. A number that was given is never given to something else.
const (
	tagBody            = 1
	tagMessageID       = 2
	tagCorrelationID   = 3
	tagUserID          = 4
	tagTo              = 5
	tagContentType     = 6
	tagContentEncoding = 7
	tagCreationTime    = 8
	tagOutputName      = 9
	tagInterfaceID     = 10
	tagSubject         = 11
	tagSchema          = 12
	tagTraceID         = 13
	tagTraceContext    = 14
	tagAck             = 15
	tagPropertyName    = 16
	tagPropertyValue   = 17
	tagExpiry          = 18 // 8 bytes, nanoseconds since 1970
)

var errDamaged = errors.New("c2dqueue: the stored message is damaged")

// field is one text of a message.
type field struct {
	tag  byte
	text *string
}

func fieldsOf(m *hubward.Message) [14]field {
	return [...]field{
		{tagMessageID, &m.MessageID}, {tagCorrelationID, &m.CorrelationID}, {tagUserID, &m.UserID}, {tagTo, &m.To},
		{tagContentType, &m.ContentType}, {tagContentEncoding, &m.ContentEncoding}, {tagCreationTime, &m.CreationTime},
		{tagOutputName, &m.OutputName}, {tagInterfaceID, &m.InterfaceID}, {tagSubject, &m.Subject}, {tagSchema, &m.Schema},
		{tagTraceID, &m.TraceID}, {tagTraceContext, &m.TraceContext}, {tagAck, (*string)(&m.Ack)},
	}
}

// Encode returns the stored form of m. It keeps nothing of m.
func Encode(m *hubward.Message) []byte {
	dst := make([]byte, 0, 64+m.Size()+8*len(m.Properties))
	dst = append(dst, encodingVersion)
	for _, f := range fieldsOf(m) {
		if *f.text != "" {
			dst = appendField(dst, f.tag, *f.text)
		}
	}
	for i := range m.Properties {
		p := &m.Properties[i]
		dst = appendField(dst, tagPropertyName, p.Name)
		if !p.Null {
			dst = appendField(dst, tagPropertyValue, p.Value)
		}
	}
	if !m.Expiry.IsZero() {
		dst = appendField(dst, tagExpiry, binary.BigEndian.AppendUint64(nil, uint64(m.Expiry.UnixNano())))
	}
	if len(m.Body) > 0 {
		dst = appendField(dst, tagBody, m.Body)
	}
	return dst
}

func appendField[T string | []byte](dst []byte, tag byte, text T) []byte {
	dst = binary.AppendUvarint(append(dst, tag), uint64(len(text)))
	return append(dst, text...)
}

// Decode reads what Encode wrote. The message's body is a part of data.
func Decode(data []byte) (*hubward.Message, error) {
	if len(data) == 0 {
		return nil, errDamaged
	}
	if data[0] != encodingVersion {
		return nil, fmt.Errorf("c2dqueue: the stored message has version %d, this program knows %d", data[0], encodingVersion)
	}
	m := new(hubward.Message)
	fields := fieldsOf(m)
	for data = data[1:]; len(data) > 0; {
		tag := data[0]
		size, n := binary.Uvarint(data[1:])
		if n <= 0 || size > uint64(len(data)-1-n) {
			return nil, errDamaged
		}
		value := data[1+n:][:size]
		data = data[1+n+int(size):]
		if !setField(m, fields[:], tag, value) {
			return nil, errDamaged
		}
	}
	return m, nil
}

// setField puts one field into m, and reports whether it may stand there.
func setField(m *hubward.Message, fields []field, tag byte, value []byte) bool {
	switch tag {
	case tagBody:
		m.Body = value
		return true
	case tagExpiry:
		if len(value) != 8 {
			return false
		}
		m.Expiry = time.Unix(0, int64(binary.BigEndian.Uint64(value))).UTC()
		return true
	case tagPropertyName:
		m.Properties = append(m.Properties, hubward.Property{Name: string(value), Null: true})
		return true
	case tagPropertyValue:
		if len(m.Properties) == 0 {
			return false
		}
		last := &m.Properties[len(m.Properties)-1]
		last.Value, last.Null = string(value), false
		return true
	}
	for _, f := range fields {
		if f.tag == tag {
			*f.text = string(value)
			return true
		}
	}
	return false
}
