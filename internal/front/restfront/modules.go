package restfront

import (
	"net/http"

	"github.com/hubward/hubward"
)

// moduleBody is what a caller may set of a module; the rest is not read, as in deviceBody.
//
// Source: learn.microsoft.com/rest/api/iothub/service/modules.
type moduleBody struct {
	DeviceID       string                  `json:"deviceId"`
	ModuleID       string                  `json:"moduleId"`
	ManagedBy      hubward.NullString      `json:"managedBy"`
	Authentication *hubward.Authentication `json:"authentication"`
}

// decodeModule reads the body of putModule. The ids of the path win; a body that names others is refused.
func decodeModule(body []byte, id hubward.Identity) (hubward.Module, error) {
	var b moduleBody
	if err := decode(body, &b); err != nil {
		return hubward.Module{}, err
	}
	for _, named := range []struct{ member, body, path string }{{"deviceId", b.DeviceID, id.Device}, {"moduleId", b.ModuleID, id.Module}} {
		if named.body != "" && named.body != named.path {
			return hubward.Module{}, hubward.Errorf(hubward.CodeArgumentInvalid, "%s: the body names %.128q, the path %.128q", named.member, named.body, named.path)
		}
	}
	return hubward.Module{
		DeviceID: id.Device, ModuleID: id.Module, ManagedBy: b.ManagedBy, Authentication: spelt(b.Authentication),
	}, nil
}

// putModule creates a module, or with If-Match replaces it.
func putModule(c *call) error {
	body, err := c.readBody(maxBody)
	if err != nil {
		return err
	}
	m, err := decodeModule(body, c.twinIdentity())
	if err != nil {
		return err
	}
	stored, err := c.server.hub.PutModule(c.ctx, &c.principal, m, c.ifMatch())
	if err != nil {
		return err
	}
	return c.answerModule(stored)
}

func getModule(c *call) error {
	m, err := c.server.hub.Module(c.ctx, &c.principal, c.twinIdentity())
	if err != nil {
		return err
	}
	return c.answerModule(m)
}

func deleteModule(c *call) error {
	if err := c.server.hub.DeleteModule(c.ctx, &c.principal, c.twinIdentity(), c.ifMatch()); err != nil {
		return err
	}
	return c.done()
}

// listModules answers with all modules of a device.
func listModules(c *call) error {
	modules, err := c.server.hub.Modules(c.ctx, &c.principal, c.params[0])
	return c.answerModules(modules, err)
}

// pageModules answers with the modules of all devices behind "after" and "afterModule", up to "top": page by page, it lists any
// number of modules.
func pageModules(c *call) error {
	top, err := c.top()
	if err != nil {
		return err
	}
	query := c.r.URL.Query()
	after := hubward.Identity{Device: query.Get("after"), Module: query.Get("afterModule")}
	modules, err := c.server.hub.AllModules(c.ctx, &c.principal, after, top)
	return c.answerModules(modules, err)
}

func (c *call) answerModules(modules []hubward.Module, err error) error {
	if err != nil {
		return err
	}
	if modules == nil {
		modules = []hubward.Module{} // an array, never null
	}
	return c.answer(http.StatusOK, modules)
}

// answerModule answers with an identity. The .NET SDK takes the etag from the header, quotes included.
func (c *call) answerModule(m *hubward.Module) error {
	c.setHeader("ETag", `"`+m.ETag+`"`)
	return c.answer(http.StatusOK, m)
}
