package service_test

import (
	"slices"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/testhub"
	"github.com/hubward/hubward/service"
)

func TestConsumerGroups_againstAHub(t *testing.T) {
	ctx := t.Context()
	h := testhub.Start(t)
	c := newHubClient(t, h, "iothubowner")
	for _, name := range []string{"dashboards", "DASHBOARDS"} {
		if g, err := c.CreateConsumerGroup(ctx, testhub.Name, name); err != nil || g.Name != "dashboards" {
			t.Errorf("%+v, %v", g, err)
		}
	}
	groups, err := c.ConsumerGroups(ctx, testhub.Name)
	if want := []service.ConsumerGroup{{Name: "$Default"}, {Name: "dashboards"}}; err != nil || !slices.Equal(groups, want) {
		t.Errorf("%+v, %v, want %+v", groups, err, want)
	}
	if err := c.DeleteConsumerGroup(ctx, testhub.Name, "dashboards"); err != nil {
		t.Error(err)
	}
	for what, test := range map[string]struct {
		err  error
		want hubward.Code
	}{
		"a group that is gone": {c.DeleteConsumerGroup(ctx, testhub.Name, "dashboards"), hubward.CodeNoSuchConsumerGroup},
		"$Default":             {c.DeleteConsumerGroup(ctx, testhub.Name, "$Default"), hubward.CodeInvalidOperation},
		"an unknown hub":       {c.DeleteConsumerGroup(ctx, "none", "g"), hubward.CodeNoSuchHub},
		"no name":              {c.DeleteConsumerGroup(ctx, testhub.Name, ""), hubward.CodeArgumentInvalid},
		"a reader's policy":    {newHubClient(t, h, "service").DeleteConsumerGroup(ctx, testhub.Name, "g"), hubward.CodeUnauthorizedAccess},
	} {
		if hubward.CodeOf(test.err) != test.want {
			t.Errorf("%s: %v, want %v", what, test.err, test.want)
		}
	}
	if _, err := c.CreateConsumerGroup(ctx, testhub.Name, "a/b"); hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
		t.Errorf("a bad name: %v", err)
	}
}
