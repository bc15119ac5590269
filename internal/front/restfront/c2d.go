package restfront

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/restwire"
)

// sendC2D puts a back end's message into a device's queue. Explorer, which alone does it this way, escapes the whole path, in
// which the id is escaped already.
//
// Source: Azure/azure-iot-explorer public/handlers/dataPlaneHandler.ts.
func sendC2D(c *call) error {
	to := c.identity()
	if c.wholePath {
		if id, err := url.PathUnescape(to.Device); err == nil {
			to.Device = id
		}
	}
	// The hub's limit is lower; what is between the two gets the hub's own text.
	m, err := c.readMessage(hubward.MaxMessageSize)
	if err != nil {
		return err
	}
	m.To = "" // the path says it
	if text := c.r.Header.Get("iothub-expiry"); text != "" {
		if _, ok := restwire.ParseTime(text); !ok {
			return hubward.Errorf(hubward.CodeArgumentInvalid, "iothub-expiry: %.60q is no time such as 2026-01-31T12:00:00Z", text)
		}
	}
	if err := c.server.hub.SendC2D(c.ctx, &c.principal, to, m); err != nil {
		return err
	}
	return c.done()
}

// purgeResult is the answer of purgeC2D.
//
// Source: learn.microsoft.com/rest/api/iothub/service/cloud-to-device-messages.
type purgeResult struct {
	TotalMessagesPurged int     `json:"totalMessagesPurged"`
	DeviceID            string  `json:"deviceId"`
	ModuleID            *string `json:"moduleId"` // always null
}

// purgeC2D empties a device's queue.
func purgeC2D(c *call) error {
	id := c.identity()
	n, err := c.server.hub.PurgeC2D(c.ctx, &c.principal, id)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, purgeResult{TotalMessagesPurged: n, DeviceID: id.Device})
}

// identity is the one that the path names.
func (c *call) identity() hubward.Identity { return hubward.Identity{Device: c.params[0]} }

// receiveC2D locks a device's next message and answers with it, or 204.
//
// Source: learn.microsoft.com/rest/api/iothub/device/receive-device-bound-notification.
func receiveC2D(c *call) error {
	lock, err := c.lockTimeout()
	if err != nil {
		return err
	}
	d, err := c.server.hub.TakeC2D(c.ctx, &c.principal, lock)
	if err != nil {
		return err
	}
	if d == nil {
		return c.done()
	}
	c.setDelivery(d)
	c.setHeader("Content-Type", "application/octet-stream")
	c.setHeader("Content-Length", strconv.Itoa(len(d.Message.Body)))
	c.begin(http.StatusOK, len(d.Message.Body))
	c.w.Write(d.Message.Body) // when the device does not get it, its lock ends
	return nil
}

// setDelivery writes the headers of a message to its device, spelt as SDKs compare them. Some stand there even when they
// are empty.
func (c *call) setDelivery(d *hub.C2DDelivery) {
	m := d.Message
	for _, f := range [...]restwire.Field{
		{Name: "ETag", Value: `"` + d.LockToken + `"`},
		{Name: "iothub-messageid", Value: m.MessageID},
		{Name: "iothub-correlationid", Value: m.CorrelationID},
		{Name: "iothub-userid", Value: m.UserID},
		{Name: "iothub-to", Value: m.To},
		{Name: restwire.Sequence, Value: strconv.FormatInt(d.Sequence, 10)},
		{Name: restwire.EnqueuedTime, Value: restwire.FormatTime(d.Enqueued)},
		{Name: "iothub-expiry", Value: restwire.FormatTime(m.Expiry)},
		{Name: restwire.DeliveryCount, Value: strconv.Itoa(d.DeliveryCount)},
		{Name: restwire.LockToken, Value: d.LockToken},
	} {
		c.setHeader(f.Name, f.Value)
	}
	ack := m.Ack
	if ack == "" {
		ack = hubward.AckNone
	}
	c.setHeader("iothub-ack", string(ack))
	// These two are for the C SDK and the Azure CLI.
	if m.ContentType != "" {
		c.setHeader("ContentType", m.ContentType)
	}
	if m.ContentEncoding != "" {
		c.setHeader("ContentEncoding", m.ContentEncoding)
	}
	for _, p := range m.Properties {
		c.setHeader(restwire.AppPrefix+p.Name, p.Value)
	}
}

// lockTimeout is how long the request wants what it receives to be locked, in a header (Java, Azure CLI) or in the query
// (.NET); zero: it does not say. The hub knows the bounds.
//
// Errors: CodeArgumentInvalid.
func (c *call) lockTimeout() (time.Duration, error) {
	text := c.r.Header.Get(restwire.LockTimeout)
	if text == "" {
		text = queryValue(c.r.URL.Query(), restwire.LockTimeout)
	}
	if text == "" {
		return 0, nil
	}
	seconds, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, hubward.Errorf(hubward.CodeArgumentInvalid, "%s: %.20q is no number of seconds, such as 60", restwire.LockTimeout, text)
	}
	return time.Duration(seconds) * time.Second, nil
}

// queryValue is the first value of a name, which is compared without case.
func queryValue(q url.Values, name string) string {
	for key, values := range q {
		if strings.EqualFold(key, name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// completeC2D ends a message's lock for good: the device has dealt with it, or rejects it. Java's spelling of the latter
// decodes to "?reject=true"; the others are "reject", with or without a value.
//
// Source: learn.microsoft.com/rest/api/iothub/device/complete-device-bound-notification; IotHubRejectUri.java of
// Azure/azure-iot-sdk-java.
func completeC2D(c *call) error {
	outcome := hub.C2DComplete
	for key, values := range c.r.URL.Query() {
		if strings.HasSuffix(strings.ToLower(key), "reject") && !strings.EqualFold(values[0], "false") {
			outcome = hub.C2DReject
		}
	}
	return c.settleC2D(outcome)
}

func abandonC2D(c *call) error { return c.settleC2D(hub.C2DAbandon) }

// settleC2D goes by the token in the path: what clients put into If-Match differs.
func (c *call) settleC2D(outcome hub.C2DOutcome) error {
	if err := c.server.hub.SettleC2D(c.ctx, &c.principal, c.params[1], outcome); err != nil {
		return err
	}
	return c.done()
}
