package restfront

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// The calls of an Edge hub that ask who is in its device's scope. The path names the hub's module, whose own token comes with the
// call. Edge hubs that know of nested devices send the second pair.
//
// Source: Azure/iotedge edge-hub/core/src/Microsoft.Azure.Devices.Edge.Hub.CloudProxy/DeviceScopeApiClient.cs,
// NestedDeviceScopeApiClient.cs and ScopeResult.cs; ../Microsoft.Azure.Devices.Edge.Hub.Core/NestedScopeRequest.cs and
// IdentityOnBehalfOfRequest.cs.

// scopeResult is the answer of all of them. None of its members may be absent.
type scopeResult struct {
	Devices          []hubward.Device   `json:"devices"`
	Modules          []hubward.Module   `json:"modules"`
	ContinuationLink hubward.NullString `json:"continuationLink"`
}

// scopeBody is the body of the calls on behalf of another device. authChain is the ids from that device up to the one that calls,
// with semicolons between them.
type scopeBody struct {
	PageSize         int    `json:"pageSize"`
	ContinuationLink string `json:"continuationLink"`
	AuthChain        string `json:"authChain"`
	TargetDeviceID   string `json:"targetDeviceId"`
	TargetModuleID   string `json:"targetModuleId"`
}

func decodeScope(body []byte) (b scopeBody, err error) {
	if err = decode(body, &b); err != nil {
		return b, err
	}
	if b.origin() == "" {
		return b, hubward.Errorf(hubward.CodeArgumentInvalid, "authChain: it names no device")
	}
	return b, nil
}

// origin is the device on whose behalf the call is. That the others of the chain are above it, the hub sees for itself.
func (b *scopeBody) origin() string {
	first, _, _ := strings.Cut(strings.TrimLeft(b.AuthChain, ";"), ";")
	return first
}

// scopeOfItself answers with a page of the scope of the calling hub's device. The link to the next page is a path.
func scopeOfItself(c *call) error {
	count, err := c.queryNumber("deviceCount")
	if err != nil {
		return err
	}
	query := c.r.URL.Query()
	page, err := c.server.hub.DevicesInScope(c.ctx, &c.principal, hub.ScopeQuery{Continuation: query.Get("continuationToken"), MaxDevices: count})
	if err != nil {
		return err
	}
	link := ""
	if page.Continuation != "" {
		query.Set("continuationToken", page.Continuation)
		query.Set("deviceCount", strconv.Itoa(count))
		link = "/devices/" + url.PathEscape(c.params[0]) + "/modules/" + url.PathEscape(c.params[1]) + "/devicesAndModulesInDeviceScope?" + query.Encode()
	}
	return c.answerScope(page, link)
}

// scopeOfTarget answers with a page of the scope of a device below the calling hub's. The link to the next page is what the body
// brings back.
func scopeOfTarget(c *call) error {
	b, err := c.readScope()
	if err != nil {
		return err
	}
	page, err := c.server.hub.DevicesInScope(c.ctx, &c.principal, hub.ScopeQuery{
		Target: b.origin(), Continuation: b.ContinuationLink, MaxDevices: b.PageSize,
	})
	if err != nil {
		return err
	}
	return c.answerScope(page, page.Continuation)
}

// identityInScope answers with one identity in the scope of the calling hub's device.
func identityInScope(c *call) error {
	query := c.r.URL.Query()
	id := hubward.Identity{Device: query.Get("targetDeviceId"), Module: query.Get("targetModuleId")}
	page, err := c.server.hub.IdentityInScope(c.ctx, &c.principal, id, "")
	if err != nil {
		return err
	}
	return c.answerScope(page, "")
}

// identityOnBehalfOf answers with one identity in the scope of a device below the calling hub's.
func identityOnBehalfOf(c *call) error {
	b, err := c.readScope()
	if err != nil {
		return err
	}
	id := hubward.Identity{Device: b.TargetDeviceID, Module: b.TargetModuleID}
	page, err := c.server.hub.IdentityInScope(c.ctx, &c.principal, id, b.origin())
	if err != nil {
		return err
	}
	return c.answerScope(page, "")
}

func (c *call) readScope() (scopeBody, error) {
	body, err := c.readBody(maxBody)
	if err != nil {
		return scopeBody{}, err
	}
	return decodeScope(body)
}

func (c *call) answerScope(page hub.ScopePage, link string) error {
	result := scopeResult{Devices: page.Devices, Modules: page.Modules, ContinuationLink: hubward.NullString(link)}
	if result.Devices == nil {
		result.Devices = []hubward.Device{}
	}
	if result.Modules == nil {
		result.Modules = []hubward.Module{}
	}
	return c.answer(http.StatusOK, result)
}
