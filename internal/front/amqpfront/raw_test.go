package amqpfront_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpfront"
)

// frame appends a frame on channel 0.
func frame(dst []byte, frameType byte, body func([]byte) []byte) []byte {
	start := len(dst)
	return amqpwire.EndFrame(body(amqpwire.BeginFrame(dst, frameType, 0)), start)
}

// rawClient writes what no library writes, and looks at single frames.
type rawClient struct {
	t  *testing.T
	nc net.Conn
	in *bufio.Reader
}

func (f *fixture) raw(address string) *rawClient {
	f.t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		f.t.Fatal(err)
	}
	return &rawClient{f.t, nc, bufio.NewReader(nc)}
}

func (c *rawClient) write(b []byte) {
	c.t.Helper()
	if _, err := c.nc.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *rawClient) header(want string) {
	c.t.Helper()
	got := make([]byte, amqpwire.HeaderSize)
	if _, err := io.ReadFull(c.in, got); err != nil || string(got) != want {
		c.t.Fatalf("header %q, %v", got, err)
	}
}

// next returns the code and the body behind the descriptor of the next frame.
func (c *rawClient) next() (code byte, body *amqpwire.Reader) {
	c.t.Helper()
	var head [4]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		c.t.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:])-4)
	if _, err := io.ReadFull(c.in, b); err != nil {
		c.t.Fatal(err)
	}
	r := amqpwire.NewReader(b[4:])
	if len(b) == 4 {
		return 0, r
	}
	return r.Descriptor(), r
}

// until reads frames up to one of a code, and returns the codes of all.
func (c *rawClient) until(code byte) (codes []byte, body *amqpwire.Reader) {
	c.t.Helper()
	for {
		got, r := c.next()
		if codes = append(codes, got); got == code {
			return codes, r
		}
	}
}

func TestLogin_MSSBCBS(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	c := f.raw(f.listen())
	c.write(frame([]byte(amqpwire.HeaderSASL), amqpwire.FrameSASL, (&amqpwire.SASLInit{Mechanism: "MSSBCBS"}).Append))
	c.header(amqpwire.HeaderSASL)
	_, r := c.until(amqpwire.CodeSASLOutcome)
	var outcome amqpwire.SASLOutcome
	if err := outcome.Decode(r); err != nil || outcome.Code != amqpwire.SASLOK {
		t.Errorf("%+v, %v", outcome, err)
	}
}

// A C device, which writes all at once: the token is on its way before any answer. The request is settled before the
// response comes, which uamqp insists on; and the response has the request's ulong.
//
// Source: Azure/azure-iot-sdk-c#288. Observed with uamqp 1.5.3 for Python: a response before the settlement ends the process.
func TestCBS_pipelined(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	c := f.raw(f.listen())
	attach := func(role amqpwire.Role, handle uint32) *amqpwire.Attach {
		return &amqpwire.Attach{
			Name: "$cbs-" + string(rune('a'+handle)), Handle: handle, Role: role, SenderSettleMode: amqpwire.SenderUnsettled, ReceiverSettleMode: amqpwire.ReceiverFirst,
			Source: &amqpwire.Source{Address: "$cbs"}, Target: &amqpwire.Target{Address: "$cbs"},
		}
	}
	request := amqpwire.Message{
		Properties: &amqpwire.Properties{MessageID: uint64(0)}, HasValue: true, Value: f.token("service", host, time.Hour),
		ApplicationProperties: amqpwire.Map{
			{Key: "operation", Value: "put-token"}, {Key: "type", Value: "servicebus.windows.net:sastoken"}, {Key: "name", Value: host},
		},
	}
	payload, err := request.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	out := []byte(amqpwire.HeaderAMQP)
	out = frame(out, amqpwire.FrameAMQP, (&amqpwire.Open{ContainerID: "c", Hostname: host, MaxFrameSize: 65536, ChannelMax: 10}).Append)
	out = frame(out, amqpwire.FrameAMQP, (&amqpwire.Begin{IncomingWindow: 100, OutgoingWindow: 100, HandleMax: 10}).Append)
	out = frame(out, amqpwire.FrameAMQP, attach(amqpwire.RoleSender, 0).Append)
	transfer := amqpwire.Transfer{Handle: 0, DeliveryID: amqpwire.Some(0), DeliveryTag: []byte{1}, ReceiverSettleMode: amqpwire.ReceiverModeUnset}
	out = frame(out, amqpwire.FrameAMQP, func(b []byte) []byte { return append(transfer.Append(b), payload...) })
	out = frame(out, amqpwire.FrameAMQP, attach(amqpwire.RoleReceiver, 1).Append)
	out = frame(out, amqpwire.FrameAMQP, (&amqpwire.Flow{
		NextIncomingID: amqpwire.Some(0), IncomingWindow: 100, NextOutgoingID: 1, OutgoingWindow: 100,
		Handle: amqpwire.Some(1), DeliveryCount: amqpwire.Some(0), LinkCredit: amqpwire.Some(10),
	}).Append)
	c.write(out)
	c.header(amqpwire.HeaderAMQP)
	codes, r := c.until(amqpwire.CodeTransfer)
	if !bytes.Contains(codes, []byte{amqpwire.CodeDisposition}) {
		t.Errorf("the response came before the disposition: % x", codes)
	}
	var got amqpwire.Transfer
	if err := got.Decode(r); err != nil {
		t.Fatal(err)
	}
	m, err := amqpwire.DecodeMessage(r.Rest())
	if err != nil {
		t.Fatal(err)
	}
	if m.Properties.CorrelationID != uint64(0) || m.ApplicationProperties.Get("status-code") != int32(200) || !m.HasValue {
		t.Errorf("%+v %v", m.Properties, m.ApplicationProperties)
	}
}

// A transfer to $cbs that cannot be decoded is rejected; the link lives on.
func TestCBS_garbage(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	c := f.raw(f.listen())
	out := []byte(amqpwire.HeaderAMQP)
	out = frame(out, amqpwire.FrameAMQP, (&amqpwire.Open{ContainerID: "c", Hostname: host, MaxFrameSize: 65536, ChannelMax: 10}).Append)
	out = frame(out, amqpwire.FrameAMQP, (&amqpwire.Begin{IncomingWindow: 100, OutgoingWindow: 100, HandleMax: 10}).Append)
	out = frame(out, amqpwire.FrameAMQP, (&amqpwire.Attach{
		Name: "s", Role: amqpwire.RoleSender, SenderSettleMode: amqpwire.SenderUnsettled, ReceiverSettleMode: amqpwire.ReceiverFirst,
		Target: &amqpwire.Target{Address: "$cbs"},
	}).Append)
	for id := range uint32(2) {
		transfer := amqpwire.Transfer{DeliveryID: amqpwire.Some(id), DeliveryTag: []byte{byte(id)}, ReceiverSettleMode: amqpwire.ReceiverModeUnset}
		out = frame(out, amqpwire.FrameAMQP, func(b []byte) []byte { return append(transfer.Append(b), "garbage"...) })
	}
	c.write(out)
	c.header(amqpwire.HeaderAMQP)
	for settled := uint32(0); settled < 2; {
		_, r := c.until(amqpwire.CodeDisposition)
		var d amqpwire.Disposition
		if err := d.Decode(r); err != nil {
			t.Fatal(err)
		}
		rejected, ok := d.State.(*amqpwire.Rejected)
		if !ok || rejected.Error == nil || rejected.Error.Condition != amqpwire.DecodeError || !d.Settled {
			t.Fatalf("%+v", d)
		}
		settled = max(d.First, d.Last.Value) + 1
	}
}
