package hub

import (
	"context"
	"slices"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// DefaultConsumerGroup exists in every hub and cannot be deleted.
const DefaultConsumerGroup = "$Default"

// maxConsumerGroups bounds the groups of a hub.
const maxConsumerGroups = 100

// ConsumerGroups returns the names of a hub's consumer groups, $Default first. p is the operator's or the hub's owner's;
// others see those of their own hub by OwnHub.
//
// Errors: CodeNoSuchHub.
func (h *Hub) ConsumerGroups(p *access.Principal, hub string) ([]string, error) {
	if err := h.permitOwner(p, hub); err != nil {
		return nil, err
	}
	_, c, err := h.find(hub)
	if err != nil {
		return nil, err
	}
	return slices.Clone(c.ConsumerGroups), nil
}

// CreateConsumerGroup adds a consumer group; one that exists is no error. p is the operator's or the hub's owner's.
//
// Errors: CodeNoSuchHub, CodeArgumentInvalid for the name, CodeQuotaExceeded.
func (h *Hub) CreateConsumerGroup(ctx context.Context, p *access.Principal, hub, name string) error {
	if err := h.permitOwner(p, hub); err != nil {
		return err
	}
	_, err := h.editHub(ctx, hub, func(_ *state, c *Config) error {
		if _, ok := findGroup(c, name); ok {
			return nil
		}
		if err := checkGroupName(name); err != nil {
			return err
		}
		if len(c.ConsumerGroups) >= maxConsumerGroups {
			return hubward.Errorf(hubward.CodeQuotaExceeded, "a hub has up to %d consumer groups", maxConsumerGroups)
		}
		c.ConsumerGroups = append(c.ConsumerGroups, name)
		return nil
	})
	return err
}

// DeleteConsumerGroup removes a consumer group and ends its readers. p is the operator's or the hub's owner's.
//
// Errors: CodeNoSuchHub, CodeNoSuchConsumerGroup; CodeInvalidOperation for $Default.
func (h *Hub) DeleteConsumerGroup(ctx context.Context, p *access.Principal, hub, name string) error {
	if err := h.permitOwner(p, hub); err != nil {
		return err
	}
	if strings.EqualFold(name, DefaultConsumerGroup) {
		return hubward.Errorf(hubward.CodeInvalidOperation, "the consumer group %s cannot be deleted", DefaultConsumerGroup)
	}
	_, err := h.editHub(ctx, hub, func(_ *state, c *Config) error {
		group, ok := findGroup(c, name)
		if !ok {
			return noSuchGroup(name)
		}
		c.ConsumerGroups = slices.DeleteFunc(c.ConsumerGroups, func(g string) bool { return g == group })
		return nil
	})
	return err
}

// findGroup returns a consumer group as the hub spells it. Names are compared without case: clients write both $Default
// and $default.
func findGroup(c *Config, name string) (string, bool) {
	i := slices.IndexFunc(c.ConsumerGroups, func(g string) bool { return strings.EqualFold(g, name) })
	if i < 0 {
		return "", false
	}
	return c.ConsumerGroups[i], true
}

func noSuchGroup(name string) error {
	return hubward.Errorf(hubward.CodeNoSuchConsumerGroup, "there is no consumer group %.64q", name)
}

// checkGroupName holds names to what the cloud takes: they stand in addresses, which clients take apart and put together.
//
// Source: Microsoft.EventHub/namespaces/eventhubs/consumergroups in the naming rules of Azure's resources.
func checkGroupName(name string) error {
	ok := len(name) >= 1 && len(name) <= 50
	for i, r := range name {
		alphanumeric := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		inner := i > 0 && i < len(name)-1 && (r == '-' || r == '_' || r == '.')
		ok = ok && (alphanumeric || inner)
	}
	if !ok {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "name: %.60q is no consumer group name, which has 1 to 50 letters, digits and inner - _ .", name)
	}
	return nil
}
