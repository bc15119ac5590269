package restfront

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// twin is a row of a query: an identity without keys, in the twin that every device has as long as nobody has written to it.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-device-twins; capabilities are never left out, since the
// RegistryManagerSample of Azure/azure-iot-sdk-csharp reads them of each row.
type twin struct {
	DeviceID                  string                  `json:"deviceId"`
	ETag                      string                  `json:"etag"`
	DeviceETag                string                  `json:"deviceEtag"`
	Status                    hubward.Status          `json:"status"`
	StatusReason              string                  `json:"statusReason,omitempty"`
	StatusUpdateTime          hubward.Time            `json:"statusUpdateTime"` // spelt so; an identity has statusUpdatedTime
	ConnectionState           hubward.ConnectionState `json:"connectionState"`
	LastActivityTime          hubward.Time            `json:"lastActivityTime"`
	CloudToDeviceMessageCount int                     `json:"cloudToDeviceMessageCount"`
	AuthenticationType        hubward.AuthType        `json:"authenticationType"`
	X509Thumbprint            hubward.X509Thumbprint  `json:"x509Thumbprint"`
	ModelID                   string                  `json:"modelId"`
	Version                   int                     `json:"version"`
	Tags                      json.RawMessage         `json:"tags"`
	Properties                json.RawMessage         `json:"properties"`
	Capabilities              hubward.Capabilities    `json:"capabilities"`
	DeviceScope               string                  `json:"deviceScope,omitempty"`
	ParentScopes              []string                `json:"parentScopes,omitempty"`
}

// What a twin holds that nobody has written to.
const (
	newTwinETag       = "AAAAAAAAAAE="
	newTwinVersion    = 2
	newTwinSection    = `{"$metadata":{"$lastUpdated":"0001-01-01T00:00:00Z"},"$version":1}`
	newTwinProperties = `{"desired":` + newTwinSection + `,"reported":` + newTwinSection + `}`
)

func twinOf(d *hubward.Device) twin {
	t := twin{
		DeviceID: d.DeviceID, ETag: newTwinETag, DeviceETag: d.ETag,
		Status: d.Status, StatusReason: string(d.StatusReason), StatusUpdateTime: d.StatusUpdatedTime,
		ConnectionState: d.ConnectionState, LastActivityTime: d.LastActivityTime, CloudToDeviceMessageCount: d.CloudToDeviceMessageCount,
		Version: newTwinVersion, Tags: json.RawMessage(`{}`), Properties: json.RawMessage(newTwinProperties),
		Capabilities: d.Capabilities, DeviceScope: d.DeviceScope, ParentScopes: d.ParentScopes,
	}
	if auth := d.Authentication; auth != nil {
		t.AuthenticationType, t.X509Thumbprint = auth.Type, auth.X509Thumbprint
	}
	return t
}

// query answers with a page of a query's rows. The header of the next page is left out on the last one: clients take an empty
// one for another page.
//
// Source: learn.microsoft.com/rest/api/iothub/service/query/get-twins; Azure/azure-iot-sdk-csharp
// iothub/service/src/DeviceTwin/QueryResult.cs, which wants the type of the rows spelt so.
func query(c *call) error {
	body, err := c.readBody(maxBody)
	if err != nil {
		return err
	}
	var q struct {
		Query string `json:"query"`
	}
	if err := decode(body, &q); err != nil {
		return err
	}
	most, err := c.maxItems()
	if err != nil {
		return err
	}
	page, err := c.server.hub.Query(c.ctx, &c.principal, hub.Query{
		Text: q.Query, Continuation: c.r.Header.Get("x-ms-continuation"), MaxItems: most,
	})
	if err != nil {
		return err
	}
	rows := make([]twin, len(page.Devices))
	for i := range page.Devices {
		rows[i] = twinOf(&page.Devices[i])
	}
	c.setHeader("x-ms-item-type", "Twin")
	if page.Continuation != "" {
		c.setHeader("x-ms-continuation", page.Continuation)
	}
	return c.answer(http.StatusOK, rows)
}

// maxItems is how many rows a page may have, 0 when the client does not say.
func (c *call) maxItems() (int, error) {
	text := c.r.Header.Get("x-ms-max-item-count")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return 0, hubward.Errorf(hubward.CodeArgumentInvalid, "x-ms-max-item-count: %.20q is no number of rows", text)
	}
	return int(n), nil
}
