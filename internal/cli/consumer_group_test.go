package cli_test

import (
	"strings"
	"testing"
)

func TestConsumerGroup_lifeCycle(t *testing.T) {
	c := newClient(t)
	c.ok("hub", "create", "two")
	type groupJSON struct{ Name string }
	for range 2 { // one that is there is no error
		if g := fromJSON[groupJSON](t, c.ok("consumer-group", "create", "dashboards", "--hub", "two", "-o", "json")); g.Name != "dashboards" {
			t.Errorf("create gives %+v", g)
		}
	}
	if out := c.ok("consumer-group", "create", "archive"); out != "CONSUMER GROUP\narchive\n" {
		t.Errorf("create prints\n%s", out)
	}
	if out := c.ok("consumer-group", "list", "--hub", "two"); out != "CONSUMER GROUP\n$Default\ndashboards\n" {
		t.Errorf("list prints\n%s", out)
	}
	if out := c.ok("consumer-group", "list", "-o", "json"); out != "{\"name\":\"$Default\"}\n{\"name\":\"archive\"}\n" {
		t.Errorf("list prints\n%s", out)
	}
	if out := c.ok("hub", "show", "two"); !strings.Contains(out, "$Default, dashboards") {
		t.Errorf("show prints\n%s", out)
	}
	if out := c.ok("consumer-group", "delete", "Dashboards", "--hub", "two"); out != "deleted consumer group Dashboards\n" {
		t.Errorf("delete prints\n%s", out)
	}
	c.fails(1, "ConsumerGroupNotFound", "consumer-group", "delete", "dashboards", "--hub", "two")
	c.fails(1, "$Default", "consumer-group", "delete", "$Default")
	c.fails(1, "ArgumentInvalid", "consumer-group", "create", "a b")
	c.fails(1, "HubNotFound", "consumer-group", "list", "--hub", "none")
	c.fails(2, "usage: hubward consumer-group create", "consumer-group", "create")
	c.fails(2, "usage: hubward consumer-group delete", "consumer-group", "delete", "a", "b")
}
