package restfront

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/hubward/hubward"
)

// deviceBody is what a caller may set of an identity. What the server owns (etag, times, connection state) is not read
// at all, so that a client may send back what it got.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-identity-registry, device identity properties.
type deviceBody struct {
	DeviceID string `json:"deviceId"`
	identityBody
}

// identityBody are the members that a single call and a bulk item share.
type identityBody struct {
	Status         hubward.Status          `json:"status"`
	StatusReason   hubward.NullString      `json:"statusReason"`
	Authentication *hubward.Authentication `json:"authentication"`
	Capabilities   hubward.Capabilities    `json:"capabilities"`
	DeviceScope    string                  `json:"deviceScope"`
	ParentScopes   []string                `json:"parentScopes"`
}

// device returns the identity with enumerations spelt as the hub spells them. The hub judges the values.
func (b *identityBody) device(id string) hubward.Device {
	return hubward.Device{
		DeviceID: id, Status: hubward.Status(strings.ToLower(string(b.Status))), StatusReason: b.StatusReason,
		Authentication: spelt(b.Authentication), Capabilities: b.Capabilities, DeviceScope: b.DeviceScope, ParentScopes: b.ParentScopes,
	}
}

// spelt spells a type of authentication as the hub does.
func spelt(auth *hubward.Authentication) *hubward.Authentication {
	if auth == nil {
		return nil
	}
	for _, known := range []hubward.AuthType{hubward.AuthSAS, hubward.AuthSelfSigned, hubward.AuthCertificate, hubward.AuthNone} {
		if strings.EqualFold(string(auth.Type), string(known)) {
			auth.Type = known
		}
	}
	return auth
}

// decodeDevice reads the body of putDevice. The id of the path wins; a body that names another one is refused.
func decodeDevice(body []byte, id string) (hubward.Device, error) {
	var b deviceBody
	if err := decode(body, &b); err != nil {
		return hubward.Device{}, err
	}
	if b.DeviceID != "" && b.DeviceID != id {
		return hubward.Device{}, hubward.Errorf(hubward.CodeArgumentInvalid, "deviceId: the body names %.128q, the path %.128q", b.DeviceID, id)
	}
	return b.device(id), nil
}

// putDevice creates an identity, or with If-Match replaces it.
func putDevice(c *call) error {
	body, err := c.readBody(maxBody)
	if err != nil {
		return err
	}
	d, err := decodeDevice(body, c.params[0])
	if err != nil {
		return err
	}
	stored, err := c.server.hub.PutDevice(c.ctx, &c.principal, d, c.ifMatch())
	if err != nil {
		return err
	}
	return c.answerDevice(stored)
}

func getDevice(c *call) error {
	d, err := c.server.hub.Device(c.ctx, &c.principal, c.params[0])
	if err != nil {
		return err
	}
	return c.answerDevice(d)
}

func deleteDevice(c *call) error {
	if err := c.server.hub.DeleteDevice(c.ctx, &c.principal, c.params[0], c.ifMatch()); err != nil {
		return err
	}
	return c.done()
}

// listDevices answers with the first identities: there is no paging, as in the cloud. A top outside 1 to 1000 means 1000.
func listDevices(c *call) error {
	return c.answerDevices("")
}

// pageDevices is listDevices behind an id: page by page, it lists any number of devices.
func pageDevices(c *call) error { return c.answerDevices(c.r.URL.Query().Get("after")) }

func (c *call) answerDevices(after string) error {
	top, err := c.top()
	if err != nil {
		return err
	}
	devices, err := c.server.hub.Devices(c.ctx, &c.principal, after, top)
	if err != nil {
		return err
	}
	if devices == nil {
		devices = []hubward.Device{} // an array, never null
	}
	return c.answer(http.StatusOK, devices)
}

// top is the number in the query by that name, 0 without one.
func (c *call) top() (int, error) { return c.queryNumber("top") }

func (c *call) queryNumber(name string) (int, error) {
	text := c.r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, hubward.Errorf(hubward.CodeArgumentInvalid, "%s: %.20q is not a number", name, text)
	}
	return n, nil
}

// answerDevice answers with an identity. The .NET SDK takes the etag from the header, quotes included.
func (c *call) answerDevice(d *hubward.Device) error {
	c.setHeader("ETag", `"`+d.ETag+`"`)
	return c.answer(http.StatusOK, d)
}

// ifMatch returns the bare etag of the If-Match header: "" without one, "*" for any.
func (c *call) ifMatch() string { return bareETag(c.r.Header.Get("If-Match")) }

// bareETag strips W/ and one layer of quotes.
//
// Source: learn.microsoft.com/rest/api/iothub, common parameters and headers (If-Match).
func bareETag(etag string) string {
	etag = strings.TrimPrefix(strings.TrimSpace(etag), "W/")
	if len(etag) >= 2 && etag[0] == '"' && etag[len(etag)-1] == '"' {
		etag = etag[1 : len(etag)-1]
	}
	return etag
}
