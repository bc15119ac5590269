package hub

import (
	"context"
	"encoding/base64"
	"io"
	"slices"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// OwnerPolicy is the default policy with all permissions.
const OwnerPolicy = "iothubowner"

// keySize is the size of a generated key, in bytes.
const keySize = 32

// maxCustomPolicies bounds the policies beyond the five default ones.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-quotas-throttling.
const maxCustomPolicies = 16

var defaultPolicyTable = []access.Policy{
	{Name: OwnerPolicy, Permissions: access.AllPermissions},
	{Name: "service", Permissions: access.ServiceConnect},
	{Name: "device", Permissions: access.DeviceConnect},
	{Name: "registryRead", Permissions: access.RegistryRead},
	{Name: "registryReadWrite", Permissions: access.RegistryWrite},
}

func (h *Hub) defaultPolicies() ([]access.Policy, error) {
	policies := slices.Clone(defaultPolicyTable)
	for i := range policies {
		if err := h.makePolicyKeys(&policies[i]); err != nil {
			return nil, err
		}
	}
	return policies, nil
}

func (h *Hub) makePolicyKeys(p *access.Policy) (err error) {
	if p.PrimaryKey, err = h.newKey(); err != nil {
		return err
	}
	p.SecondaryKey, err = h.newKey()
	return err
}

// newKey returns base64 of 32 random bytes.
func (h *Hub) newKey() (string, error) {
	raw := make([]byte, keySize)
	if _, err := io.ReadFull(h.rand, raw); err != nil {
		return "", hubward.Wrap(hubward.CodeServerError, "hub.newKey", err)
	}
	return base64.StdEncoding.EncodeToString(raw), nil
}

// Policies returns a hub's shared access policies with their keys, in order of creation. p is the operator's or the hub's
// owner's.
func (h *Hub) Policies(p *access.Principal, hub string) ([]access.Policy, error) {
	if err := h.permitOwner(p, hub); err != nil {
		return nil, err
	}
	_, c, err := h.find(hub)
	if err != nil {
		return nil, err
	}
	return slices.Clone(c.Policies), nil
}

// CreatePolicy adds a policy with new keys. p is the operator's or the hub's owner's.
//
// Errors: CodeNoSuchHub, CodeArgumentInvalid for the name, CodePolicyAlreadyExists, CodeQuotaExceeded beyond 16
// policies of one's own.
func (h *Hub) CreatePolicy(ctx context.Context, p *access.Principal, hub, name string, permissions access.Permissions) (access.Policy, error) {
	policy := access.Policy{Name: name, Permissions: permissions}
	if err := h.permitOwner(p, hub); err != nil {
		return policy, err
	}
	if err := checkPolicyName(name); err != nil {
		return policy, err
	}
	if err := h.makePolicyKeys(&policy); err != nil {
		return policy, err
	}
	_, err := h.editHub(ctx, hub, func(_ *state, c *Config) error {
		if findPolicy(c.Policies, name) >= 0 {
			return hubward.Errorf(hubward.CodePolicyAlreadyExists, "policy %s exists already", name)
		}
		if len(c.Policies) >= len(defaultPolicyTable)+maxCustomPolicies {
			return hubward.Errorf(hubward.CodeQuotaExceeded, "a hub has up to %d policies beyond the default ones", maxCustomPolicies)
		}
		c.Policies = append(c.Policies, policy)
		return nil
	})
	return policy, err
}

// RegeneratePolicyKey replaces one key of a policy. Connections that it opened live on until their tokens end, those
// that showed the key itself for the grace of tokens. p is the operator's or the hub's owner's.
//
// Errors: CodeNoSuchHub, CodeNoSuchPolicy.
func (h *Hub) RegeneratePolicyKey(ctx context.Context, p *access.Principal, hub, name string, primary bool) (access.Policy, error) {
	if err := h.permitOwner(p, hub); err != nil {
		return access.Policy{}, err
	}
	key, err := h.newKey()
	if err != nil {
		return access.Policy{}, err
	}
	var policy access.Policy
	_, err = h.editHub(ctx, hub, func(_ *state, c *Config) error {
		i := findPolicy(c.Policies, name)
		if i < 0 {
			return noSuchPolicy(name)
		}
		if primary {
			c.Policies[i].PrimaryKey = key
		} else {
			c.Policies[i].SecondaryKey = key
		}
		policy = c.Policies[i]
		return nil
	})
	return policy, err
}

// DeletePolicy removes a policy. The owner policy stays: CodeInvalidOperation. p is the operator's or the hub's owner's.
//
// Errors: CodeNoSuchHub, CodeNoSuchPolicy.
func (h *Hub) DeletePolicy(ctx context.Context, p *access.Principal, hub, name string) error {
	if err := h.permitOwner(p, hub); err != nil {
		return err
	}
	if name == OwnerPolicy {
		return hubward.Errorf(hubward.CodeInvalidOperation, "the policy %s cannot be deleted", name)
	}
	_, err := h.editHub(ctx, hub, func(_ *state, c *Config) error {
		i := findPolicy(c.Policies, name)
		if i < 0 {
			return noSuchPolicy(name)
		}
		c.Policies = slices.Delete(c.Policies, i, i+1)
		return nil
	})
	return err
}

func findPolicy(policies []access.Policy, name string) int {
	return slices.IndexFunc(policies, func(p access.Policy) bool { return p.Name == name })
}

func noSuchPolicy(name string) error {
	return hubward.Errorf(hubward.CodeNoSuchPolicy, "there is no policy %.64q", name)
}

func checkPolicyName(name string) error {
	if !isPlainName(name) {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "name: %.70q is no policy name, which has 1 to 64 letters, digits and - _ .", name)
	}
	return nil
}

// isPlainName reports whether a name has 1 to 64 letters, digits and - _ .
func isPlainName(name string) bool {
	ok := len(name) >= 1 && len(name) <= 64
	for _, r := range name {
		ok = ok && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	}
	return ok
}
