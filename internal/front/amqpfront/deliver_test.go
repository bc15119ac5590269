package amqpfront_test

import (
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
)

// A device that takes neither methods nor changes of its twin says so, or drops them.
func TestDeliver_whatDevicesDoNotTake(t *testing.T) {
	p := amqpfront.NewPresence(hubward.Identity{Device: "d1"})
	var answers []error
	p.Deliver(&hub.MethodCall{Name: "reboot", Respond: func(_ hub.MethodResult, err error) { answers = append(answers, err) }})
	if len(answers) != 1 || hubward.CodeOf(answers[0]) != hubward.CodeDeviceNotOnline {
		t.Errorf("%v", answers)
	}
	p.Deliver(&hub.DesiredChange{Patch: []byte("{}"), Version: 2})
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
