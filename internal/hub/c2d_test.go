package hub_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

func TestSendC2D_refusals(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		p.device("d")
		if _, err := p.PutDevice(t.Context(), "plant", hubward.Device{DeviceID: "disabled", Status: hubward.StatusDisabled}, ""); err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		body := func(n int) *hubward.Message { return &hubward.Message{MessageID: "1234", Body: make([]byte, n-4)} }
		for _, c := range []struct {
			name        string
			hub, device string
			m           *hubward.Message
			want        hubward.Code // 0: accepted
		}{
			{"unknown hub", "none", "d", body(4), hubward.CodeNoSuchHub},
			{"unknown device", "plant", "D", body(4), hubward.CodeDeviceNotFound},
			{"disabled device", "plant", "disabled", body(4), hubward.CodeDeviceNotFound},
			{"largest", "plant", "d", body(64 << 10), 0},
			{"too large", "plant", "d", body(64<<10 + 1), hubward.CodeMessageTooLarge},
			{"unknown ack", "plant", "d", &hubward.Message{Ack: "maybe"}, hubward.CodeArgumentInvalid},
			{"ack in capitals", "plant", "d", &hubward.Message{Ack: "Full"}, 0},
			{"expired", "plant", "d", &hubward.Message{Expiry: now}, hubward.CodeArgumentInvalid},
			{"expires soon", "plant", "d", &hubward.Message{Expiry: now.Add(time.Millisecond)}, 0},
			{"expires in two days", "plant", "d", &hubward.Message{Expiry: now.Add(48 * time.Hour)}, 0},
			{"expires later than that", "plant", "d", &hubward.Message{Expiry: now.Add(48*time.Hour + 1)}, hubward.CodeArgumentInvalid},
			{"expired in 1754", "plant", "d", &hubward.Message{Expiry: time.Unix(0, time.Time{}.UnixNano())}, 0},
			{"expired in 1970", "plant", "d", &hubward.Message{Expiry: time.Unix(0, 0)}, hubward.CodeArgumentInvalid},
			{"expired in the year 1", "plant", "d", &hubward.Message{Expiry: time.UnixMilli(-62135596800000)}, 0},
		} {
			err := p.SendC2D(t.Context(), c.hub, c.device, c.m)
			if c.want == 0 && err != nil || c.want != 0 && (err == nil || hubward.CodeOf(err) != c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
		}
		p.wantPending("d", 6)
	})
}

func TestSendC2D_queueFull(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		p.device("d")
		for i := range 50 {
			m := &hubward.Message{Body: fmt.Append(nil, i)}
			if i%2 == 0 {
				m.Expiry = time.Now().Add(time.Minute)
			}
			if err := p.SendC2D(t.Context(), "plant", "d", m); err != nil {
				t.Fatal(err)
			}
		}
		wantCode(t, "the 51st message", p.SendC2D(t.Context(), "plant", "d", &hubward.Message{}), hubward.CodeDeviceMaximumQueueDepth)
		time.Sleep(time.Minute)
		p.send("d", "next")
		if d := p.poll("d"); string(d.Message.Body) != "1" {
			t.Errorf("first message %q", d.Message.Body)
		}
	})
}

// What the device gets is what was sent, with what the hub adds.
func TestReceiveC2D_wholeMessage(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		link := p.connect(p.device("d"))
		sent := &hubward.Message{
			CorrelationID: "c", UserID: "u", To: "/devices/d/messages/deviceBound", ContentType: "text/plain", ContentEncoding: "utf-8",
			CreationTime: "2026-01-02T03:04:05Z", Properties: []hubward.Property{{Name: "n", Null: true}, {Name: "e"}}, Body: []byte("x"),
		}
		if err := p.SendC2D(t.Context(), "plant", "d", sent); err != nil {
			t.Fatal(err)
		}
		got := p.receive(link, 1).want("x")[0]
		if len(got.Message.MessageID) != 36 || len(got.LockToken) != 36 || got.LockToken == got.Message.MessageID {
			t.Errorf("message id %q, lock token %q", got.Message.MessageID, got.LockToken)
		}
		want := *sent
		want.MessageID = got.Message.MessageID // and neither an ack nor an expiry, which nobody sent
		if diff := cmp.Diff(&want, got.Message); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
		if got.Sequence != 1 || !got.Enqueued.Equal(time.Now()) || !got.LockedUntil.Equal(time.Now().Add(time.Minute)) || got.Redelivered {
			t.Errorf("delivery %+v", got)
		}
	})
}

// Senders write acks as they like; what is kept are the documented ones.
func TestSendC2D_spellingsOfAck(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		inbox := p.receive(p.connect(p.device("d")), 10)
		for _, c := range []struct{ written, want hubward.Ack }{
			{"", ""}, {"NONE", hubward.AckNone}, {"Full", hubward.AckFull},
			// The Java service SDK, and its constants as they are.
			{"positiveonly", hubward.AckPositive}, {"negativeonly", hubward.AckNegative}, {"NegativeOnly", hubward.AckNegative},
		} {
			if err := p.SendC2D(t.Context(), "plant", "d", &hubward.Message{Ack: c.written, Body: []byte("x")}); err != nil {
				t.Fatalf("ack %q: %v", c.written, err)
			}
			if got := inbox.want("x")[0].Message.Ack; got != c.want {
				t.Errorf("ack %q is kept as %q, want %q", c.written, got, c.want)
			}
		}
		for _, wrong := range []hubward.Ack{"positive only", "only", "fullonly"} {
			if err := p.SendC2D(t.Context(), "plant", "d", &hubward.Message{Ack: wrong}); hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
				t.Errorf("ack %q: %v, want CodeArgumentInvalid", wrong, err)
			}
		}
	})
}

func TestReceiveC2D_offlineThenConnect(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		d := p.device("d")
		p.send("d", "1", "2", "3")
		p.wantPending("d", 3)
		b := p.receive(p.connect(d), 2)
		in := b.want("1", "2")
		b.mustSettle(in[0], hub.C2DComplete)
		b.want() // settling gives no credit
		b.Credit(1)
		in = append(in, b.want("3")...)
		b.mustSettle(in[2], hub.C2DComplete)
		b.mustSettle(in[1], hub.C2DComplete)
		p.wantPending("d", 0)
		wantCode(t, "settled again", b.settle(in[1], hub.C2DComplete), hubward.CodeDeviceMessageLockLost)
	})
}

// A message that is sent to a connected device comes with no time passing, and a receiver that waits costs no edits.
func TestReceiveC2D_atOnceAndWithoutPolling(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		b := p.receive(p.connect(p.device("d")), 100)
		b.want()
		edits := p.store.edits.Load()
		time.Sleep(10 * time.Hour)
		if got := p.store.edits.Load(); got != edits {
			t.Errorf("%d edits while nothing happened", got-edits)
		}
		start := time.Now()
		for i := range 60 {
			name := fmt.Sprint(i)
			p.send("d", name)
			b.mustSettle(b.want(name)[0], hub.C2DComplete)
			if i < 50 {
				b.Credit(1)
			}
		}
		if !time.Now().Equal(start) {
			t.Errorf("the messages took %s", time.Since(start))
		}
	})
}

func TestReceiveC2D_setCredit(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		b := p.receive(p.connect(p.device("d")), 5)
		p.send("d", "1")
		b.want("1")
		b.SetCredit(0)
		p.send("d", "2", "3", "4")
		b.want()
		b.SetCredit(2)
		b.want("2", "3")
		b.Stop()
		b.Credit(9)
		b.want()
	})
}

func TestReceiveC2D_manyAtOnceInOrder(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		d := p.device("d")
		var names []string
		for i := range 50 {
			names = append(names, fmt.Sprint(i))
		}
		p.send("d", names...)
		b := p.receive(p.connect(d), 1000)
		in := b.want(names...)
		for i, d := range in {
			if d.Sequence != int64(i+1) {
				t.Errorf("sequence number %d at place %d", d.Sequence, i)
			}
		}
	})
}

// A device that connects elsewhere gets at once what its older connection holds.
func TestReceiveC2D_takeover(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		d := p.device("d")
		first := p.connect(d)
		b1 := p.receive(first, 2)
		p.send("d", "1", "2", "3")
		held := b1.want("1", "2")
		second := p.connect(d)
		b2 := p.receive(second, 9)
		in := b2.want("1", "2", "3")
		if !in[0].Redelivered || !in[1].Redelivered || in[2].Redelivered || in[0].DeliveryCount != 0 {
			t.Errorf("deliveries %+v, %+v, %+v", in[0], in[1], in[2])
		}
		wantCode(t, "settled by the older connection", b1.settle(held[0], hub.C2DComplete), hubward.CodeDeviceMessageLockLost)
		b1.Credit(9)
		late := p.receive(first, 9) // the older link asks again
		first.Disconnect()
		late.want()
		b1.want()
		for _, d := range in {
			b2.mustSettle(d, hub.C2DComplete)
		}
		p.wantPending("d", 0)
	})
}

func TestReceiveC2D_secondReceiverOfALink(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		link := p.connect(p.device("d"))
		b1 := p.receive(link, 9)
		p.send("d", "1")
		in := b1.want("1")
		b2 := p.receive(link, 9)
		b2.want("1")
		b1.want()
		wantCode(t, "settled by the first", b1.settle(in[0], hub.C2DComplete), hubward.CodeDeviceMessageLockLost)
		b1.Stop()
		p.send("d", "2")
		b2.want("2")
		link.Disconnect()
		synctest.Wait()
		p.wantPending("d", 2)
	})
}

// What was settled before the connection ended is settled.
func TestReceiveC2D_settleThenDisconnect(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		link := p.connect(p.device("d"))
		b := p.receive(link, 9)
		p.send("d", "1", "2")
		in := b.want("1", "2")
		done := make(chan error, 1)
		b.Settle(in[0].LockToken, hub.C2DComplete, func(err error) { done <- err })
		link.Disconnect()
		if err := <-done; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := p.poll("d"); got == nil || got.Sequence != 2 {
			t.Errorf("left: %+v", got)
		}
	})
}

func TestC2D_deviceDeleted(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		d := p.device("d")
		b := p.receive(p.connect(d), 9)
		p.send("d", "1", "2")
		in := b.want("1", "2")
		b.mustSettle(in[0], hub.C2DComplete)
		if err := p.DeleteDevice(t.Context(), "plant", "d", "*"); err != nil {
			t.Fatal(err)
		}
		wantCode(t, "settled after the deletion", b.settle(in[1], hub.C2DComplete), hubward.CodeDeviceNotFound)
		p.wantNoFeedback()
		time.Sleep(time.Second)
		d = p.device("d")
		p.send("d", "new")
		b.want() // the old connection is not that of the new device
		p.wantPending("d", 1)
		if got := p.receive(p.connect(d), 9).want("new"); got[0].Sequence != 1 {
			t.Errorf("sequence number %d", got[0].Sequence)
		}
		time.Sleep(time.Hour)
		p.wantFeedback(record{"new", hubward.FeedbackExpired})
	})
}

// A store that fails is asked again after a while; what a device settled meanwhile has failed.
func TestC2D_storeFails(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		b := p.receive(p.connect(p.device("d")), 9)
		p.send("d", "1")
		in := b.want("1")
		p.store.broken.Store(true)
		if err := b.settle(in[0], hub.C2DComplete); err != errBroken {
			t.Errorf("settled with %v", err)
		}
		if err := p.SendC2D(t.Context(), "plant", "d", &hubward.Message{}); err != errBroken {
			t.Errorf("sent with %v", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		p.store.broken.Store(false)
		b.mustSettle(in[0], hub.C2DComplete)
		p.send("d", "2")
		b.want("2")
		// A lock and an expiry that fell into a failure are seen to late.
		p.store.broken.Store(true)
		time.Sleep(2 * time.Hour)
		edits := p.store.edits.Load()
		if edits > 3*7200 {
			t.Errorf("%d edits of a failing store in two hours", edits)
		}
		p.store.broken.Store(false)
		time.Sleep(2 * time.Second)
		p.wantFeedback(record{"2", hubward.FeedbackExpired}) // that of 1 has expired meanwhile
	})
}
