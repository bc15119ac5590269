package service

import (
	"context"
	"net/http"
)

// The permissions of a shared access policy.
const (
	RegistryRead   = "RegistryRead"
	RegistryWrite  = "RegistryWrite" // implies RegistryRead
	ServiceConnect = "ServiceConnect"
	DeviceConnect  = "DeviceConnect"
)

// Policy is a shared access policy of a hub, with its keys.
type Policy struct {
	Name         string   `json:"name"`
	Permissions  []string `json:"permissions"`
	PrimaryKey   string   `json:"primaryKey"`   // base64
	SecondaryKey string   `json:"secondaryKey"` // base64
}

// Policies lists the policies of a hub. Like all calls on policies, it needs the operator, or a policy of that hub
// that has all permissions. Hubward only.
//
// Errors: CodeNoSuchHub, CodeUnauthorizedAccess.
func (c *Client) Policies(ctx context.Context, hub string) ([]Policy, error) {
	var policies []Policy
	err := c.do(ctx, &request{op: "service.Policies", method: http.MethodGet, path: policyPath(hub)}, &policies)
	return policies, err
}

// CreatePolicy adds a policy with new keys. Hubward only.
//
// Errors: CodePolicyAlreadyExists, CodeArgumentInvalid, CodeQuotaExceeded, CodeNoSuchHub, CodeUnauthorizedAccess.
func (c *Client) CreatePolicy(ctx context.Context, hub, name string, permissions ...string) (*Policy, error) {
	body := map[string][]string{"permissions": permissions}
	return c.policyCall(ctx, &request{op: "service.CreatePolicy", method: http.MethodPut, path: policyPath(hub, name), body: body})
}

// RegeneratePolicyKey replaces the primary key of a policy, or else the secondary one. Tokens that the old key signed
// are refused from now on. Hubward only.
//
// Errors: CodeNoSuchPolicy, CodeNoSuchHub, CodeUnauthorizedAccess.
func (c *Client) RegeneratePolicyKey(ctx context.Context, hub, name string, primary bool) (*Policy, error) {
	body := map[string]string{"key": "secondary"}
	if primary {
		body["key"] = "primary"
	}
	return c.policyCall(ctx, &request{
		op: "service.RegeneratePolicyKey", method: http.MethodPost, path: policyPath(hub, name, "regenerate"), body: body,
	})
}

// DeletePolicy removes a policy. Hubward only.
//
// Errors: CodeNoSuchPolicy; CodeInvalidOperation for iothubowner; CodeNoSuchHub; CodeUnauthorizedAccess.
func (c *Client) DeletePolicy(ctx context.Context, hub, name string) error {
	return c.do(ctx, &request{op: "service.DeletePolicy", method: http.MethodDelete, path: policyPath(hub, name)}, nil)
}

func policyPath(hub string, rest ...string) []string {
	return append([]string{own, "hubs", hub, "policies"}, rest...)
}

func (c *Client) policyCall(ctx context.Context, r *request) (*Policy, error) {
	p := new(Policy)
	if err := c.do(ctx, r, p); err != nil {
		return nil, err
	}
	return p, nil
}
