package restfront

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// maxTwinBody bounds a twin that a caller writes, in bytes. Clients post back whole twins as they got them: with both sections of
// properties, 32 KiB each, and with $metadata, which takes some 90 bytes for each property, of a few bytes perhaps.
const maxTwinBody = 4 << 20

// twinBody is what a caller may set of a twin. All else is not read: clients post back whole twins. A section is kept as it is
// written, which keeps its numbers; nil: it is absent.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-device-twins, back-end operations. TwinJsonConverter.cs of
// Azure/azure-iot-sdk-csharp writes etag, version and reported properties, too.
type twinBody struct {
	Tags       json.RawMessage `json:"tags"`
	Properties struct {
		Desired json.RawMessage `json:"desired"`
	} `json:"properties"`
}

// twinIdentity returns whose twin the path names: a device's, or a module's.
func (c *call) twinIdentity() hubward.Identity {
	id := hubward.Identity{Device: c.params[0]}
	if len(c.params) > 1 {
		id.Module = c.params[1]
	}
	return id
}

func getTwin(c *call) error {
	t, err := c.server.hub.Twin(c.ctx, &c.principal, c.twinIdentity())
	return c.answerTwin(t, err)
}

// updateTwin merges the body into the twin.
func updateTwin(c *call) error {
	u, err := c.readTwin()
	if err != nil {
		return err
	}
	t, err := c.server.hub.UpdateTwin(c.ctx, &c.principal, c.twinIdentity(), u, c.ifMatch())
	return c.answerTwin(t, err)
}

// replaceTwin replaces tags and desired properties by those of the body; one that is absent becomes empty.
func replaceTwin(c *call) error {
	u, err := c.readTwin()
	if err != nil {
		return err
	}
	t, err := c.server.hub.ReplaceTwin(c.ctx, &c.principal, c.twinIdentity(), u, c.ifMatch())
	return c.answerTwin(t, err)
}

func (c *call) readTwin() (hub.TwinUpdate, error) {
	body, err := c.readBody(maxTwinBody)
	if err != nil {
		return hub.TwinUpdate{}, err
	}
	return decodeTwin(body)
}

func decodeTwin(body []byte) (hub.TwinUpdate, error) {
	var b twinBody
	err := decode(body, &b)
	return hub.TwinUpdate{Tags: b.Tags, Desired: b.Properties.Desired}, err
}

// answerTwin answers with a twin, whose etag the .NET SDK takes from the header, quotes included. Of a module that is not there
// the cloud service says in this call that the device is not, in the nested form.
//
// Source: Azure/azure-iot-sdk-csharp e2e tests, RegistryManagerE2ETests, for the form; observed by others, for the code.
func (c *call) answerTwin(t *hubward.Twin, err error) error {
	if err != nil {
		var e *hubward.Error
		if errors.As(err, &e) && e.Code == hubward.CodeModuleNotFound {
			c.nested = true
			missing := *e
			missing.Code = hubward.CodeDeviceNotFound
			return &missing
		}
		return err
	}
	c.setHeader("ETag", `"`+t.ETag+`"`)
	return c.answer(http.StatusOK, t)
}
