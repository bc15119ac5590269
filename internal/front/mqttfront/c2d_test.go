package mqttfront_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/mqttwire"
)

var d1 = hubward.Identity{Device: "d1"}

const devicebound = "devices/d1/messages/devicebound/#"

// deliver runs the hub's background work, which delivers messages, until the test ends.
func (f *fixture) deliver() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.hub.Run(ctx) }()
	f.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			f.t.Errorf("Run: %v", err)
		}
	})
}

// inC2DBubble runs a test with a clock that jumps over waits, in which the hub delivers messages and there is d1.
func inC2DBubble(t *testing.T, test func(t *testing.T, f *fixture, d *hubward.Device)) {
	t.Helper()
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.deliver()
		test(t, f, f.createDevice("d1"))
	})
}

// queue puts messages with these ids into the queue of d1.
func (f *fixture) queue(ids ...string) {
	f.t.Helper()
	for _, id := range ids {
		if err := f.hub.SendC2D(f.t.Context(), f.plant, d1, &hubward.Message{MessageID: id, Body: []byte("body of " + id)}); err != nil {
			f.t.Fatal(err)
		}
	}
}

// wantQueued checks how many messages are in the queue of d1.
func (f *fixture) wantQueued(when string, want int) {
	f.t.Helper()
	d, err := f.hub.Device(f.t.Context(), f.plant, "d1")
	if err != nil {
		f.t.Fatal(err)
	}
	if got := d.CloudToDeviceMessageCount; got != want {
		f.t.Errorf("%s %d messages are queued, want %d", when, got, want)
	}
}

func (c *client) puback(ids ...uint16) {
	c.t.Helper()
	for _, id := range ids {
		c.send(mqttwire.AppendPuback(nil, id), nil)
	}
}

// quiet checks that the server has nothing more to say: it answers a ping with nothing before it.
func (c *client) quiet() {
	c.t.Helper()
	synctest.Wait()
	c.ping()
}

// message reads a PUBLISH of any size, and checks which message it is.
func (c *client) message(wantID string) mqttwire.PublishPacket {
	c.t.Helper()
	p, err := readPublish(c.in)
	if err != nil {
		c.t.Fatal(err)
	}
	if !strings.Contains(string(p.Topic), "/%24.mid="+wantID+"&") || string(p.Payload) != "body of "+wantID {
		c.t.Fatalf("got %s %.20q, want message %s", p.Topic, p.Payload, wantID)
	}
	return p
}

func readPublish(in *bufio.Reader) (mqttwire.PublishPacket, error) {
	for n := 2; ; n++ {
		start, err := in.Peek(n)
		if err != nil {
			return mqttwire.PublishPacket{}, err
		}
		h, size, err := mqttwire.ParseHeader(start)
		if err != nil {
			return mqttwire.PublishPacket{}, err
		}
		if size == 0 {
			continue
		}
		if h.Type != mqttwire.Publish {
			return mqttwire.PublishPacket{}, fmt.Errorf("a %s came, want PUBLISH", h.Type)
		}
		in.Discard(size)
		body := make([]byte, h.Length)
		if _, err := io.ReadFull(in, body); err != nil {
			return mqttwire.PublishPacket{}, err
		}
		return mqttwire.ParsePublish(h.Flags, body)
	}
}

func TestDevicebound_completedByPuback(t *testing.T) {
	inC2DBubble(t, func(t *testing.T, f *fixture, d *hubward.Device) {
		c := f.connected(login(t, d))
		f.queue("early")
		c.quiet() // there is no subscription
		c.subscribe(1, devicebound)
		first := c.message("early")
		if first.QoS != 1 || first.Dup || first.Retain || first.ID == 0 {
			t.Errorf("PUBLISH %+v", first)
		}
		f.queue("late")
		second := c.message("late")
		if second.ID == first.ID {
			t.Error("two messages in flight have one identifier")
		}
		c.puback(999, second.ID, second.ID, first.ID) // an unknown one, out of order, twice
		c.quiet()
		f.wantQueued("at the end", 0)
	})
}

// A message whose lock has ended comes again on the same connection. It takes no second place of the window: a device that
// never acknowledges one message would otherwise get nothing more after 16 locks.
func TestDevicebound_comesAgainInItsPlace(t *testing.T) {
	inC2DBubble(t, func(t *testing.T, f *fixture, d *hubward.Device) {
		p := login(t, d)
		p.KeepAlive = time.Hour
		c := f.connected(p)
		c.subscribe(1, devicebound)
		f.queue("left")
		first := c.message("left")
		for i := range 20 {
			time.Sleep(61 * time.Second)
			if again := c.message("left"); again.ID != first.ID || !again.Dup {
				t.Fatalf("copy %d is %d, DUP %v; the first was %d", i, again.ID, again.Dup, first.ID)
			}
		}
		ids := []uint16{first.ID}
		for i := range 16 {
			f.queue(fmt.Sprint("m", i))
			if i < 15 { // and the one that is left: the window is full
				ids = append(ids, c.message(fmt.Sprint("m", i)).ID)
			}
		}
		c.quiet()
		c.puback(ids...)
		c.puback(c.message("m15").ID)
		c.quiet()
		f.wantQueued("at the end", 0)
	})
}

func TestDevicebound_windowOpensWithEachCompletion(t *testing.T) {
	inC2DBubble(t, func(t *testing.T, f *fixture, d *hubward.Device) {
		c := f.connected(login(t, d))
		for i := range 40 {
			f.queue(fmt.Sprint("m", i))
		}
		c.subscribe(1, devicebound)
		seen := map[uint16]bool{}
		var ids []uint16
		for i := range 16 {
			p := c.message(fmt.Sprint("m", i))
			if seen[p.ID] {
				t.Fatalf("identifier %d is in flight twice", p.ID)
			}
			seen[p.ID], ids = true, append(ids, p.ID)
		}
		c.quiet() // 16 are in flight
		for i := 16; i < 40; i++ {
			c.puback(ids[0])
			ids = append(ids[1:], c.message(fmt.Sprint("m", i)).ID)
			c.quiet()
		}
		c.puback(ids...)
		c.quiet()
		f.wantQueued("at the end", 0)
	})
}

func TestDevicebound_qos0IsCompleteOnceWritten(t *testing.T) {
	inC2DBubble(t, func(t *testing.T, f *fixture, d *hubward.Device) {
		c := f.connected(login(t, d))
		c.subscribe(0, devicebound)
		f.queue("a")
		synctest.Wait()
		f.wantQueued("before the write", 1) // a pipe has no buffer: nothing is written before it is read
		if p := c.message("a"); p.QoS != 0 || p.ID != 0 {
			t.Errorf("PUBLISH %+v", p)
		}
		for i := range 40 {
			f.queue(fmt.Sprint("m", i))
			c.message(fmt.Sprint("m", i))
		}
		synctest.Wait()
		f.wantQueued("at the end", 0)
	})
}

func TestDevicebound_unsubscribeStopsIt(t *testing.T) {
	inC2DBubble(t, func(t *testing.T, f *fixture, d *hubward.Device) {
		c := f.connected(login(t, d))
		c.subscribe(1, devicebound)
		f.queue("a")
		a := c.message("a")
		c.unsubscribe(devicebound)
		f.queue("b")
		c.quiet()
		c.puback(a.ID) // what came before counts
		c.quiet()
		f.wantQueued("without a subscription", 1)
		c.subscribe(1, devicebound)
		c.puback(c.message("b").ID)
		c.subscribe(1, devicebound) // once more: nothing happens
		c.quiet()
		f.wantQueued("at the end", 0)
	})
}

func TestDevicebound_cleanSessionKeepsNothing(t *testing.T) {
	inC2DBubble(t, func(t *testing.T, f *fixture, d *hubward.Device) {
		p := login(t, d)
		p.CleanSession = true
		old := f.connected(p)
		old.subscribe(1, devicebound)
		f.queue("a")
		old.message("a")
		old.nc.Close()
		c := f.connected(login(t, d))
		c.quiet()
		c.subscribe(1, devicebound)
		c.message("a")
	})
}

// Without PUBACK a message comes again when its lock ends, also on the same connection if there is room. The client may
// acknowledge it before it has seen the copy, and acknowledges that too.
func TestDevicebound_lateAcknowledgementCompletes(t *testing.T) {
	inC2DBubble(t, func(t *testing.T, f *fixture, d *hubward.Device) {
		p := login(t, d)
		p.KeepAlive = time.Hour
		c := f.connected(p)
		c.subscribe(1, devicebound)
		f.queue("a")
		first := c.message("a")
		time.Sleep(61 * time.Second)
		second := c.message("a")
		if !second.Dup || second.ID != first.ID {
			t.Errorf("the copy is %d, DUP %v; the first was %d", second.ID, second.Dup, first.ID)
		}
		c.puback(first.ID)
		c.quiet()
		f.wantQueued("after a late PUBACK", 0)
		f.queue("b")
		c.puback(second.ID)
		c.puback(c.message("b").ID)
		c.quiet()
		f.wantQueued("at the end", 0)
	})
}

func TestDevicebound_largestMessage(t *testing.T) {
	inC2DBubble(t, func(t *testing.T, f *fixture, d *hubward.Device) {
		c := f.connected(login(t, d))
		c.subscribe(1, devicebound)
		const most = 64<<10 - 100 // the id counts
		for range 20 {
			if err := f.hub.SendC2D(t.Context(), f.plant, d1, &hubward.Message{Body: make([]byte, most)}); err != nil {
				t.Fatal(err)
			}
		}
		for range 20 {
			p, err := readPublish(c.in)
			if err != nil || len(p.Payload) != most {
				t.Fatalf("%d bytes, %v", len(p.Payload), err)
			}
			c.puback(p.ID)
		}
	})
}

// A message whose properties do not fit a topic cannot come by MQTT. It is given back until the count ends it, and those
// behind it come.
func TestDevicebound_propertiesThatFitNoTopic(t *testing.T) {
	inC2DBubble(t, func(t *testing.T, f *fixture, d *hubward.Device) {
		c := f.connected(login(t, d))
		wide := &hubward.Message{Properties: []hubward.Property{{Name: "p", Value: strings.Repeat("/", 30_000)}}}
		if err := f.hub.SendC2D(t.Context(), f.plant, d1, wide); err != nil {
			t.Fatal(err)
		}
		f.queue("next")
		c.subscribe(1, devicebound)
		c.puback(c.message("next").ID)
		c.quiet()
		f.wantQueued("at the end", 0)
	})
}

// What is acknowledged before DISCONNECT counts, however close to it.
func TestDevicebound_acknowledgedJustBeforeDisconnect(t *testing.T) {
	inC2DBubble(t, func(t *testing.T, f *fixture, d *hubward.Device) {
		c := f.connected(login(t, d))
		c.subscribe(1, devicebound)
		for range 20 {
			f.queue("a", "b", "c", "d")
			var packets []byte
			for _, id := range []string{"a", "b", "c", "d"} {
				packets = mqttwire.AppendPuback(packets, c.message(id).ID)
			}
			c.send(packets[:4], nil)
			c.send(append(packets[4:], mqttwire.AppendDisconnect(nil)...), nil)
			c.expectEnd()
			synctest.Wait()
			f.wantQueued("after the DISCONNECT", 0)
			c = f.connected(login(t, d))
		}
	})
}
