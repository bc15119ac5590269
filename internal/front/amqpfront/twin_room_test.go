package amqpfront_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpfront"
)

// rawTwinRequest makes a request whose id is a number.
func rawTwinRequest(operation string, id uint64, patch string) *amqpwire.Message {
	m := &amqpwire.Message{
		Annotations: amqpwire.Map{{Key: amqpwire.Symbol("operation"), Value: operation}},
		Properties:  &amqpwire.Properties{CorrelationID: id},
	}
	if operation == "PATCH" {
		m.Annotations = append(m.Annotations, amqpwire.Entry{Key: amqpwire.Symbol("resource"), Value: "/properties/reported"})
		m.Data = [][]byte{[]byte(patch)}
	}
	return m
}

// holdReported keeps the store from changing d1's reported properties until release.
func (f *fixture) holdReported() (release func()) {
	gate := make(chan struct{})
	f.queues.gate.Store(&gate)
	release = sync.OnceFunc(func() {
		f.queues.gate.Store(nil)
		close(gate)
	})
	f.t.Cleanup(release) // also when the test fails
	return release
}

// A device that sends far beyond its credit, while the store is behind with it, holds up no other one of the connection: what there is
// no room for is refused, and the rest is carried out.
func TestTwin_beyondItsCredit(t *testing.T) {
	for name, test := range map[string]struct{ size, sent, fit int }{
		"requests":              {100, 100, 63},
		"bytes":                 {64 << 10, 6, 4},
		"a byte more than fits": {64<<10 + 1, 6, 3},
		"larger than all":       {270 << 10, 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, amqpfront.Options{})
			f.createDevice("d1")
			f.createDevice("d2")
			c := f.rawOwner(f.listen())
			for i, device := range []string{"d1", "d2"} {
				c.attach(amqpwire.RoleReceiver, uint32(2*i+1), "/devices/"+device+"/twin")
				c.attach(amqpwire.RoleSender, uint32(2*i+2), "/devices/"+device+"/twin")
				c.credit(uint32(2*i+1), 0, 500)
			}
			release := f.holdReported()
			patch := `{"a":1` + strings.Repeat(" ", test.size-len(`{"a":1}`)) + `}`
			for i := range test.sent {
				c.transfer(2, uint32(i), rawTwinRequest("PATCH", uint64(i), patch))
			}
			c.transfer(4, uint32(test.sent), rawTwinRequest("GET", 1000, ""))
			var refused int
			for {
				_, m := c.message()
				if m.Properties.CorrelationID == any(uint64(1000)) {
					break
				}
				if status := m.Annotations.Get("status"); status != int32(429) {
					t.Fatalf("%v: status %v", m.Properties.CorrelationID, status)
				}
				refused++
			}
			if refused != test.sent-test.fit {
				t.Errorf("%d of %d are refused, want %d", refused, test.sent, test.sent-test.fit)
			}
			release()
			for i := range test.fit {
				if _, m := c.message(); m.Properties.CorrelationID != any(uint64(i)) || m.Annotations.Get("status") != int32(204) {
					t.Errorf("answer %d: %+v, %v", i, m.Properties, m.Annotations)
				}
			}
		})
	}
}

// A link has credit for what there is room for, and gets it back with the answers.
func TestTwin_credit(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	c := f.rawOwner(f.listen())
	c.attach(amqpwire.RoleReceiver, 1, "/devices/d1/twin")
	c.credit(1, 0, 500)
	c.attach(amqpwire.RoleSender, 2, "/devices/d1/twin")
	f.holdReported()
	for done := uint32(0); ; {
		_, r := c.until(amqpwire.CodeFlow)
		var flow amqpwire.Flow
		if err := flow.Decode(r); err != nil {
			t.Fatal(err)
		}
		if flow.Handle.Value != 2 || flow.LinkCredit.Value == 0 {
			continue
		}
		if done += flow.LinkCredit.Value; done != 8 {
			t.Errorf("credit for %d", done)
		}
		break
	}
}

// What a device has asked of its twin before it left is carried out.
func TestTwin_carriedOutBehindTheConnection(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.device(f.listen(), "d1")
	q := p.twinPair("/devices/d1/twin", "")
	release := f.holdReported()
	for i := range 5 {
		m := patchRequest(fmt.Sprint(i), fmt.Sprintf(`{"n%d":1}`, i))
		if err := send(t, q.sender, m); err != nil {
			t.Fatal(err)
		}
	}
	// The last one is there when another link of the connection has answered.
	if err := send(t, p.mustSend(telemetryOf("d1")), amqp.NewMessage([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	p.conn.Close()
	f.await("the end of the connection", func() bool { return f.server.Connections() == 0 })
	release()
	f.await("the last patch", func() bool {
		twin, err := f.Twin(t.Context(), f.process, d1)
		return err == nil && strings.Contains(string(twin.Properties.Reported), `"n4"`)
	})
	f.awaitConnected(0)
}
