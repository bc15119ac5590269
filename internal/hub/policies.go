package hub

import (
	"context"
	"encoding/base64"
	"io"
	"slices"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// OwnerPolicy is the default policy with all rights.
const OwnerPolicy = "iothubowner"

// keySize is the size of a generated key, in bytes.
const keySize = 32

// maxCustomPolicies bounds the policies beyond the five default ones.
//
// Source: spec/service-rest.md 1.3.
const maxCustomPolicies = 16

var defaultPolicyRights = []access.Policy{
	{Name: OwnerPolicy, Rights: access.AllRights},
	{Name: "service", Rights: access.ServiceConnect},
	{Name: "device", Rights: access.DeviceConnect},
	{Name: "registryRead", Rights: access.RegistryRead},
	{Name: "registryReadWrite", Rights: access.RegistryWrite},
}

func (h *Hub) defaultPolicies() ([]access.Policy, error) {
	policies := slices.Clone(defaultPolicyRights)
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

// Policies returns a hub's shared access policies with their keys, in order of creation.
func (h *Hub) Policies(hub string) ([]access.Policy, error) {
	_, c, err := h.find(hub)
	if err != nil {
		return nil, err
	}
	return slices.Clone(c.Policies), nil
}

// CreatePolicy adds a policy with new keys.
//
// Errors: CodeNoSuchHub, CodeArgumentInvalid for the name, CodePolicyAlreadyExists, CodeQuotaExceeded beyond 16
// policies of one's own.
func (h *Hub) CreatePolicy(ctx context.Context, hub, name string, rights access.Rights) (access.Policy, error) {
	p := access.Policy{Name: name, Rights: rights}
	if err := checkPolicyName(name); err != nil {
		return p, err
	}
	if err := h.makePolicyKeys(&p); err != nil {
		return p, err
	}
	_, err := h.editHub(ctx, hub, func(_ *state, c *Config) error {
		if findPolicy(c.Policies, name) >= 0 {
			return hubward.Errorf(hubward.CodePolicyAlreadyExists, "policy %s exists already", name)
		}
		if len(c.Policies) >= len(defaultPolicyRights)+maxCustomPolicies {
			return hubward.Errorf(hubward.CodeQuotaExceeded, "a hub has up to %d policies beyond the default ones", maxCustomPolicies)
		}
		c.Policies = append(c.Policies, p)
		return nil
	})
	return p, err
}

// RegeneratePolicyKey replaces one key of a policy. Connections that it opened live on until their tokens end.
//
// Errors: CodeNoSuchHub, CodeNoSuchPolicy.
func (h *Hub) RegeneratePolicyKey(ctx context.Context, hub, name string, primary bool) (access.Policy, error) {
	key, err := h.newKey()
	if err != nil {
		return access.Policy{}, err
	}
	var p access.Policy
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
		p = c.Policies[i]
		return nil
	})
	return p, err
}

// DeletePolicy removes a policy. The owner policy stays: CodeInvalidOperation.
func (h *Hub) DeletePolicy(ctx context.Context, hub, name string) error {
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
	ok := len(name) >= 1 && len(name) <= 64
	for _, r := range name {
		ok = ok && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	}
	if !ok {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "name: %.70q is no policy name, which has 1 to 64 letters, digits and - _ .", name)
	}
	return nil
}
