package restfront

import (
	"mime"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/restwire"
)

// maxBatchBody bounds the JSON of a batch of telemetry, in bytes. The messages in it have up to 256 KiB together; base64,
// names and punctuation come on top.
const maxBatchBody = 1 << 20

// sendTelemetry stores one message of a device, or a batch of them, and answers 204 once all of it is durable.
//
// Source: learn.microsoft.com/rest/api/iothub/device/send-device-event; HttpTransportHandler.cs of
// Azure/azure-iot-sdk-csharp.
func sendTelemetry(c *call) error {
	var messages []*hubward.Message
	var err error
	if c.contentType() == restwire.BatchType {
		messages, err = c.readBatch()
	} else {
		var m *hubward.Message
		m, err = c.readMessage(hubward.MaxMessageSize)
		messages = []*hubward.Message{m}
	}
	if err != nil {
		return err
	}
	if err := c.server.hub.IngestOnce(c.ctx, &c.principal, messages); err != nil {
		return err
	}
	return c.done()
}

func (c *call) readBatch() ([]*hubward.Message, error) {
	body, err := c.readBody(maxBatchBody)
	if err != nil {
		return nil, err
	}
	return restwire.ParseBatch(body)
}

// readMessage makes a message of the request's headers and body, which has up to limit bytes.
//
// Where no header of IoT Hub's own names them, the content type and encoding are those of the request, as the Azure CLI
// means them: the encoding is the character set of the body, which is never compressed. A type that clients send with
// any body is none.
//
// Source: HttpTransportHandler.cs of Azure/azure-iot-sdk-csharp, for the headers. Observed with the Azure CLI, azure-iot
// 0.25.0: content-encoding: utf-8.
func (c *call) readMessage(limit int64) (*hubward.Message, error) {
	m, err := restwire.ParseMessage(c.fields())
	if err != nil {
		return nil, err
	}
	if m.ContentType == "" && !isAnyBody(c.contentType()) {
		m.ContentType = c.r.Header.Get("Content-Type")
	}
	if m.ContentEncoding == "" {
		m.ContentEncoding = c.r.Header.Get("Content-Encoding")
	}
	m.Body, err = c.readBody(limit)
	return m, err
}

// contentType is the media type of the request's body, in lower case and without parameters.
func (c *call) contentType() string {
	value := c.r.Header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(value); err == nil {
		return media
	}
	return strings.ToLower(strings.TrimSpace(value))
}

// isAnyBody reports whether a media type says nothing about a body: HTTP libraries and SDKs send these by themselves.
func isAnyBody(media string) bool {
	switch media {
	case "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded":
		return true
	}
	return false
}
