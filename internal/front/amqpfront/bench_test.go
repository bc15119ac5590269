package amqpfront_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/cluster/localcluster"
	"github.com/hubward/hubward/internal/eventlog/memlog"
	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

// What the reader link does for one event of 256 bytes.
func BenchmarkTake(b *testing.B) {
	for _, size := range []int{16, 256, 4096} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			take := amqpfront.NewTaker(b, 100)
			r := hub.Record{SequenceNumber: 1234567, Enqueued: time.Now(), Data: record("m1", strings.Repeat("x", size))}
			b.ReportAllocs()
			for b.Loop() {
				take(r)
			}
		})
	}
}

func TestTake_doesNotAllocate(t *testing.T) {
	r := hub.Record{SequenceNumber: 1234567, Enqueued: time.Now(), Data: record("m1", strings.Repeat("x", 256))}
	take := amqpfront.NewTaker(t, 100)
	for range 1000 { // until the buffers have grown
		take(r)
	}
	if n := testing.AllocsPerRun(1000, func() { take(r) }); n != 0 {
		t.Errorf("%v allocations per event", n)
	}
}

// The way of an event of 256 bytes from the log to a socket whose other end throws it away. One operation is one event.
func BenchmarkReader(b *testing.B) {
	store, err := sqlstore.Open(b.Context(), sqlstore.Options{Path: sqlstore.Memory})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	log := memlog.Open(memlog.Options{MaxBytes: 1 << 30})
	defer log.Close()
	h, err := hub.Open(b.Context(), hub.Options{Store: store, Log: log, Cluster: localcluster.New(localcluster.Options{})})
	if err != nil {
		b.Fatal(err)
	}
	config, err := h.CreateHub(b.Context(), access.Process(access.HubRef{}), hub.NewHub{Name: "plant"})
	if err != nil {
		b.Fatal(err)
	}
	const kept = 50_000
	stored := make(chan int, kept)
	producer := log.Producer(hub.Partition{Hub: "plant", Endpoint: hub.EndpointEvents}, func(n int, err error) { stored <- n })
	data := record("m1", strings.Repeat("x", 256))
	for range kept {
		if err := producer.Append(b.Context(), data); err != nil {
			b.Fatal(err)
		}
	}
	for n := 0; n < kept; n += <-stored {
	}
	done := &countdown{all: make(chan struct{})}
	server := amqpfront.New(h, amqpfront.Options{Observer: done})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go server.Serve(l)                          //nolint:errcheck // Shutdown ends it
	defer server.Shutdown(context.Background()) //nolint:errcheck // nothing depends on it
	b.ReportAllocs()
	for b.Loop() { // each reads all that is kept
		done.left, done.all = kept, make(chan struct{})
		nc := rawReader(b, l.Addr().String(), config.Policies[0].PrimaryKey)
		go io.Copy(io.Discard, nc) //nolint:errcheck // ends with the connection
		<-done.all
		nc.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/kept, "ns/event")
}

// countdown is the observer that waits for events.
type countdown struct {
	left int
	all  chan struct{}
}

func (c *countdown) EventsDelivered(_, _ string, events, _ int) {
	if c.left -= events; c.left == 0 {
		close(c.all)
	}
}

func (c *countdown) Readers(string, string, int) {}

// rawReader opens a link with a million credits, without waiting for an answer to anything.
func rawReader(b testing.TB, address, key string) net.Conn {
	b.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	out := []byte(amqpwire.HeaderSASL)
	out = frame(out, amqpwire.FrameSASL, (&amqpwire.SASLInit{Mechanism: "PLAIN", InitialResponse: []byte("\x00iothubowner\x00" + key)}).Append)
	out = append(out, amqpwire.HeaderAMQP...)
	out = frame(out, amqpwire.FrameAMQP, (&amqpwire.Open{ContainerID: "bench", MaxFrameSize: 65536, ChannelMax: 10}).Append)
	out = frame(out, amqpwire.FrameAMQP, (&amqpwire.Begin{IncomingWindow: 1 << 30, OutgoingWindow: 10, HandleMax: 10}).Append)
	out = frame(out, amqpwire.FrameAMQP, (&amqpwire.Attach{
		Name: "r", Role: amqpwire.RoleReceiver, SenderSettleMode: amqpwire.SenderModeUnset, ReceiverSettleMode: amqpwire.ReceiverModeUnset,
		Source: &amqpwire.Source{Address: partition0}, Target: &amqpwire.Target{},
	}).Append)
	out = frame(out, amqpwire.FrameAMQP, (&amqpwire.Flow{
		NextIncomingID: amqpwire.Some(0), IncomingWindow: 1 << 30, OutgoingWindow: 10,
		Handle: amqpwire.Some(0), DeliveryCount: amqpwire.Some(0), LinkCredit: amqpwire.Some(1 << 20),
	}).Append)
	if _, err := nc.Write(out); err != nil {
		b.Fatal(err)
	}
	return nc
}
