package amqpfront_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/sas"
)

// multiplexer has many devices on one connection, without a library in the way: each in a session of its own, as Java's
// multiplexing client and .NET's pool have them, with all the links that a device may have.
//
// Source: Azure/azure-iot-sdk-java AmqpsSessionHandler.java; Azure/azure-iot-sdk-csharp
// iothub/device/src/Transport/Amqp/AmqpUnit.cs.
type multiplexer struct {
	nc net.Conn
	in *bufio.Reader
}

// linksOfDevice are a device's links: the address below the device, and who sends.
var linksOfDevice = []struct {
	address string
	role    amqpwire.Role
}{
	{"/messages/events", amqpwire.RoleSender}, {"/messages/devicebound", amqpwire.RoleReceiver},
	{"/twin", amqpwire.RoleSender}, {"/twin", amqpwire.RoleReceiver},
	{"/methods/devicebound", amqpwire.RoleSender}, {"/methods/devicebound", amqpwire.RoleReceiver},
}

func (f *fixture) multiplexer(t testing.TB, address string) *multiplexer {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	out := []byte(amqpwire.HeaderSASL)
	out = frame(out, amqpwire.FrameSASL, (&amqpwire.SASLInit{Mechanism: "PLAIN", InitialResponse: []byte("\x00device\x00" + f.policyKey("device"))}).Append)
	out = append(out, amqpwire.HeaderAMQP...)
	out = frame(out, amqpwire.FrameAMQP, (&amqpwire.Open{ContainerID: "many", Hostname: host, MaxFrameSize: 65536, ChannelMax: 8191}).Append)
	if _, err := nc.Write(out); err != nil {
		t.Fatal(err)
	}
	return &multiplexer{nc, bufio.NewReader(nc)}
}

// add begins a session for each device, on channels from first on, attaches its links, and waits until they are.
func (m *multiplexer) add(t testing.TB, first int, ids ...string) {
	t.Helper()
	written := make(chan error, 1)
	go func() {
		for i, id := range ids {
			if _, err := m.nc.Write(deviceFrames(uint16(first+i), id)); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	for left := len(ids) * len(linksOfDevice); left > 0; {
		code := m.next(t)
		if code == amqpwire.CodeAttach {
			left--
		} else if code == amqpwire.CodeDetach || code == amqpwire.CodeEnd || code == amqpwire.CodeClose {
			t.Fatalf("performative 0x%02x", code)
		}
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
}

func deviceFrames(channel uint16, id string) []byte {
	var out []byte
	add := func(performative func([]byte) []byte) {
		start := len(out)
		out = amqpwire.EndFrame(performative(amqpwire.BeginFrame(out, amqpwire.FrameAMQP, channel)), start)
	}
	add((&amqpwire.Begin{IncomingWindow: 2048, OutgoingWindow: 2048, HandleMax: 255}).Append)
	for i, l := range linksOfDevice {
		a := &amqpwire.Attach{
			Name: fmt.Sprint(id, i), Handle: uint32(i), Role: l.role, SenderSettleMode: amqpwire.SenderMixed, ReceiverSettleMode: amqpwire.ReceiverFirst,
			Source: &amqpwire.Source{}, Target: &amqpwire.Target{},
		}
		if l.role == amqpwire.RoleSender {
			a.Target.Address, a.InitialDeliveryCount = "/devices/"+id+l.address, amqpwire.Some(0)
		} else {
			a.Source.Address = "/devices/" + id + l.address
		}
		add(a.Append)
		if l.role == amqpwire.RoleReceiver {
			add((&amqpwire.Flow{
				NextIncomingID: amqpwire.Some(1), IncomingWindow: 2048, OutgoingWindow: 2048,
				Handle: amqpwire.Some(uint32(i)), DeliveryCount: amqpwire.Some(0), LinkCredit: amqpwire.Some(100),
			}).Append)
		}
	}
	return out
}

// next reads a frame and returns its performative, 0 for a header and an empty frame.
func (m *multiplexer) next(t testing.TB) byte {
	t.Helper()
	head, err := m.in.Peek(4)
	if err != nil {
		t.Fatal(err)
	}
	size := 8
	if string(head) != "AMQP" {
		size = int(binary.BigEndian.Uint32(head))
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(m.in, b); err != nil {
		t.Fatal(err)
	}
	if size < 9 || b[5] != 0 {
		return 0
	}
	return byte(amqpwire.NewReader(b[8:]).Descriptor())
}

func (f *fixture) createDevices(n int) []string {
	f.t.Helper()
	var ids []string
	for i := range n {
		ids = append(ids, f.createDevice(fmt.Sprint("device-", i)).DeviceID)
	}
	return ids
}

// A device that is connected with all its links and idle costs no goroutine, on whatever connection, and little memory:
// docs/performance.md has the figure that this logs.
func TestMultiplexing_cost(t *testing.T) {
	const few, many = 10, 500
	f := newFixture(t, amqpfront.Options{})
	ids := f.createDevices(few + many)
	m := f.multiplexer(t, f.listen())
	m.add(t, 0, ids[:few]...) // what there is once
	f.awaitConnected(few)
	settle := func() (heap uint64, goroutines int) {
		for range 3 {
			runtime.GC()
		}
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc + s.StackInuse, runtime.NumGoroutine()
	}
	heap, goroutines := settle()
	m.add(t, few, ids[few:]...)
	f.awaitConnected(few + many)
	heapAfter, goroutinesAfter := settle()
	for end := time.Now().Add(10 * time.Second); goroutinesAfter > goroutines+few && time.Now().Before(end); {
		heapAfter, goroutinesAfter = settle() // some were about to end
	}
	if grown := goroutinesAfter - goroutines; grown > few {
		t.Errorf("%d devices cost %d goroutines", many, grown)
	}
	each := (int64(heapAfter) - int64(heap)) / many
	t.Logf("a device with %d links costs %d bytes", len(linksOfDevice), each)
	if each > 32<<10 {
		t.Errorf("a device costs %d bytes", each)
	}
}

// Java's client takes 1,000 devices on a connection, .NET's pool 995. The tokens of devices that have left the connection make
// room for others; those of devices that are still to come, or whose links rest on them, do not.
func TestMultiplexing_devicesComeAndGo(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.dial(f.listen(), amqp.ConnOptions{})
	q := p.pair("$cbs", "")
	put := func(id string, d *hubward.Device) any {
		t.Helper()
		text := f.token("device", host+"/devices/"+id, time.Hour)
		if d != nil {
			var err error
			if text, err = sas.Sign(host+"/devices/"+id, string(d.Authentication.SymmetricKey.PrimaryKey), "", time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		return q.call(putTokenMessage(text)).ApplicationProperties["status-code"]
	}
	var links []*amqp.Sender
	for _, id := range []string{"leaves", "stays"} {
		if code := put(id, f.createDevice(id)); code != int32(200) {
			t.Fatal(id, code)
		}
		links = append(links, p.mustSend(telemetryOf(id)))
	}
	for i := range 1022 {
		if code := put(fmt.Sprint("to-come-", i), nil); code != int32(200) {
			t.Fatal(i, code)
		}
	}
	late, later := f.createDevice("late"), f.createDevice("later")
	if code := put("late", late); code != int32(403) {
		t.Errorf("one more: %v", code)
	}
	if err := links[0].Close(p.context()); err != nil {
		t.Fatal(err)
	}
	f.awaitConnected(1)
	if code := put("late", late); code != int32(200) {
		t.Errorf("one more, when one has left: %v", code)
	}
	if code := put("later", later); code != int32(403) {
		t.Errorf("and one more: %v", code)
	}
	if err := send(t, links[1], data("x")); err != nil {
		t.Error(err)
	}
	if err := send(t, p.mustSend(telemetryOf("late")), data("x")); err != nil {
		t.Error(err)
	}
	_, err := p.sender(telemetryOf("leaves"))
	wantCondition(t, "who has left, without its token", err, "amqp:unauthorized-access")
}

// A device that takes nothing holds nobody up: neither the messages to the others of its connection, nor what they send.
func TestMultiplexing_slowDevice(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.dial(f.listen(), amqp.ConnOptions{})
	if code, text := p.putToken(f.token("device", host, time.Hour)); code != 200 {
		t.Fatal(code, text)
	}
	receivers := map[string]*amqp.Receiver{}
	for _, id := range []string{"slow", "quick"} {
		f.createDevice(id)
		session, err := p.conn.NewSession(p.context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		credit := map[string]int32{"slow": -1, "quick": 100}[id] // -1: none
		if receivers[id], err = session.NewReceiver(p.context(), deviceBoundOf(id), &amqp.ReceiverOptions{Credit: credit}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		for _, id := range []string{"slow", "quick"} {
			if err := f.SendC2D(t.Context(), f.process, hubward.Identity{Device: id}, &hubward.Message{MessageID: fmt.Sprint(i), Body: make([]byte, 60<<10)}); err != nil {
				t.Fatal(id, err)
			}
		}
	}
	for range 50 {
		m := receive(t, receivers["quick"])
		if err := receivers["quick"].AcceptMessage(p.context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if err := send(t, p.mustSend(telemetryOf("quick")), data("x")); err != nil {
		t.Fatal(err)
	}
	if err := receivers["slow"].IssueCredit(1); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, receivers["slow"]); m.Properties.MessageID != "0" {
		t.Errorf("the slow one gets %v", m.Properties.MessageID)
	}
}
