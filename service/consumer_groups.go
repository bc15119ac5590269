package service

import (
	"context"
	"net/http"
)

// ConsumerGroup is a group of readers of a hub's telemetry. Each group has its own limits on how many may read.
type ConsumerGroup struct {
	Name string `json:"name"` // compared without case
}

// ConsumerGroups lists the consumer groups of a hub, $Default first. Like all calls on consumer groups, it needs the
// operator, or a policy of that hub that has all permissions. Hubward only.
//
// Errors: CodeNoSuchHub, CodeUnauthorizedAccess.
func (c *Client) ConsumerGroups(ctx context.Context, hub string) ([]ConsumerGroup, error) {
	var groups []ConsumerGroup
	err := c.do(ctx, &request{op: "service.ConsumerGroups", method: http.MethodGet, path: consumerGroupPath(hub)}, &groups)
	return groups, err
}

// CreateConsumerGroup adds a consumer group: 1 to 50 letters and digits of ASCII, inside also - _ and dots. It
// returns the one that is there, if there is one. Hubward only.
//
// Errors: CodeArgumentInvalid, CodeQuotaExceeded beyond 100 groups, CodeNoSuchHub, CodeUnauthorizedAccess.
func (c *Client) CreateConsumerGroup(ctx context.Context, hub, name string) (*ConsumerGroup, error) {
	g := new(ConsumerGroup)
	r := &request{op: "service.CreateConsumerGroup", method: http.MethodPut, path: consumerGroupPath(hub, name)}
	if err := c.do(ctx, r, g); err != nil {
		return nil, err
	}
	return g, nil
}

// DeleteConsumerGroup removes a consumer group and disconnects its readers. Hubward only.
//
// Errors: CodeNoSuchConsumerGroup; CodeInvalidOperation for $Default; CodeNoSuchHub; CodeUnauthorizedAccess.
func (c *Client) DeleteConsumerGroup(ctx context.Context, hub, name string) error {
	return c.do(ctx, &request{op: "service.DeleteConsumerGroup", method: http.MethodDelete, path: consumerGroupPath(hub, name)}, nil)
}

func consumerGroupPath(hub string, rest ...string) []string {
	return append([]string{own, "hubs", hub, "consumer-groups"}, rest...)
}
