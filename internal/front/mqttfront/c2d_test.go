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

const devicebound = "devices/d1/messages/devicebound/#"

// deliver runs the hub's background work, which delivers messages, until the test ends.
func (b *bench) deliver() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.hub.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Errorf("Run: %v", err)
		}
	})
}

// queue puts messages with these ids into the queue of d1.
func (b *bench) queue(ids ...string) {
	b.t.Helper()
	for _, id := range ids {
		if err := b.hub.SendC2D(b.t.Context(), "plant", "d1", &hubward.Message{MessageID: id, Body: []byte("body of " + id)}); err != nil {
			b.t.Fatal(err)
		}
	}
}

// waiting counts the messages in the queue of d1.
func (b *bench) waiting() int {
	b.t.Helper()
	d, err := b.hub.Device(b.t.Context(), "plant", "d1")
	if err != nil {
		b.t.Fatal(err)
	}
	return d.CloudToDeviceMessageCount
}

func (c *client) subscribe(qos byte, filter string) {
	c.t.Helper()
	c.send(mqttwire.AppendSubscribe(nil, &mqttwire.SubscribePacket{ID: 77, Filters: []mqttwire.Filter{{Topic: filter, QoS: qos}}}))
	c.expect(mqttwire.Suback)
}

func (c *client) unsubscribe(filter string) {
	c.t.Helper()
	c.send(mqttwire.AppendUnsubscribe(nil, &mqttwire.UnsubscribePacket{ID: 78, Topics: []string{filter}}))
	c.expect(mqttwire.Unsuback)
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
	c.send(mqttwire.AppendPingreq(nil), nil)
	c.expect(mqttwire.Pingresp)
}

// message reads a PUBLISH of any size, and checks which message it is.
func (c *client) message(wantID string) mqttwire.PublishPacket {
	c.t.Helper()
	p, err := readPublish(c.in)
	if err != nil {
		c.t.Fatal(err)
	}
	if !strings.Contains(string(p.Topic), "&%24.mid="+wantID+"&") || string(p.Payload) != "body of "+wantID {
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
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		b.deliver()
		c := b.dial()
		c.connect(login(t, b.createDevice("d1")))
		b.queue("early")
		c.quiet() // there is no subscription
		c.subscribe(1, devicebound)
		first := c.message("early")
		if first.QoS != 1 || first.Dup || first.Retain || first.ID == 0 {
			t.Errorf("PUBLISH %+v", first)
		}
		b.queue("late")
		second := c.message("late")
		if second.ID == first.ID {
			t.Error("two messages in flight have one identifier")
		}
		c.puback(999, second.ID, second.ID, first.ID) // an unknown one, out of order, twice
		c.quiet()
		if n := b.waiting(); n != 0 {
			t.Errorf("%d messages are left", n)
		}
	})
}

func TestDevicebound_windowOpensWithEachCompletion(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		b.deliver()
		c := b.dial()
		c.connect(login(t, b.createDevice("d1")))
		for i := range 40 {
			b.queue(fmt.Sprint("m", i))
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
		if n := b.waiting(); n != 0 {
			t.Errorf("%d messages are left", n)
		}
	})
}

func TestDevicebound_qos0IsCompleteOnceWritten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		b.deliver()
		c := b.dial()
		c.connect(login(t, b.createDevice("d1")))
		c.subscribe(0, devicebound)
		b.queue("a")
		synctest.Wait()
		if n := b.waiting(); n != 1 { // a pipe has no buffer: nothing is written before it is read
			t.Errorf("%d messages are left before the write, want 1", n)
		}
		if p := c.message("a"); p.QoS != 0 || p.ID != 0 {
			t.Errorf("PUBLISH %+v", p)
		}
		for i := range 40 {
			b.queue(fmt.Sprint("m", i))
			c.message(fmt.Sprint("m", i))
		}
		synctest.Wait()
		if n := b.waiting(); n != 0 {
			t.Errorf("%d messages are left", n)
		}
	})
}

func TestDevicebound_unsubscribeStopsIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		b.deliver()
		c := b.dial()
		c.connect(login(t, b.createDevice("d1")))
		c.subscribe(1, devicebound)
		b.queue("a")
		a := c.message("a")
		c.unsubscribe(devicebound)
		b.queue("b")
		c.quiet()
		c.puback(a.ID) // what came before counts
		c.quiet()
		if n := b.waiting(); n != 1 {
			t.Errorf("%d messages are left, want 1", n)
		}
		c.subscribe(1, devicebound)
		c.puback(c.message("b").ID)
		c.subscribe(1, devicebound) // once more: nothing happens
		c.quiet()
		if n := b.waiting(); n != 0 {
			t.Errorf("%d messages are left", n)
		}
	})
}

func TestDevicebound_cleanSessionKeepsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		b.deliver()
		d := b.createDevice("d1")
		p := login(t, d)
		p.CleanSession = true
		old := b.dial()
		old.connect(p)
		old.subscribe(1, devicebound)
		b.queue("a")
		old.message("a")
		old.nc.Close()
		c := b.dial()
		c.connect(login(t, d))
		c.quiet()
		c.subscribe(1, devicebound)
		c.message("a")
	})
}

// Without PUBACK a message comes again when its lock ends, also on the same connection if there is room.
func TestDevicebound_lateAcknowledgementIsNoFailure(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		b.deliver()
		c := b.dial()
		p := login(t, b.createDevice("d1"))
		p.KeepAlive = time.Hour
		c.connect(p)
		c.subscribe(1, devicebound)
		b.queue("a")
		first := c.message("a")
		time.Sleep(61 * time.Second)
		second := c.message("a")
		if !second.Dup || second.ID == first.ID {
			t.Errorf("the copy is %d, DUP %v; the first was %d", second.ID, second.Dup, first.ID)
		}
		c.puback(first.ID)
		c.quiet()
		if n := b.waiting(); n != 1 {
			t.Errorf("%d messages are left, want 1: the lock was over", n)
		}
		c.puback(second.ID)
		c.quiet()
		if n := b.waiting(); n != 0 {
			t.Errorf("%d messages are left", n)
		}
	})
}

func TestDevicebound_largestMessage(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		b.deliver()
		c := b.dial()
		c.connect(login(t, b.createDevice("d1")))
		c.subscribe(1, devicebound)
		const most = 64<<10 - 100 // the id counts
		for range 20 {
			if err := b.hub.SendC2D(t.Context(), "plant", "d1", &hubward.Message{Body: make([]byte, most)}); err != nil {
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
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		b.deliver()
		c := b.dial()
		c.connect(login(t, b.createDevice("d1")))
		wide := &hubward.Message{Properties: []hubward.Property{{Name: "p", Value: strings.Repeat("/", 30_000)}}}
		if err := b.hub.SendC2D(t.Context(), "plant", "d1", wide); err != nil {
			t.Fatal(err)
		}
		b.queue("next")
		c.subscribe(1, devicebound)
		c.puback(c.message("next").ID)
		c.quiet()
		if n := b.waiting(); n != 0 {
			t.Errorf("%d messages are left", n)
		}
	})
}

// What is acknowledged before DISCONNECT counts, however close to it.
func TestDevicebound_acknowledgedJustBeforeDisconnect(t *testing.T) {
	for range 20 {
		inBubble(t, func(t *testing.T) {
			b := newBench(t)
			b.deliver()
			c := b.dial()
			c.connect(login(t, b.createDevice("d1")))
			b.queue("a", "b", "c", "d")
			c.subscribe(1, devicebound)
			var packets []byte
			for _, id := range []string{"a", "b", "c", "d"} {
				packets = mqttwire.AppendPuback(packets, c.message(id).ID)
			}
			c.send(packets[:4], nil)
			c.send(append(packets[4:], mqttwire.AppendDisconnect(nil)...), nil)
			c.expectEnd()
			synctest.Wait()
			if n := b.waiting(); n != 0 {
				t.Errorf("%d messages are left", n)
			}
		})
	}
}
