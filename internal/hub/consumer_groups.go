package hub

import (
	"context"
	"slices"
	"strings"

	"github.com/hubward/hubward"
)

// DefaultConsumerGroup exists in every hub and cannot be deleted.
const DefaultConsumerGroup = "$Default"

// maxConsumerGroups bounds the groups of a hub.
const maxConsumerGroups = 100

// ConsumerGroups returns the names of a hub's consumer groups, $Default first.
func (h *Hub) ConsumerGroups(hub string) ([]string, error) {
	_, c, err := h.find(hub)
	if err != nil {
		return nil, err
	}
	return slices.Clone(c.ConsumerGroups), nil
}

// CreateConsumerGroup adds a consumer group; one that exists is no error.
//
// Errors: CodeNoSuchHub, CodeArgumentInvalid for the name, CodeQuotaExceeded.
func (h *Hub) CreateConsumerGroup(ctx context.Context, hub, name string) error {
	if err := checkGroupName(name); err != nil {
		return err
	}
	_, err := h.editHub(ctx, hub, func(_ *state, c *Config) error {
		if hasGroup(c, name) {
			return nil
		}
		if len(c.ConsumerGroups) >= maxConsumerGroups {
			return hubward.Errorf(hubward.CodeQuotaExceeded, "a hub has up to %d consumer groups", maxConsumerGroups)
		}
		c.ConsumerGroups = append(c.ConsumerGroups, name)
		return nil
	})
	return err
}

// DeleteConsumerGroup removes a consumer group.
//
// Errors: CodeNoSuchHub, CodeNoSuchConsumerGroup; CodeInvalidOperation for $Default.
func (h *Hub) DeleteConsumerGroup(ctx context.Context, hub, name string) error {
	if strings.EqualFold(name, DefaultConsumerGroup) {
		return hubward.Errorf(hubward.CodeInvalidOperation, "the consumer group %s cannot be deleted", DefaultConsumerGroup)
	}
	_, err := h.editHub(ctx, hub, func(_ *state, c *Config) error {
		if !hasGroup(c, name) {
			return noSuchGroup(name)
		}
		c.ConsumerGroups = slices.DeleteFunc(c.ConsumerGroups, func(g string) bool { return strings.EqualFold(g, name) })
		return nil
	})
	return err
}

// hasGroup compares without case: clients write both $Default and $default.
func hasGroup(c *Config, name string) bool {
	return slices.ContainsFunc(c.ConsumerGroups, func(g string) bool { return strings.EqualFold(g, name) })
}

func noSuchGroup(name string) error {
	return hubward.Errorf(hubward.CodeNoSuchConsumerGroup, "there is no consumer group %.64q", name)
}

func checkGroupName(name string) error {
	ok := len(name) >= 1 && len(name) <= 50
	for _, r := range name {
		ok = ok && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	}
	if !ok {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "name: %.60q is no consumer group name, which has 1 to 50 letters, digits and - _ .", name)
	}
	return nil
}
