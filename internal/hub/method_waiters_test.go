package hub_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// Whatever ends a connection ends its calls at once.
func TestInvokeMethod_connectionEnds(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, c *crew, e *callee, d *hubward.Device){
		"disconnected": func(_ *testing.T, _ *crew, e *callee, _ *hubward.Device) { e.Disconnect() },
		"taken over":   func(_ *testing.T, c *crew, _ *callee, d *hubward.Device) { c.connect(0, d) },
		"disabled": func(t *testing.T, c *crew, _ *callee, d *hubward.Device) {
			d.Status = hubward.StatusDisabled
			if _, err := c.nodes[0].PutDevice(t.Context(), "plant", *d, "*"); err != nil {
				t.Error(err)
			}
		},
		"deleted": func(t *testing.T, c *crew, _ *callee, d *hubward.Device) {
			if err := c.nodes[0].DeleteDevice(t.Context(), "plant", d.DeviceID, "*"); err != nil {
				t.Error(err)
			}
		},
		"node killed": func(_ *testing.T, c *crew, e *callee, _ *hubward.Device) {
			if len(c.nodes) == 1 {
				e.Disconnect()
				return
			}
			c.nodes[1].cluster.Kill(c.nodes[1].name)
			e.Disconnect() // the machine is gone, this process is not
		},
	} {
		t.Run(name, func(t *testing.T) {
			onOneAndTwo(t, func(t *testing.T, c *crew) {
				d := c.device("d1")
				e := c.takes(c.other(), d)
				i := c.begin("d1", hubward.MethodCall{ConnectTimeout: 30 * time.Second})
				e.one(t)
				i.wantPending()
				end(t, c, e, d)
				i.wantError(name, hubward.CodeDeviceConnectionClosed, 0)
				e.TakeMethods(true) // it has ended
				if name != "taken over" {
					_, err := c.invoke("d1", hubward.MethodCall{})
					if code := hubward.CodeOf(err); code != hubward.CodeDeviceNotOnline && code != hubward.CodeDeviceNotFound {
						t.Errorf("the next call: %v", err)
					}
				}
			})
		})
	}
}

// A node that stops in good order does not wait for the calls that others have made there.
func TestInvokeMethod_nodeStops(t *testing.T) {
	inCrew(t, 2, func(t *testing.T, c *crew) {
		c.takes(1, c.device("d1"))
		i := c.begin("d1", hubward.MethodCall{ResponseTimeout: 300 * time.Second})
		c.nodes[1].stop()
		i.wantError("its node stops", hubward.CodeDeviceConnectionClosed, 0)
	})
}

// A device that appears in time gets the call, whether it connects or begins to take methods.
func TestInvokeMethod_waitsForTheDevice(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		d := c.device("d1")
		i := c.begin("d1", hubward.MethodCall{ConnectTimeout: 20 * time.Second, ResponseTimeout: 20 * time.Second})
		time.Sleep(13 * time.Second)
		conn := c.connect(c.other(), d)
		time.Sleep(6 * time.Second)
		i.wantPending()
		var got []*hub.MethodCall
		conn.session.deliver = func(d hub.Delivery) { got = append(got, d.(*hub.MethodCall)) }
		conn.TakeMethods(true)
		synctest.Wait()
		if len(got) != 1 {
			t.Fatalf("%d calls at once", len(got))
		}
		// The time for the answer begins with the hand-over.
		time.Sleep(19 * time.Second)
		i.wantPending()
		conn.RespondMethod(got[0].ID, 200, nil)
		i.wantResult(200, "null")

		conn.Disconnect()
		c.begin("d1", hubward.MethodCall{ConnectTimeout: 7 * time.Second}).wantError("nobody comes", hubward.CodeDeviceNotOnline, 7*time.Second)
	})
}

// A call does not wait for a device that has gone meanwhile, or was disabled.
func TestInvokeMethod_whoGoesWhileACallWaits(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		for name, change := range map[string]func(d hubward.Device){
			"deleted": func(d hubward.Device) {
				if err := c.nodes[0].DeleteDevice(t.Context(), "plant", d.DeviceID, "*"); err != nil {
					t.Fatal(err)
				}
			},
			"disabled": func(d hubward.Device) {
				d.Status = hubward.StatusDisabled
				if _, err := c.nodes[0].PutDevice(t.Context(), "plant", d, "*"); err != nil {
					t.Fatal(err)
				}
			},
		} {
			d := c.device(name)
			i := c.begin(name, hubward.MethodCall{ConnectTimeout: 20 * time.Second})
			change(*d)
			i.wantError(name, hubward.CodeDeviceNotFound, 5*time.Second)
		}
	})
}

// A call is not for a later device of the name: neither when that comes at once, nor when the caller looks for himself.
func TestInvokeMethod_registeredAnewWhileACallWaits(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		anew := func(id string) *hubward.Device {
			time.Sleep(time.Second)
			if err := c.nodes[0].DeleteDevice(t.Context(), "plant", id, "*"); err != nil {
				t.Fatal(err)
			}
			return c.device(id)
		}
		c.device("d1")
		i := c.begin("d1", hubward.MethodCall{ConnectTimeout: 20 * time.Second})
		e := c.takes(c.other(), anew("d1"))
		i.wantError("the new one takes methods", hubward.CodeDeviceNotFound, time.Second)
		if n := len(e.got()); n != 0 {
			t.Errorf("%d calls reached the new one", n)
		}
		c.device("d2")
		i = c.begin("d2", hubward.MethodCall{ConnectTimeout: 20 * time.Second})
		anew("d2")
		i.wantError("the new one stays away", hubward.CodeDeviceNotFound, 5*time.Second)
	})
}

// Also when no node is told of another one's waiting, a device is found.
func TestInvokeMethod_looksForItself(t *testing.T) {
	inCrew(t, 2, func(t *testing.T, c *crew) {
		d := c.device("d1")
		deaf := func(subject string) error {
			if subject == "method.taken" {
				return errors.New("lost")
			}
			return nil
		}
		c.nodes[1].hooks.call.Store(&deaf)
		i := c.begin("d1", hubward.MethodCall{ConnectTimeout: 20 * time.Second})
		e := c.takes(1, d)
		time.Sleep(10 * time.Second)
		e.RespondMethod(e.one(t).ID, 200, nil)
		i.wantResult(200, "null")
	})
}

// A device that has come between a caller's look and the announcement that he waits is found when that comes.
func TestInvokeMethod_announcedLate(t *testing.T) {
	inCrew(t, 2, func(t *testing.T, c *crew) {
		d := c.device("d1")
		c.nodes[0].hooks.late.Store(int64(3 * time.Second))
		i := c.begin("d1", hubward.MethodCall{ConnectTimeout: 20 * time.Second})
		time.Sleep(time.Second)
		e := c.takes(1, d)
		synctest.Wait()
		i.wantPending()
		time.Sleep(2 * time.Second)
		e.RespondMethod(e.one(t).ID, 200, nil)
		i.wantResult(200, "null")
	})
}

// A connection that was taken over elsewhere and never told gets no calls, also when the device is about to come back to its node.
func TestInvokeMethod_staleLink(t *testing.T) {
	inCrew(t, 2, func(t *testing.T, c *crew) {
		d := c.device("d1")
		stale := c.takes(1, d)
		lost := func(subject string) error {
			if subject == "close" {
				return errors.New("lost")
			}
			return nil
		}
		c.nodes[0].hooks.call.Store(&lost)
		c.connect(0, d)
		looks := 0
		look := func() {
			if looks++; looks != 2 { // the second one comes between the claim and the new link
				return
			}
			_, err := c.invoke("d1", hubward.MethodCall{ResponseTimeout: 5 * time.Second})
			wantCode(t, "a call", err, hubward.CodeDeviceNotOnline)
		}
		c.hooks.identity.Store(&look)
		conn := c.connect(1, d)
		if looks < 2 || len(stale.got()) > 0 {
			t.Errorf("after %d looks, the stale connection got a call", looks)
		}
		conn.Disconnect()
	})
}

func TestInvokeMethod_hubDeleted(t *testing.T) {
	inCrew(t, 2, func(t *testing.T, c *crew) {
		c.second()
		i := &invocation{t: t, done: make(chan struct{})}
		go func() {
			defer close(i.done)
			_, i.err = c.nodes[0].InvokeMethod(t.Context(), "second", hubward.Identity{Device: "d1"}, hubward.MethodCall{Name: "m", ConnectTimeout: 30 * time.Second})
		}()
		synctest.Wait()
		if err := c.nodes[1].DeleteHub(t.Context(), "second"); err != nil {
			t.Fatal(err)
		}
		i.wantError("a call that waits", hubward.CodeNoSuchHub, 0)
	})
}

// A caller that leaves makes room, on the device's node too, and the answer reaches nobody.
func TestInvokeMethod_callerLeaves(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		d := c.device("d1")
		e := c.takes(c.other(), d)
		for name, call := range map[string]func() *invocation{
			"in the call": func() *invocation { return c.begin("d1", hubward.MethodCall{}) },
			"while it waits": func() *invocation {
				e.TakeMethods(false)
				return c.begin("d1", hubward.MethodCall{ConnectTimeout: 9 * time.Second})
			},
			"in the next call": func() *invocation { e.TakeMethods(true); return c.begin("d1", hubward.MethodCall{}) },
		} {
			i := call()
			i.wantPending()
			i.cancel()
			<-i.done
			if !errors.Is(i.err, context.Canceled) {
				t.Errorf("%s: %v", name, i.err)
			}
			synctest.Wait()
			if n, bytes := hub.WaitingCalls(e.Link); n != 0 || bytes != 0 {
				t.Errorf("%s: %d calls and %d bytes are left", name, n, bytes)
			}
			for _, left := range e.got() {
				e.RespondMethod(left.ID, 200, nil)
			}
			e.TakeMethods(true)
		}
	})
}

// On a bus that does not tell a handler that its caller has given up, the caller's node does.
func TestInvokeMethod_callerLeavesUnnoticed(t *testing.T) {
	inCrew(t, 2, func(t *testing.T, c *crew) {
		e := c.takes(1, c.device("d1"))
		c.nodes[0].hooks.detached.Store(true)
		i := c.begin("d1", hubward.MethodCall{ResponseTimeout: 100 * time.Second})
		e.one(t)
		i.cancel()
		<-i.done
		synctest.Wait()
		if n, _ := hub.WaitingCalls(e.Link); n != 0 || !errors.Is(i.err, context.Canceled) {
			t.Errorf("%d calls are left, %v", n, i.err)
		}
	})
}

// Who waits for devices is bounded, and what they wait with.
func TestInvokeMethod_waitersBounded(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		c.device("d1")
		large := []byte(`"` + strings.Repeat("x", hubward.MaxMethodPayload-2) + `"`)
		fill := func(n, size int) (leave func()) {
			return hub.EnterMethodWaiters(c.nodes[0].Hub, "plant", hubward.Identity{Device: "d2"}, n, size)
		}
		for what, bound := range map[string]struct {
			n, size int // beside one more
			payload []byte
		}{
			"calls": {4095, 0, nil},
			"bytes": {64<<20/hubward.MaxMethodPayload - 1, hubward.MaxMethodPayload, large},
		} {
			leave := fill(bound.n, bound.size)
			last := c.begin("d1", hubward.MethodCall{Payload: bound.payload, ConnectTimeout: 5 * time.Second})
			last.wantPending()
			more := c.begin("d1", hubward.MethodCall{Payload: []byte("1"), ConnectTimeout: 5 * time.Second})
			more.wantError("too many "+what, hubward.CodeThrottled, 0)
			last.wantError("the last one", hubward.CodeDeviceNotOnline, 5*time.Second)
			leave()
			fill(bound.n+1, bound.size)() // all places are free
		}
	})
}
