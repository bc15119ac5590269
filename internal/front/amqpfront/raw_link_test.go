package amqpfront_test

import (
	"github.com/hubward/hubward/internal/amqpwire"
)

// rawOwner logs in as the owner, and begins a session.
func (f *fixture) rawOwner(address string) *rawClient {
	f.t.Helper()
	c := f.raw(address)
	login := &amqpwire.SASLInit{Mechanism: "PLAIN", InitialResponse: []byte("\x00iothubowner\x00" + f.policyKey("iothubowner"))}
	out := frame([]byte(amqpwire.HeaderSASL), amqpwire.FrameSASL, login.Append)
	out = append(out, amqpwire.HeaderAMQP...)
	out = frame(out, amqpwire.FrameAMQP, (&amqpwire.Open{ContainerID: "c", Hostname: host, MaxFrameSize: 65536, ChannelMax: 10}).Append)
	out = frame(out, amqpwire.FrameAMQP, (&amqpwire.Begin{IncomingWindow: 5000, OutgoingWindow: 5000, HandleMax: 100}).Append)
	c.write(out)
	c.header(amqpwire.HeaderSASL)
	c.until(amqpwire.CodeSASLOutcome)
	c.header(amqpwire.HeaderAMQP)
	c.until(amqpwire.CodeBegin)
	return c
}

func (c *rawClient) send(body func([]byte) []byte) {
	c.t.Helper()
	c.write(frame(nil, amqpwire.FrameAMQP, body))
}

// attach attaches a link of either role, as C does, and waits for the answer.
func (c *rawClient) attach(role amqpwire.Role, handle uint32, address string) {
	c.t.Helper()
	c.send((&amqpwire.Attach{
		Name: "link-" + string(rune('a'+handle)), Handle: handle, Role: role,
		SenderSettleMode: amqpwire.SenderUnsettled, ReceiverSettleMode: amqpwire.ReceiverFirst,
		Source: &amqpwire.Source{Address: address}, Target: &amqpwire.Target{Address: address},
	}).Append)
	c.until(amqpwire.CodeAttach)
}

// credit gives credit to a link that has sent so many messages.
func (c *rawClient) credit(handle, sent, credit uint32) {
	c.t.Helper()
	c.send((&amqpwire.Flow{
		NextIncomingID: amqpwire.Some(1 + sent), IncomingWindow: 5000, NextOutgoingID: 1, OutgoingWindow: 5000,
		Handle: amqpwire.Some(handle), DeliveryCount: amqpwire.Some(sent), LinkCredit: amqpwire.Some(credit),
	}).Append)
}

// message returns the next message, of one frame.
func (c *rawClient) message() (*amqpwire.Transfer, *amqpwire.Message) {
	c.t.Helper()
	_, r := c.until(amqpwire.CodeTransfer)
	var tr amqpwire.Transfer
	if err := tr.Decode(r); err != nil {
		c.t.Fatal(err)
	}
	m, err := amqpwire.DecodeMessage(r.Rest())
	if err != nil {
		c.t.Fatal(err)
	}
	return &tr, m
}

// transfer sends a message that is not settled.
func (c *rawClient) transfer(handle, id uint32, m *amqpwire.Message) {
	c.t.Helper()
	payload, err := m.Append(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	tr := amqpwire.Transfer{
		Handle: handle, DeliveryID: amqpwire.Some(id), DeliveryTag: []byte{byte(id)}, ReceiverSettleMode: amqpwire.ReceiverModeUnset,
	}
	for more := true; more; {
		part := payload[:min(len(payload), 60000)]
		payload = payload[len(part):]
		more = len(payload) > 0
		tr.More = more
		c.send(func(b []byte) []byte { return append(tr.Append(b), part...) })
	}
}

// wantAccepted reads up to the next disposition, which has to accept a delivery.
func (c *rawClient) wantAccepted(id uint32) {
	c.t.Helper()
	_, r := c.until(amqpwire.CodeDisposition)
	var d amqpwire.Disposition
	if err := d.Decode(r); err != nil {
		c.t.Fatal(err)
	}
	if _, ok := d.State.(*amqpwire.Accepted); !ok || !d.Settled || d.First != id {
		c.t.Errorf("%+v, want delivery %d accepted", d, id)
	}
}
