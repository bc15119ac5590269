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

// AnyETag as an etag means: whatever version is stored.
const AnyETag = "*"

// identity is what a caller may set of a device. The rest of hubward.Device is the hub's.
type identity struct {
	DeviceID       string                  `json:"deviceId"`
	Status         hubward.Status          `json:"status,omitempty"`
	StatusReason   hubward.NullString      `json:"statusReason"`
	Authentication *hubward.Authentication `json:"authentication,omitempty"`
	Capabilities   hubward.Capabilities    `json:"capabilities"`
	DeviceScope    string                  `json:"deviceScope,omitempty"`
	ParentScopes   []string                `json:"parentScopes,omitempty"`
}

func identityOf(d *hubward.Device) identity {
	return identity{
		DeviceID: d.DeviceID, Status: d.Status, StatusReason: d.StatusReason, Authentication: d.Authentication,
		Capabilities: d.Capabilities, DeviceScope: d.DeviceScope, ParentScopes: d.ParentScopes,
	}
}

// CreateDevice registers a device and returns it as stored. A nil Authentication, or one with two empty keys, means
// keys that the hub makes; an empty Status means enabled.
//
// Errors: CodeDeviceAlreadyExists, CodeArgumentInvalid, CodeUnauthorizedAccess. Needs RegistryWrite.
func (c *Client) CreateDevice(ctx context.Context, d hubward.Device) (*hubward.Device, error) {
	return c.putDevice(ctx, "service.CreateDevice", &d, "")
}

// UpdateDevice replaces the identity d.DeviceID if its etag is still d.ETag, or whatever is stored if d.ETag is
// AnyETag, and returns it as stored. Everything that a caller may set is replaced: start from what Device returned. A
// nil Authentication means new keys.
//
// Errors: CodePreconditionFailed when the identity has changed meanwhile; CodeDeviceNotFound; CodeArgumentInvalid, also
// when d.ETag is empty; CodeUnauthorizedAccess. Needs RegistryWrite.
func (c *Client) UpdateDevice(ctx context.Context, d hubward.Device) (*hubward.Device, error) {
	if d.ETag == "" {
		return nil, deviceRequest("service.UpdateDevice", http.MethodPut, d.DeviceID).refuse("an update needs the etag of the identity, or AnyETag")
	}
	return c.putDevice(ctx, "service.UpdateDevice", &d, d.ETag)
}

func (c *Client) putDevice(ctx context.Context, op string, d *hubward.Device, etag string) (*hubward.Device, error) {
	r := deviceRequest(op, http.MethodPut, d.DeviceID)
	r.ifMatch, r.body = etag, identityOf(d)
	stored := new(hubward.Device)
	if err := c.do(ctx, r, stored); err != nil {
		return nil, err
	}
	return stored, nil
}

// Device returns one identity.
//
// Errors: CodeDeviceNotFound, CodeUnauthorizedAccess. Needs RegistryRead.
func (c *Client) Device(ctx context.Context, id string) (*hubward.Device, error) {
	d := new(hubward.Device)
	if err := c.do(ctx, deviceRequest("service.Device", http.MethodGet, id), d); err != nil {
		return nil, err
	}
	return d, nil
}

// DeleteDevice removes an identity, with its messages and twin, if its etag is still etag, or in any case if etag is
// AnyETag.
//
// Errors: CodePreconditionFailed, also for an empty etag; CodeDeviceNotFound; CodeUnauthorizedAccess. Needs
// RegistryWrite.
func (c *Client) DeleteDevice(ctx context.Context, id, etag string) error {
	r := deviceRequest("service.DeleteDevice", http.MethodDelete, id)
	r.ifMatch = etag
	return c.do(ctx, r, nil)
}

func deviceRequest(op, method, id string) *request {
	return &request{op: op, device: id, method: method, path: []string{"devices", id}, version: APIVersion}
}

// maxListed is how many identities Devices returns at most.
//
// Source: learn.microsoft.com/rest/api/iothub/service/devices/get-devices.
const maxListed = 1000

// Devices returns up to top identities with their keys; a top outside 1 to 1000 means 1000. There is no paging: see AllDevices
// and Query.
//
// Errors: CodeUnauthorizedAccess. Needs RegistryRead.
func (c *Client) Devices(ctx context.Context, top int) ([]hubward.Device, error) {
	r := &request{op: "service.Devices", method: http.MethodGet, path: []string{"devices"}, version: APIVersion}
	if top > 0 {
		r.query = url.Values{"top": {strconv.Itoa(top)}}
	}
	var devices []hubward.Device
	err := c.do(ctx, r, &devices)
	return devices, err
}

// AllDevices gives all identities with their keys, ordered by id, a thousand in a call. A device that is there all the time is
// given exactly once, whatever else comes and goes meanwhile. An error is the last thing that it gives. The cloud service
// lists a thousand and no more: with more of them it fails there, and Query lists them, without keys.
//
// Errors: CodeUnauthorizedAccess. Needs RegistryRead.
func (c *Client) AllDevices(ctx context.Context) iter.Seq2[hubward.Device, error] {
	return func(yield func(hubward.Device, error) bool) {
		page, err := c.Devices(ctx, maxListed)
		for {
			if err != nil {
				yield(hubward.Device{}, err)
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
			page, err = c.devicesAfter(ctx, page[len(page)-1].DeviceID)
		}
	}
}

// devicesAfter returns the page of identities behind an id. Hubward only.
func (c *Client) devicesAfter(ctx context.Context, id string) ([]hubward.Device, error) {
	r := &request{
		op: "service.AllDevices", method: http.MethodGet, path: []string{"$hubward", "devices"},
		query: url.Values{"after": {id}, "top": {strconv.Itoa(maxListed)}},
	}
	var devices []hubward.Device
	err := c.do(ctx, r, &devices)
	if err == nil && len(devices) > 0 && devices[0].DeviceID <= id {
		err = fmt.Errorf("%s: %s gave %.128q behind %.128q", r.op, c.host, devices[0].DeviceID, id)
	}
	return devices, err
}
