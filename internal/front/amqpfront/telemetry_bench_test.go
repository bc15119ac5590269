package amqpfront_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/cluster/localcluster"
	"github.com/hubward/hubward/internal/eventlog/memlog"
	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

// What a telemetry link does for one message of 256 bytes with two properties, before the hub has it.
func BenchmarkReadMessage(b *testing.B) {
	m := data(strings.Repeat("x", 256))
	m.Properties = &amqp.MessageProperties{MessageID: "m-1", ContentType: ptr("application/json"), ContentEncoding: ptr("utf-8")}
	m.ApplicationProperties = map[string]any{"alert": "true", "line": "7"}
	payload, err := m.MarshalBinary()
	if err != nil {
		b.Fatal(err)
	}
	read := amqpfront.NewReader()
	b.ReportAllocs()
	for b.Loop() {
		if err := read(payload); err != nil {
			b.Fatal(err)
		}
	}
}

func TestReadMessage_doesNotAllocate(t *testing.T) {
	m := data(strings.Repeat("x", 256))
	m.Properties = &amqp.MessageProperties{MessageID: "m-1", ContentType: ptr("application/json")}
	m.ApplicationProperties = map[string]any{"alert": "true"}
	m.Annotations = amqp.Annotations{"dt-subject": "s"}
	payload := encoded(t, m)
	read := amqpfront.NewReader()
	if n := testing.AllocsPerRun(1000, func() { read(payload) }); n != 0 { //nolint:errcheck // other tests look at it
		t.Errorf("%v allocations per message", n)
	}
}

// The way of a message of 256 bytes from the socket to the log and back, with ten connections and ten messages in flight
// on each. One operation is one message; the client is in the figures.
func BenchmarkTelemetry(b *testing.B) {
	const conns, window = 10, 10
	store, err := sqlstore.Open(b.Context(), sqlstore.Options{Path: sqlstore.Memory})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	log := memlog.Open(memlog.Options{})
	defer log.Close()
	h, err := hub.Open(b.Context(), hub.Options{Store: store, Log: log, Cluster: localcluster.New(localcluster.Options{})})
	if err != nil {
		b.Fatal(err)
	}
	config, err := h.CreateHub(b.Context(), access.Process(access.HubRef{}), hub.NewHub{Name: "plant"})
	if err != nil {
		b.Fatal(err)
	}
	server := amqpfront.New(h, amqpfront.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go server.Serve(l)                          //nolint:errcheck // Shutdown ends it
	defer server.Shutdown(context.Background()) //nolint:errcheck // nothing depends on it
	var clients []*rawDevice
	for i := range conns {
		id := "d" + string(rune('a'+i))
		if _, err := h.PutDevice(b.Context(), access.Process(access.HubRef{Name: config.Name, Created: config.Created}), hubward.Device{DeviceID: id}, ""); err != nil {
			b.Fatal(err)
		}
		clients = append(clients, newRawDevice(b, l.Addr().String(), config.Policies[0].PrimaryKey, id))
	}
	b.ReportAllocs()
	b.ResetTimer()
	var running sync.WaitGroup
	for _, c := range clients {
		running.Go(func() {
			for left := b.N / conns; left > 0; left -= window {
				if err := c.burst(min(window, left)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
}

// rawDevice sends without a library in the way.
type rawDevice struct {
	nc   net.Conn
	in   *bufio.Reader
	next uint32 // delivery-id
	out  []byte
	body []byte
}

func newRawDevice(b *testing.B, address, key, id string) *rawDevice {
	b.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { nc.Close() })
	out := []byte(amqpwire.HeaderSASL)
	out = frame(out, amqpwire.FrameSASL, (&amqpwire.SASLInit{Mechanism: "PLAIN", InitialResponse: []byte("\x00iothubowner\x00" + key)}).Append)
	out = append(out, amqpwire.HeaderAMQP...)
	out = frame(out, amqpwire.FrameAMQP, (&amqpwire.Open{ContainerID: "bench", MaxFrameSize: 65536, ChannelMax: 10}).Append)
	out = frame(out, amqpwire.FrameAMQP, (&amqpwire.Begin{IncomingWindow: 1 << 30, OutgoingWindow: 1 << 30, HandleMax: 10}).Append)
	out = frame(out, amqpwire.FrameAMQP, (&amqpwire.Attach{
		Name: "s", Role: amqpwire.RoleSender, SenderSettleMode: amqpwire.SenderMixed, ReceiverSettleMode: amqpwire.ReceiverFirst,
		Source: &amqpwire.Source{}, Target: &amqpwire.Target{Address: telemetryOf(id)}, InitialDeliveryCount: amqpwire.Some(0),
	}).Append)
	if _, err := nc.Write(out); err != nil {
		b.Fatal(err)
	}
	c := &rawDevice{nc: nc, in: bufio.NewReader(nc)}
	if c.body, err = data(strings.Repeat("x", 256)).MarshalBinary(); err != nil {
		b.Fatal(err)
	}
	return c
}

// burst sends n messages in one write and waits until they are accepted.
func (c *rawDevice) burst(n int) error {
	c.out = c.out[:0]
	for range n {
		t := amqpwire.Transfer{DeliveryID: amqpwire.Some(c.next), DeliveryTag: []byte{1}, MessageFormat: amqpwire.Some(0), ReceiverSettleMode: amqpwire.ReceiverModeUnset}
		c.next++
		start := len(c.out)
		c.out = append(t.Append(amqpwire.BeginFrame(c.out, amqpwire.FrameAMQP, 0)), c.body...)
		c.out = amqpwire.EndFrame(c.out, start)
	}
	if _, err := c.nc.Write(c.out); err != nil {
		return err
	}
	for n > 0 {
		got, err := c.disposition()
		if err != nil {
			return err
		}
		n -= got
	}
	return nil
}

// disposition reads a frame and returns how many deliveries it settles. Headers of the protocol count as frames.
func (c *rawDevice) disposition() (int, error) {
	head, err := c.in.Peek(4)
	if err != nil {
		return 0, err
	}
	size := 8
	if string(head) != "AMQP" {
		size = int(binary.BigEndian.Uint32(head))
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(c.in, b); err != nil || size < 9 {
		return 0, err
	}
	r := amqpwire.NewReader(b[8:])
	var d amqpwire.Disposition
	if r.Descriptor() != amqpwire.CodeDisposition {
		return 0, nil
	}
	if err := d.Decode(r); err != nil {
		return 0, err
	}
	return int(d.Last.Value-d.First) + 1, nil
}
