package amqpfront_test

import (
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
)

// What comes for a device that has no link for it is dropped: who waits for an answer waits in vain, and the next change of
// the desired properties may come.
func TestDeliver_whatDevicesDoNotTake(t *testing.T) {
	p := amqpfront.NewPresence(hubward.Identity{Device: "d1"})
	p.Deliver(&hub.MethodCall{Name: "reboot"})
	sent := 0
	p.Deliver(&hub.DesiredChange{Patch: []byte("{}"), Version: 2, Sent: func() { sent++ }})
	if sent != 1 {
		t.Errorf("%d times", sent)
	}
}

// forwarded is the session of a link whose deliveries a test takes.
type forwarded chan hub.Delivery

func (f forwarded) Deliver(d hub.Delivery) { f <- d }
func (forwarded) Close(error)              {}

// A message that comes for a link that does not receive any more goes back to the queue, without a count.
func TestDeliver_afterTheLink(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	d := f.createDevice("d1")
	id := hubward.Identity{Device: "d1"}
	principal, err := f.Authenticate(t.Context(), access.Credential{Identity: id, Token: f.deviceToken(d)})
	if err != nil {
		t.Fatal(err)
	}
	session := make(forwarded, 1)
	link, err := f.Connect(t.Context(), &principal, hub.ConnectRequest{Identity: id, Session: session})
	if err != nil {
		t.Fatal(err)
	}
	defer link.Disconnect()
	f.sendC2D("d1", hubward.Message{Body: []byte("a")})
	receiver := link.ReceiveC2D(1)
	amqpfront.NewPresence(id).Deliver(<-session)
	receiver.Credit(1)
	again := (<-session).(*hub.C2DDelivery)
	if string(again.Message.Body) != "a" || again.DeliveryCount != 0 || !again.Redelivered {
		t.Errorf("%+v", again)
	}
}
