package device_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
)

// handler makes an OnMessage of a function per message; ids come out of the channel in the order of the calls.
func handler(f func(ctx context.Context, m *device.C2DMessage) error) (func(context.Context, *device.C2DMessage) error, chan string) {
	calls := make(chan string, 100)
	return func(ctx context.Context, m *device.C2DMessage) error {
		calls <- m.MessageID
		return f(ctx, m)
	}, calls
}

func wantCalls(t *testing.T, calls chan string, want ...string) {
	t.Helper()
	for _, id := range want {
		select {
		case got := <-calls:
			if got != id {
				t.Fatalf("OnMessage got %s, want %s", got, id)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("OnMessage did not get %s", id)
		}
	}
}

// What OnMessage returns settles the message: done, never, or later.
func TestOnMessage_settlesByWhatItReturns(t *testing.T) {
	overAll(t, func(t *testing.T, p device.Protocol, h *realHub) {
		overMQTT := p == device.MQTT || p == device.MQTTWebSocket
		later := errors.New("later")
		on, calls := handler(func(ctx context.Context, m *device.C2DMessage) error {
			switch {
			case m.MessageID == "own":
				return m.Complete(ctx) // by itself, and by what it returns
			case m.MessageID == "never":
				return errors.Join(errors.New("broken"), device.ErrReject)
			case m.MessageID == "later" && m.DeliveryCount == 0:
				return later
			}
			return nil
		})
		h.send("first", "own")
		c := h.connect(device.Options{Protocol: p, OnMessage: on})
		wantCalls(t, calls, "first", "own")
		if !overMQTT { // which has no word for these: see TestOnMessage_mqttLeavesMessagesToTheHub
			h.send("never", "later")
			wantCalls(t, calls, "never", "later", "later")
		}
		if err := c.Drain(t.Context()); err != nil {
			t.Errorf("Drain: %v", err)
		}
		h.waitPending(0)
		if p != device.AMQP { // all others settle by the same calls; feedback takes its time
			return
		}
		want := map[string]hubward.FeedbackStatus{
			"first": hubward.FeedbackSuccess, "own": hubward.FeedbackSuccess, "never": hubward.FeedbackRejected, "later": hubward.FeedbackSuccess,
		}
		if diff := cmp.Diff(want, h.feedback(len(want))); diff != "" {
			t.Errorf("feedback (-want +got):\n%s", diff)
		}
	})
}

// Drain lets the call under way end, and what that sends; no message comes after it.
func TestDrain_waitsForOnMessage(t *testing.T) {
	overAll(t, func(t *testing.T, p device.Protocol, h *realHub) {
		release := make(chan bool)
		var c *device.Client
		on, calls := handler(func(ctx context.Context, m *device.C2DMessage) error {
			<-release
			return c.SendTelemetry(ctx, &hubward.Message{MessageID: "answer"})
		})
		c = h.connect(device.Options{Protocol: p, OnMessage: on})
		h.send("taken", "left")
		wantCalls(t, calls, "taken")
		drained := make(chan error, 1)
		go func() { drained <- c.Drain(t.Context()) }()
		<-device.Draining(c)
		select {
		case <-c.Done():
			t.Error("the client ended while OnMessage was running")
		case err := <-drained:
			t.Errorf("Drain returned while OnMessage was running: %v", err)
		case release <- true:
		}
		if err := <-drained; err != nil {
			t.Errorf("Drain: %v", err)
		}
		select {
		case <-c.Done():
		default:
			t.Error("the client is not closed")
		}
		if len(calls) > 0 {
			t.Errorf("OnMessage got %s", <-calls)
		}
		if err := c.SendTelemetry(t.Context(), &hubward.Message{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("sent after Drain: %v", err)
		}
		h.waitPending(1) // "taken" is completed, "left" is not
	})
}

// Drain gives up with its context; OnMessage then has its own ended.
func TestDrain_givesUpWithItsContext(t *testing.T) {
	h := startHub(t)
	ended := make(chan error, 1)
	on, calls := handler(func(ctx context.Context, _ *device.C2DMessage) error {
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	})
	c := h.connect(device.Options{OnMessage: on})
	h.send("m")
	wantCalls(t, calls, "m")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Drain(ctx); err != nil && hubward.CodeOf(err) != hubward.CodeRequestTimeout {
		t.Errorf("Drain: %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the context of OnMessage: %v", err)
	}
}

func TestClose_saysThatOnMessageStillRuns(t *testing.T) {
	h := startHub(t)
	release := make(chan bool)
	on, calls := handler(func(context.Context, *device.C2DMessage) error { <-release; return nil })
	c := h.connect(device.Options{OnMessage: on})
	h.send("m")
	wantCalls(t, calls, "m")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Close(ctx); hubward.CodeOf(err) != hubward.CodeRequestTimeout || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "OnMessage") {
		t.Errorf("Close: %v", err)
	}
	close(release) // the clean-up waits for it
}

func TestReceive_notBesideOnMessage(t *testing.T) {
	h := startHub(t)
	on, calls := handler(func(context.Context, *device.C2DMessage) error { return nil })
	c := h.connect(device.Options{OnMessage: on})
	if m, err := c.Receive(t.Context()); hubward.CodeOf(err) != hubward.CodeInvalidOperation {
		t.Errorf("%v, %v", m, err)
	}
	h.send("m")
	wantCalls(t, calls, "m")
}

// Receive ends when the client drains, and takes nothing more.
func TestDrain_endsReceive(t *testing.T) {
	overAll(t, func(t *testing.T, p device.Protocol, h *realHub) {
		c := h.connect(device.Options{Protocol: p})
		h.send("m")
		m := h.receive(c, "m")
		received := make(chan error, 1)
		go func() {
			_, err := c.Receive(t.Context())
			received <- err
		}()
		if err := m.Complete(t.Context()); err != nil {
			t.Error(err)
		}
		if err := c.Drain(t.Context()); err != nil {
			t.Errorf("Drain: %v", err)
		}
		if err := <-received; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Receive: %v", err)
		}
	})
}

func TestDrain_beforeConnect(t *testing.T) {
	c, err := device.NewFromConnectionString("HostName=hub.example;DeviceId=d1;SharedAccessKey="+testKey,
		&device.Options{OnMessage: func(context.Context, *device.C2DMessage) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOnMessage_notForModules(t *testing.T) {
	_, err := device.NewFromConnectionString("HostName=hub.example;DeviceId=d1;ModuleId=m1;SharedAccessKey="+testKey,
		&device.Options{OnMessage: func(context.Context, *device.C2DMessage) error { return nil }})
	if hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
		t.Error(err)
	}
}

// A panic of OnMessage is the program's: it ends it, as in any goroutine.
func TestOnMessage_panicEndsTheProgram(t *testing.T) {
	if os.Getenv("HUBWARD_TEST_PANIC") != "" {
		h := startHub(t)
		h.connect(device.Options{OnMessage: func(context.Context, *device.C2DMessage) error { panic("a fault of the program") }})
		h.send("m")
		<-t.Context().Done()
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOnMessage_panicEndsTheProgram$", "-test.timeout=30s")
	child.Env = append(os.Environ(), "HUBWARD_TEST_PANIC=1", "TMPDIR="+t.TempDir()) // which it leaves as it is
	out, err := child.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "panic: a fault of the program") {
		t.Errorf("%v\n%.2000s", err, out)
	}
}

// Over MQTT a message that is not done gets no PUBACK; when the hub sends it again, OnMessage gets it again.
func TestOnMessage_mqttLeavesMessagesToTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		outcomes := []error{errors.New("later"), device.ErrReject, nil}
		on, calls := handler(func(context.Context, *device.C2DMessage) error {
			outcome := outcomes[0]
			outcomes = outcomes[1:]
			return outcome
		})
		client, p := n.connected(device.Options{OnMessage: on})
		p.subscribed()
		p.deliver(7, false, "%24.mid=m", "x")
		wantCalls(t, calls, "m")
		synctest.Wait()
		p.deliver(8, true, "%24.mid=m", "x")
		wantCalls(t, calls, "m")
		synctest.Wait()
		p = n.reconnect(p)
		p.subscribed()
		p.deliver(8, true, "%24.mid=m", "x")
		wantCalls(t, calls, "m")
		p.acknowledged(8) // the first PUBACK of all
		n.shut(client, p)
	})
}
