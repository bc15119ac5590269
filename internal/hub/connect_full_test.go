package hub_test

import (
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// One hub that has as many connections as may be keeps out neither the devices of another one, nor its own that come back.
func TestConnect_asManyOfAHubAsMayBe(t *testing.T) {
	f := newFixture(t)
	f.createHub("other", "other.example")
	node := f.nodes[0]
	node.SetMaxConnected(2)
	connect := func(name, id string) (*hub.Link, error) {
		t.Helper()
		d, err := f.Device(t.Context(), name, id)
		if hubward.CodeOf(err) == hubward.CodeDeviceNotFound {
			d, err = f.PutDevice(t.Context(), name, hubward.Device{DeviceID: id}, "")
		}
		if err != nil {
			t.Fatal(err)
		}
		host := name + ".example"
		token, err := sign(host, d, f.clock().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return node.logIn(t.Context(), logIn{Host: host, Identity: hubward.Identity{Device: id}, Token: token, Session: &session{}})
	}
	var links []*hub.Link
	for _, id := range []string{"d1", "d2", "d1"} { // the last one takes the place of the first
		l, err := connect("plant", id)
		if err != nil {
			t.Fatal(err)
		}
		links = append(links, l)
	}
	_, err := connect("plant", "d3")
	wantCode(t, "one too many", err, hubward.CodeServiceUnavailable)
	if _, err := connect("other", "d3"); err != nil {
		t.Errorf("another hub: %v", err)
	}
	links[0].Disconnect() // was taken over
	_, err = connect("plant", "d3")
	wantCode(t, "still one too many", err, hubward.CodeServiceUnavailable)
	links[1].Disconnect()
	if _, err = connect("plant", "d3"); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}
