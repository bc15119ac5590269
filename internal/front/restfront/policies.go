package restfront

import (
	"net/http"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// policyInfo is a shared access policy with its keys. No other answer of this package holds a policy's key.
type policyInfo struct {
	Name         string   `json:"name"`
	Permissions  []string `json:"permissions"`
	PrimaryKey   string   `json:"primaryKey"`
	SecondaryKey string   `json:"secondaryKey"`
}

func policyOf(p *access.Policy) policyInfo {
	return policyInfo{Name: p.Name, Permissions: p.Permissions.Names(), PrimaryKey: p.PrimaryKey, SecondaryKey: p.SecondaryKey}
}

func listPolicies(c *call) error {
	policies, err := c.server.hub.Policies(&c.principal, c.params[0])
	if err != nil {
		return err
	}
	infos := make([]policyInfo, len(policies))
	for i := range policies {
		infos[i] = policyOf(&policies[i])
	}
	return c.answer(http.StatusOK, infos)
}

func createPolicy(c *call) error {
	body, err := c.readBody(maxBody)
	if err != nil {
		return err
	}
	var b struct {
		Permissions []string `json:"permissions"`
	}
	if err := decode(body, &b); err != nil {
		return err
	}
	permissions, err := access.ParsePermissions(b.Permissions)
	if err != nil {
		return err
	}
	p, err := c.server.hub.CreatePolicy(c.ctx, &c.principal, c.params[0], c.params[1], permissions)
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, policyOf(&p))
}

func regeneratePolicyKey(c *call) error {
	body, err := c.readBody(maxBody)
	if err != nil {
		return err
	}
	var b struct {
		Key string `json:"key"`
	}
	if err := decode(body, &b); err != nil {
		return err
	}
	primary := strings.EqualFold(b.Key, "primary")
	if !primary && !strings.EqualFold(b.Key, "secondary") {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "key: %.40q is neither primary nor secondary", b.Key)
	}
	p, err := c.server.hub.RegeneratePolicyKey(c.ctx, &c.principal, c.params[0], c.params[1], primary)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, policyOf(&p))
}

func deletePolicy(c *call) error {
	if err := c.server.hub.DeletePolicy(c.ctx, &c.principal, c.params[0], c.params[1]); err != nil {
		return err
	}
	return c.done()
}
