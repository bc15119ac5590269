package amqpfront_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
)

func (f *fixture) change(c hub.SwitchChange) {
	f.t.Helper()
	if _, err := f.UpdateHub(f.t.Context(), f.process, "plant", hub.HubChange{Switches: c}); err != nil {
		f.t.Fatal(err)
	}
}

// await waits until a receiver's link has ended, and returns the condition.
func (p *peer) await(r *amqp.Receiver) string {
	p.t.Helper()
	_, err := r.Receive(p.context(), nil)
	if e := remoteError(err); e != nil {
		return string(e.Condition)
	}
	p.t.Errorf("the link ends with %v", err)
	return ""
}

// Who comes from where the rules let nobody in reads events and asks about them, if they are not about that, and does nothing else.
func TestSwitches_addresses(t *testing.T) {
	const partition = "plant/ConsumerGroups/$Default/Partitions/0"
	f := newFixture(t, amqpfront.Options{})
	address := f.listen()
	elsewhere := access.NetworkRules{Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	before := f.owner(address)
	feedback := before.mustRead("messages/serviceBound/feedback", "", amqp.ReceiverOptions{})
	f.change(hub.SwitchChange{Network: &elsewhere})
	if got := before.await(feedback); got != "amqp:unauthorized-access" {
		t.Errorf("a link that was open: %s", got)
	}
	p := f.dial(address, amqp.ConnOptions{})
	if code, text := p.putToken(f.token("device", host, time.Hour)); code != 401 {
		t.Errorf("a policy that reads no events: %d %s", code, text)
	}
	if code, text := p.putToken(f.token("iothubowner", host, time.Hour)); code != 200 {
		t.Errorf("a policy that does: %d %s", code, text)
	}
	_, err := p.session.NewSender(p.context(), "/messages/devicebound", nil)
	wantCondition(t, "messages to devices", err, "amqp:unauthorized-access")
	events := p.mustRead(partition, "", amqp.ReceiverOptions{})
	ask := map[string]any{"name": "plant", "type": "com.microsoft:eventhub"}
	if got := p.pair("$management", "").call(readRequest(ask)); got.ApplicationProperties["status-code"] != int32(200) {
		t.Errorf("$management: %v", got.ApplicationProperties)
	}
	elsewhere.Events = true
	f.change(hub.SwitchChange{Network: &elsewhere})
	if got := p.await(events); got != "amqp:unauthorized-access" {
		t.Errorf("a reader, with rules about events: %s", got)
	}
	if code, text := p.putToken(f.token("iothubowner", host, time.Hour)); code != 401 {
		t.Errorf("with rules about events: %d %s", code, text)
	}
	f.change(hub.SwitchChange{Network: &access.NetworkRules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	if code, text := p.putToken(f.token("iothubowner", host, time.Hour)); code != 200 {
		t.Errorf("with a rule for the address: %d %s", code, text)
	}
	if _, err := p.session.NewSender(p.context(), "/messages/devicebound", nil); err != nil {
		t.Error(err)
	}
}

// A connection loses the log-in by a policy's key, also without a link, and gets no other.
func TestSwitches_localAuth(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	address := f.listen()
	idle := f.owner(address)
	reading := f.owner(address)
	events := reading.mustRead("plant/ConsumerGroups/$Default/Partitions/0", "", amqp.ReceiverOptions{})
	f.change(hub.SwitchChange{DisableLocalAuth: new(true)})
	if got := reading.await(events); got != "amqp:unauthorized-access" {
		t.Errorf("a reader: %s", got)
	}
	_, err := idle.session.NewSender(idle.context(), "/messages/devicebound", nil)
	wantCondition(t, "a connection without a link", err, "amqp:unauthorized-access")
	if code, _ := idle.putToken(f.token("iothubowner", host, time.Hour)); code != 401 {
		t.Errorf("a token: %d", code)
	}
}
