package service

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/hubward/hubward"
)

// moduleIdentity is what a caller may set of a module. The rest of hubward.Module is the hub's.
type moduleIdentity struct {
	DeviceID       string                  `json:"deviceId"`
	ModuleID       string                  `json:"moduleId"`
	ManagedBy      hubward.NullString      `json:"managedBy"`
	Authentication *hubward.Authentication `json:"authentication,omitempty"`
}

// CreateModule registers a module of a device and returns it as stored. A nil Authentication, or one with two empty keys, means
// keys that the hub makes. A device has up to hubward.MaxModules modules.
//
// Errors: CodeModuleAlreadyExistsOnDevice, CodeDeviceNotFound, CodeTooManyModulesOnDevice; CodeArgumentInvalid, also for ids that
// begin with $, which are the hub's own; CodeUnauthorizedAccess. Needs RegistryWrite.
func (c *Client) CreateModule(ctx context.Context, m hubward.Module) (*hubward.Module, error) {
	return c.putModule(ctx, "service.CreateModule", &m, "")
}

// UpdateModule replaces a module if its etag is still m.ETag, or whatever is stored if m.ETag is AnyETag, and returns it as stored.
// Everything that a caller may set is replaced, ManagedBy too: start from what Module returned. A nil Authentication means new
// keys.
//
// Errors: CodePreconditionFailed when the module has changed meanwhile; CodeDeviceNotFound, CodeModuleNotFound;
// CodeArgumentInvalid, also when m.ETag is empty; CodeUnauthorizedAccess. Needs RegistryWrite.
func (c *Client) UpdateModule(ctx context.Context, m hubward.Module) (*hubward.Module, error) {
	const op = "service.UpdateModule"
	if m.ETag == "" {
		return nil, moduleRequest(op, http.MethodPut, m.DeviceID, m.ModuleID).refuse("an update needs the etag of the module, or AnyETag")
	}
	return c.putModule(ctx, op, &m, m.ETag)
}

func (c *Client) putModule(ctx context.Context, op string, m *hubward.Module, etag string) (*hubward.Module, error) {
	r := moduleRequest(op, http.MethodPut, m.DeviceID, m.ModuleID)
	r.ifMatch, r.body = etag, moduleIdentity{m.DeviceID, m.ModuleID, m.ManagedBy, m.Authentication}
	stored := new(hubward.Module)
	if err := c.do(ctx, r, stored); err != nil {
		return nil, err
	}
	return stored, nil
}

// Module returns one module.
//
// Errors: CodeDeviceNotFound, CodeModuleNotFound, CodeUnauthorizedAccess. Needs RegistryRead.
func (c *Client) Module(ctx context.Context, device, module string) (*hubward.Module, error) {
	m := new(hubward.Module)
	if err := c.do(ctx, moduleRequest("service.Module", http.MethodGet, device, module), m); err != nil {
		return nil, err
	}
	return m, nil
}

// Modules returns all modules of a device with their keys.
//
// Errors: CodeDeviceNotFound, CodeUnauthorizedAccess. Needs RegistryRead.
func (c *Client) Modules(ctx context.Context, device string) ([]hubward.Module, error) {
	r := &request{
		op: "service.Modules", device: device, method: http.MethodGet, path: []string{"devices", device, "modules"}, version: APIVersion,
	}
	var modules []hubward.Module
	err := c.do(ctx, r, &modules)
	return modules, err
}

// DeleteModule removes a module, with its twin, if its etag is still etag, or in any case if etag is AnyETag.
//
// Errors: CodePreconditionFailed, also for an empty etag; CodeDeviceNotFound, CodeModuleNotFound; CodeUnauthorizedAccess. Needs
// RegistryWrite.
func (c *Client) DeleteModule(ctx context.Context, device, module, etag string) error {
	r := moduleRequest("service.DeleteModule", http.MethodDelete, device, module)
	r.ifMatch = etag
	return c.do(ctx, r, nil)
}

func moduleRequest(op, method, device, module string) *request {
	return &request{
		op: op, device: device, module: module, method: method, path: []string{"devices", device, "modules", module}, version: APIVersion,
	}
}

// AllModules gives the modules of all devices with their keys, ordered by device and module id, a thousand in a call. A module that
// is there all the time is given exactly once, whatever else comes and goes meanwhile. An error is the last thing that it gives.
// Hubward only.
//
// Errors: CodeUnauthorizedAccess. Needs RegistryRead.
func (c *Client) AllModules(ctx context.Context) iter.Seq2[hubward.Module, error] {
	return func(yield func(hubward.Module, error) bool) {
		after := hubward.Identity{}
		for {
			page, err := c.modulesAfter(ctx, after)
			if err != nil {
				yield(hubward.Module{}, err)
				return
			}
			for i := range page {
				if !yield(page[i], nil) {
					return
				}
			}
			if len(page) < maxListed {
				return
			}
			last := &page[len(page)-1]
			after = hubward.Identity{Device: last.DeviceID, Module: last.ModuleID}
		}
	}
}

// modulesAfter returns the page of modules behind an identity.
func (c *Client) modulesAfter(ctx context.Context, after hubward.Identity) ([]hubward.Module, error) {
	r := &request{
		op: "service.AllModules", method: http.MethodGet, path: []string{"$hubward", "modules"},
		query: url.Values{"after": {after.Device}, "afterModule": {after.Module}, "top": {strconv.Itoa(maxListed)}},
	}
	var modules []hubward.Module
	err := c.do(ctx, r, &modules)
	if err != nil || len(modules) == 0 {
		return nil, err
	}
	if m := &modules[0]; m.DeviceID < after.Device || m.DeviceID == after.Device && m.ModuleID <= after.Module {
		return nil, fmt.Errorf("%s: %s gave %.128q of %.128q behind %s", r.op, c.host, m.ModuleID, m.DeviceID, after)
	}
	return modules, nil
}
