package restfront

import (
	"net/http"
	"strings"
)

// consumerGroupInfo is a consumer group.
type consumerGroupInfo struct {
	Name string `json:"name"`
}

func listConsumerGroups(c *call) error {
	groups, err := c.server.hub.ConsumerGroups(&c.principal, c.params[0])
	if err != nil {
		return err
	}
	infos := make([]consumerGroupInfo, len(groups))
	for i, name := range groups {
		infos[i].Name = name
	}
	return c.answer(http.StatusOK, infos)
}

// createConsumerGroup answers with the group as the hub spells it. One that is there already is no error: a script that
// needs it may say so each time it runs.
func createConsumerGroup(c *call) error {
	hub, name := c.params[0], c.params[1]
	if err := c.server.hub.CreateConsumerGroup(c.ctx, &c.principal, hub, name); err != nil {
		return err
	}
	groups, err := c.server.hub.ConsumerGroups(&c.principal, hub)
	if err != nil {
		return err
	}
	for _, known := range groups {
		if strings.EqualFold(known, name) {
			name = known
		}
	}
	return c.answer(http.StatusOK, consumerGroupInfo{name})
}

func deleteConsumerGroup(c *call) error {
	if err := c.server.hub.DeleteConsumerGroup(c.ctx, &c.principal, c.params[0], c.params[1]); err != nil {
		return err
	}
	return c.done()
}
