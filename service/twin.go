package service

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/hubward/hubward"
)

// TwinPatch is what a back end writes to a twin: for each section any value that encodes to a JSON object, such as a map or a
// struct. A json.RawMessage travels as it is, with its numbers as they are written. nil, also a nil map, pointer or
// json.RawMessage, stands for no such section.
type TwinPatch struct {
	Tags    any
	Desired any
}

// Twin returns the twin of a device or module. Needs ServiceConnect.
//
// Errors: CodeDeviceNotFound, CodeModuleNotFound, CodeUnauthorizedAccess.
func (c *Client) Twin(ctx context.Context, id hubward.Identity) (*hubward.Twin, error) {
	return c.twin(ctx, twinRequest("service.Twin", http.MethodGet, id))
}

// UpdateTwin merges p into a twin if its etag is still etag, or whatever is stored if etag is "" or AnyETag, and returns what the
// twin is then. In each object, at any depth, a member of p replaces the one of its name, and one that is null removes it; an
// array replaces a whole array. A section that p does not have stays as it is, and so does an empty one;
// json.RawMessage("null") empties it. A device that is connected is told of changed desired properties.
//
// Errors: CodePreconditionFailed when tags or desired properties have changed meanwhile; CodeArgumentInvalid names the property
// that is against the rules, or with which the section would be too large; CodeDeviceNotFound, CodeModuleNotFound,
// CodeUnauthorizedAccess. Nothing was changed then. Needs ServiceConnect.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-device-twins; RFC 7396.
func (c *Client) UpdateTwin(ctx context.Context, id hubward.Identity, p TwinPatch, etag string) (*hubward.Twin, error) {
	return c.writeTwin(ctx, twinRequest("service.UpdateTwin", http.MethodPatch, id), p, nil, etag)
}

// ReplaceTwin replaces tags and desired properties: what p does not have is gone, a section that it does not have becomes empty.
// The rest is as for UpdateTwin.
func (c *Client) ReplaceTwin(ctx context.Context, id hubward.Identity, p TwinPatch, etag string) (*hubward.Twin, error) {
	return c.writeTwin(ctx, twinRequest("service.ReplaceTwin", http.MethodPut, id), p, json.RawMessage("{}"), etag)
}

func twinRequest(op, method string, id hubward.Identity) *request {
	return &request{op: op, device: id.Device, module: id.Module, method: method, path: twinPath(id), version: APIVersion}
}

func twinPath(id hubward.Identity) []string {
	if id.Module == "" {
		return []string{"twins", id.Device}
	}
	return []string{"twins", id.Device, "modules", id.Module}
}

// twinBody is what is written of a twin.
type twinBody struct {
	Tags       json.RawMessage `json:"tags,omitempty"`
	Properties *twinProperties `json:"properties,omitempty"`
}

type twinProperties struct {
	Desired json.RawMessage `json:"desired"`
}

// writeTwin sends p, with absent for a section that p does not have.
func (c *Client) writeTwin(ctx context.Context, r *request, p TwinPatch, absent json.RawMessage, etag string) (*hubward.Twin, error) {
	tags, err := encodeSection(r, "tags", p.Tags, absent)
	if err != nil {
		return nil, err
	}
	desired, err := encodeSection(r, "desired properties", p.Desired, absent)
	if err != nil {
		return nil, err
	}
	body := twinBody{Tags: tags}
	if desired != nil {
		body.Properties = &twinProperties{desired}
	}
	r.body, r.ifMatch = body, etag
	return c.twin(ctx, r)
}

// encodeSection returns the JSON of a section, absent if there is none.
func encodeSection(r *request, name string, v any, absent json.RawMessage) (json.RawMessage, error) {
	raw, isRaw := v.(json.RawMessage)
	if v == nil || isRaw && raw == nil {
		return absent, nil
	}
	text, err := marshal(v)
	switch {
	case err != nil:
		return nil, r.refuse("the %s cannot be encoded: %v", name, err)
	case string(text) == "null" && !isRaw:
		return absent, nil
	case string(text) != "null" && !bytes.HasPrefix(text, []byte("{")):
		return nil, r.refuse("the %s are no JSON object: %.40s", name, text)
	}
	return text, nil
}

func (c *Client) twin(ctx context.Context, r *request) (*hubward.Twin, error) {
	t := new(hubward.Twin)
	if err := c.do(ctx, r, t); err != nil {
		return nil, err
	}
	return t, nil
}
