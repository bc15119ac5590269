package hub_test

import (
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// BenchmarkInvokeMethod is what the hub itself adds to a round trip: the device is on this node, and answers at once.
func BenchmarkInvokeMethod(b *testing.B) {
	x := newBenchC2D(b, 1, false)
	id := hubward.Identity{Device: "d0"}
	s := &session{}
	link, err := x.Connect(b.Context(), x.of("plant"), hub.ConnectRequest{Identity: id, Session: s})
	if err != nil {
		b.Fatal(err)
	}
	defer link.Disconnect()
	s.deliver = func(d hub.Delivery) {
		m := d.(*hub.MethodCall)
		link.RespondMethod(m.ID, 200, m.Payload)
	}
	link.TakeMethods(true)
	p := x.of("plant")
	call := hubward.MethodCall{Name: "reboot", Payload: []byte(`{"delay":5,"mode":"soft","who":["a","b"]}`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.Hub.InvokeMethod(b.Context(), p, id, call); err != nil {
			b.Fatal(err)
		}
	}
}
