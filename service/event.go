package service

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Event is one telemetry message, or one event of the hub itself, as the stream shows it.
type Event struct {
	Partition      string    `json:"partition"`
	SequenceNumber int64     `json:"sequenceNumber"` // dense per partition
	Offset         string    `json:"offset"`         // opaque
	EnqueuedTime   time.Time `json:"enqueuedTime"`   // of the hub's log, milliseconds

	// Body is a JSON value: what the device sent if that is JSON, else a JSON string of its text. BodyBase64 is set
	// instead when the device sent what is no UTF-8 text.
	Body       json.RawMessage `json:"body"`
	BodyBase64 []byte          `json:"bodyBase64"`

	// Properties are the application properties; one without a value is empty here.
	Properties map[string]string `json:"properties"`
	// SystemProperties are those that the sender set: messageId, correlationId, userId, contentType, contentEncoding,
	// creationTimeUtc, expiryTimeUtc.
	SystemProperties map[string]string `json:"systemProperties"`
	// Annotations are what the hub stamped, e.g. iothub-connection-device-id. Numbers are json.Number; times are
	// milliseconds since 1970.
	Annotations map[string]any `json:"annotations"`

	// Raw is the event as the hub sent it: one line of JSON.
	Raw json.RawMessage `json:"-"`

	partition int
}

// DeviceID returns the id of the device that sent the event, or that it is about.
func (e *Event) DeviceID() string { return e.annotation("iothub-connection-device-id") }

// ModuleID returns the id of the module that sent the event, or that it is about, if it is one.
func (e *Event) ModuleID() string { return e.annotation("iothub-connection-module-id") }

// Source returns what the event is, e.g. Telemetry or TwinChangeEvents.
func (e *Event) Source() string { return e.annotation("iothub-message-source") }

func (e *Event) annotation(name string) string {
	text, _ := e.Annotations[name].(string)
	return text
}

// Bytes returns the body. That of a JSON body is without the white space that may have stood between its tokens.
func (e *Event) Bytes() []byte {
	if e.Body == nil {
		return e.BodyBase64
	}
	var text string
	if e.Body[0] == '"' && json.Unmarshal(e.Body, &text) == nil {
		return []byte(text)
	}
	return e.Body
}

// parseEvent reads one line of the stream. It keeps nothing of it.
func parseEvent(line []byte) (*Event, error) {
	e := &Event{Raw: bytes.Clone(line)}
	dec := json.NewDecoder(bytes.NewReader(e.Raw))
	dec.UseNumber()
	if err := dec.Decode(e); err != nil {
		return nil, fmt.Errorf("an event cannot be read: %w", err)
	}
	var err error
	if e.partition, err = strconv.Atoi(e.Partition); err != nil {
		return nil, fmt.Errorf("an event has no partition number: %.20q", e.Partition)
	}
	return e, nil
}
