package device_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/mqttwire"
)

const deviceboundTopic = "devices/d1/messages/devicebound/"

// received is the outcome of one call of Receive.
type received struct {
	m   *device.C2DMessage
	err error
}

func receive(t *testing.T, c *device.Client) <-chan received {
	result := make(chan received, 1)
	go func() {
		m, err := c.Receive(t.Context())
		result <- received{m, err}
	}()
	return result
}

// subscribed reads SUBSCRIBE and answers it.
func (p *peer) subscribed() { p.t.Helper(); p.subscribedTo(deviceboundTopic + "#") }

// subscribedTo reads SUBSCRIBE, which must have that filter with QoS 1, and grants it.
func (p *peer) subscribedTo(filter string) {
	p.t.Helper()
	_, body := p.next(mqttwire.Subscribe)
	packet, err := mqttwire.ParseSubscribe(body)
	if err != nil {
		p.t.Fatal(err)
	}
	want := []mqttwire.Filter{{Topic: filter, QoS: 1}}
	if diff := cmp.Diff(want, packet.Filters); diff != "" {
		p.t.Errorf("SUBSCRIBE (-want +got):\n%s", diff)
	}
	p.send(mqttwire.AppendSuback(nil, packet.ID, 1))
}

func (p *peer) deliver(id uint16, dup bool, bag, body string) {
	p.t.Helper()
	p.deliverTo(deviceboundTopic+bag, id, dup, body)
}

func (p *peer) deliverTo(topic string, id uint16, dup bool, body string) {
	p.t.Helper()
	packet, err := mqttwire.AppendPublish(nil, &mqttwire.PublishPacket{
		QoS: 1, ID: id, Dup: dup, Topic: []byte(topic), Payload: []byte(body),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.send(packet)
}

func (p *peer) acknowledged(want uint16) {
	p.t.Helper()
	_, body := p.next(mqttwire.Puback)
	if id, err := mqttwire.ParseID(body); err != nil || id != want {
		p.t.Errorf("PUBACK %d, %v; want %d", id, err, want)
	}
}

// complete completes m while the hub's end reads a PUBACK for each of ids.
func (p *peer) complete(m *device.C2DMessage, ids ...uint16) {
	p.t.Helper()
	result := make(chan error, 1)
	go func() { result <- m.Complete(p.t.Context()) }()
	for _, id := range ids {
		p.acknowledged(id)
	}
	if err := <-result; err != nil {
		p.t.Errorf("Complete: %v", err)
	}
}

func TestReceive_subscribesAndCompletes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		first := receive(t, client)
		p.subscribed()
		p.deliver(7, false, "%24.to=%2Fdevices%2Fd1%2Fmessages%2FdeviceBound&%24.mid=m%26&%24.cid=c&%24.uid=u&%24.ct=text%2Fplain&%24.ce=utf-8"+
			"&%24.exp=2026-01-29T16%3A45%3A39.0210000Z&%24.ctime=2026-01-29T15%3A45%3A39.0000000Z&iothub-ack=full&a%20b=%2B%3D%2F&e=&n", "on")
		p.deliver(8, false, "%24.mid=m2", "off")
		got := <-first
		if got.err != nil {
			t.Fatal(got.err)
		}
		want := hubward.Message{
			To: "/devices/d1/messages/deviceBound", MessageID: "m&", CorrelationID: "c", UserID: "u", ContentType: "text/plain", ContentEncoding: "utf-8",
			Expiry: time.Date(2026, 1, 29, 16, 45, 39, 21_000_000, time.UTC), CreationTime: "2026-01-29T15:45:39.0000000Z", Ack: hubward.AckFull,
			Properties: []hubward.Property{{Name: "a b", Value: "+=/"}, {Name: "e"}, {Name: "n", Null: true}}, Body: []byte("on"),
		}
		if diff := cmp.Diff(want, got.m.Message); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
		for _, refuse := range []func(context.Context) error{got.m.Reject, got.m.Abandon} {
			if err := refuse(t.Context()); hubward.CodeOf(err) != hubward.CodeInvalidOperation {
				t.Errorf("MQTT has no such outcome, and the error is %v", err)
			}
		}
		p.complete(got.m, 7)
		if err := got.m.Complete(t.Context()); hubward.CodeOf(err) != hubward.CodeInvalidOperation {
			t.Errorf("completing twice gives %v", err)
		}
		second := <-receive(t, client)
		p.complete(second.m, 8)
		n.shut(client, p)
	})
}

func TestReceive_neverCalled_leavesMessagesWithTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		for id := range uint16(100) { // due to an old subscription; more than are kept
			p.deliver(id+1, false, "%24.mid=m", string(rune(id)))
		}
		n.shut(client, p) // there was no PUBACK
	})
}

func TestReceive_errors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		idle := n.client(device.Options{})
		if _, err := idle.Receive(t.Context()); hubward.CodeOf(err) != hubward.CodeInvalidOperation {
			t.Errorf("before Connect: %v", err)
		}
		idle.Close(t.Context())
		client, p := n.connected(device.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() {
			_, err := client.Receive(ctx)
			result <- err
		}()
		p.subscribed()
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		waiting := receive(t, client)
		n.shut(client, p)
		if got := <-waiting; !errors.Is(got.err, net.ErrClosed) {
			t.Errorf("closed: %v", got.err)
		}
	})
}

// reconnect breaks the connection and returns the hub's end of the next one.
func (n *pipes) reconnect(p *peer) *peer {
	n.t.Helper()
	p.nc.Close()
	next := <-n.peers
	next.login()
	return next
}

func TestReceive_reconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		first := receive(t, client)
		p.subscribed()
		p.deliver(1, false, "%24.mid=completed", "")
		p.deliver(2, false, "%24.mid=returned", "")
		p.deliver(3, false, "%24.mid=gap", "")
		p.deliver(4, false, "%24.mid=unread", "")
		completed, returned, gap := (<-first).m, (<-receive(t, client)).m, (<-receive(t, client)).m
		p.complete(completed, 1) // the hub's end of the pipe reads it, but does as if it did not
		p.nc.Close()
		p = <-n.peers
		p.connect()
		done := make(chan error, 1)
		go func() { done <- gap.Complete(t.Context()) }() // between two connections
		synctest.Wait()
		p.connack(mqttwire.Accepted)
		p.subscribed()
		for i, id := range []string{"completed", "returned", "gap", "unread"} {
			p.deliver(uint16(11+i), true, "%24.mid="+id, "")
			if id == "completed" || id == "gap" {
				p.acknowledged(uint16(11 + i))
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		next := <-receive(t, client)
		if next.m.MessageID != "unread" {
			t.Errorf("Receive returned %s again", next.m.MessageID)
		}
		p.complete(next.m, 14)
		p.complete(returned, 12) // the identifier of this connection
		// Without DUP it is another message that looks the same.
		p.deliver(5, false, "%24.mid=completed", "")
		p.complete((<-receive(t, client)).m, 5)
		n.shut(client, p)
	})
}

// A message that the hub does not send again, because it has expired, cannot be completed.
func TestComplete_afterTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{KeepAlive: 1000 * time.Second})
		first := receive(t, client)
		p.subscribed()
		p.deliver(1, false, "%24.mid=m", "")
		m := (<-first).m
		p = n.reconnect(p)
		p.subscribed()
		if err := m.Complete(t.Context()); hubward.CodeOf(err) != hubward.CodeDeviceMessageLockLost {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := m.Complete(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		n.shut(client, p)
	})
}

func TestReceive_withoutMessageID_isNotTakenForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		first := receive(t, client)
		p.subscribed()
		p.deliver(1, false, "%24.to=x", "on")
		p.deliver(2, false, "%24.to=x", "on")
		a, b := (<-first).m, (<-receive(t, client)).m
		p.complete(a, 1)
		p = n.reconnect(p)
		p.subscribed()
		synctest.Wait()
		p.deliver(3, true, "%24.to=x", "on") // joins b
		p.deliver(4, true, "%24.to=x", "on") // it is b again, as far as one can tell
		synctest.Wait()                      // the client has read both
		p.complete(b, 3, 4)
		n.shut(client, p)
	})
}

func TestReceive_redeliveryOnOneConnection_isCompletedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		first := receive(t, client)
		p.subscribed()
		p.deliver(1, false, "%24.mid=m", "on")
		m := (<-first).m
		p.deliver(2, true, "%24.mid=m", "on") // the hub took the lock for ended
		synctest.Wait()
		p.complete(m, 1, 2)
		n.shut(client, p)
	})
}

func TestSubscribe_refusedByTheHub_reconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		receive(t, client)
		_, body := p.next(mqttwire.Subscribe)
		packet, err := mqttwire.ParseSubscribe(body)
		if err != nil {
			t.Fatal(err)
		}
		p.send(mqttwire.AppendSuback(nil, packet.ID, mqttwire.SubackFailure))
		p.gone()
		p = <-n.peers
		p.login()
		p.subscribed()
		n.shut(client, p)
	})
}

// A hub may still have to read acknowledgements when it gets DISCONNECT: the client lets it close the connection.
func TestClose_leavesTheEndToTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		result := make(chan error, 1)
		go func() { result <- client.Close(t.Context()) }()
		p.next(mqttwire.Disconnect)
		synctest.Wait()
		select {
		case <-result:
			t.Error("it did not wait for the hub")
		default:
		}
		p.nc.Close()
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}
