package restwire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/utf8text"
)

// BatchType is the Content-Type of a batch of telemetry.
const BatchType = "application/vnd.microsoft.iothub.json"

// MaxBatch bounds the messages of one batch. The limit is ours; the size of the body bounds the cloud's.
const MaxBatch = 5000

// item is one message of a batch, as JSON.
//
// Source: Azure/azure-iot-sdk-c iothub_client/src/iothubtransporthttp.c, which alone sends base64Encoded false.
type item struct {
	Body          string     `json:"body"`
	Base64Encoded *bool      `json:"base64Encoded,omitempty"` // nil: true
	Properties    properties `json:"properties,omitempty"`
}

// properties are a JSON object of names and texts, in order.
type properties []property

type property struct {
	Field
	null bool
}

// UnmarshalJSON keeps the order and the case of names, which a map would not.
func (p *properties) UnmarshalJSON(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		if open == nil && err == nil {
			return nil // null
		}
		return errors.New("the properties are no JSON object")
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		value, err := dec.Token()
		if err != nil {
			return err
		}
		q := property{Field: Field{Name: name.(string)}} // a key is always a string
		switch v := value.(type) {
		case string:
			q.Value = v
		case json.Number:
			q.Value = v.String()
		case bool:
			q.Value = "false"
			if v {
				q.Value = "true"
			}
		case nil:
			q.null = true
		default:
			return errors.New("a property is an object or an array, it must be a text")
		}
		*p = append(*p, q)
	}
	return nil
}

// MarshalJSON writes the names in order.
func (p properties) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, q := range p {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(q.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(q.Value)
		if err != nil {
			return nil, err
		}
		if q.null {
			value = []byte("null")
		}
		b = append(append(append(b, name...), ':'), value...)
	}
	return append(b, '}'), nil
}

// ParseBatch reads a batch of telemetry: a JSON array of messages, behind a byte order mark perhaps. What is wrong with one
// is wrong with all.
//
// Errors: CodeFormatError for what is no such JSON or no UTF-8, CodeArgumentInvalid names the message by its index;
// CodeMessageTooLarge for more messages than MaxBatch.
func ParseBatch(body []byte) ([]*hubward.Message, error) {
	body, err := utf8text.Check(body)
	if err != nil {
		return nil, hubward.Errorf(hubward.CodeFormatError, "the body of a batch is a JSON array: %s", err)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if open, err := dec.Token(); err != nil || open != json.Delim('[') {
		return nil, hubward.Errorf(hubward.CodeFormatError, "the body of a batch is a JSON array")
	}
	var out []*hubward.Message
	for dec.More() {
		if len(out) == MaxBatch {
			return nil, hubward.Errorf(hubward.CodeMessageTooLarge, "the batch has more than %d messages", MaxBatch)
		}
		var it item
		if err := dec.Decode(&it); err != nil {
			return nil, hubward.Errorf(hubward.CodeFormatError, "message %d of the batch cannot be read: %.120s", len(out), err.Error())
		}
		m, err := it.message()
		if err != nil {
			return nil, hubward.Errorf(hubward.CodeOf(err), "message %d of the batch: %s", len(out), text(err))
		}
		out = append(out, m)
	}
	if _, err := dec.Token(); err != nil {
		return nil, hubward.Errorf(hubward.CodeFormatError, "the batch is cut short, or no JSON behind message %d", len(out)-1)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, hubward.Errorf(hubward.CodeFormatError, "something follows the batch")
	}
	return out, nil
}

// text is what an error of this package says to the peer.
func text(err error) string {
	var e *hubward.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return "it cannot be read"
}

func (it *item) message() (*hubward.Message, error) {
	m := &hubward.Message{}
	for _, p := range it.Properties {
		if err := set(m, p.Field, p.null); err != nil {
			return nil, err
		}
	}
	if err := checkID(m); err != nil {
		return nil, err
	}
	if it.Base64Encoded != nil && !*it.Base64Encoded {
		m.Body = []byte(it.Body)
		return m, nil
	}
	var err error
	if m.Body, err = base64.StdEncoding.DecodeString(it.Body); err != nil {
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "the body is no base64 (and base64Encoded is not false)")
	}
	return m, nil
}

// AppendBatch appends the JSON of a batch.
//
// Errors: CodeArgumentInvalid names the message, for a property that is no UTF-8 or has no name;
// CodeMessageTooLarge for more messages than MaxBatch.
func AppendBatch(dst []byte, messages []*hubward.Message) ([]byte, error) {
	if len(messages) > MaxBatch {
		return dst, hubward.Errorf(hubward.CodeMessageTooLarge, "the batch has %d messages, the limit is %d", len(messages), MaxBatch)
	}
	encoded := true
	items := make([]item, len(messages))
	for i, m := range messages {
		items[i] = item{Body: base64.StdEncoding.EncodeToString(m.Body), Base64Encoded: &encoded}
		fields := Fields(m)
		system := len(fields) - len(m.Properties)
		for j, f := range fields {
			if f.Name == AppPrefix || !utf8.ValidString(f.Name) || !utf8.ValidString(f.Value) {
				return dst, hubward.Errorf(hubward.CodeArgumentInvalid, "message %d of the batch: a property has no name or is no UTF-8", i)
			}
			items[i].Properties = append(items[i].Properties, property{f, j >= system && m.Properties[j-system].Null})
		}
	}
	body, err := json.Marshal(items)
	return append(dst, body...), err
}
