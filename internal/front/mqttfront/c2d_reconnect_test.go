package mqttfront_test

import (
	"testing"
	"testing/synctest"
)

// A stored subscription delivers without a SUBSCRIBE, what was in flight comes first, with DUP and its old identifier.
func TestDevicebound_afterReconnect(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		b.deliver()
		d := b.createDevice("d1")
		old := b.dial()
		old.connect(login(t, d))
		old.subscribe(1, devicebound)
		b.queue("a", "b", "c")
		first, second, third := old.message("a"), old.message("b"), old.message("c")
		old.puback(second.ID)
		old.quiet()
		old.nc.Close()
		synctest.Wait()
		b.queue("offline")

		c := b.dial()
		if !c.connect(login(t, d)) {
			t.Error("there is no session")
		}
		again := c.message("a")
		if !again.Dup || again.ID != first.ID {
			t.Errorf("after the reconnect it is %d, DUP %v; it was %d", again.ID, again.Dup, first.ID)
		}
		last := c.message("c")
		if !last.Dup || last.ID != third.ID {
			t.Errorf("after the reconnect it is %d, DUP %v; it was %d", last.ID, last.Dup, third.ID)
		}
		if p := c.message("offline"); p.Dup {
			t.Error("a first delivery has DUP")
		}
	})
}

func TestDevicebound_takenOverByANewerConnection(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t)
		b.deliver()
		d := b.createDevice("d1")
		old := b.dial()
		old.connect(login(t, d))
		old.subscribe(1, devicebound)
		b.queue("a")
		old.message("a")
		c := b.dial()
		c.connect(login(t, d))
		if p := c.message("a"); !p.Dup {
			t.Error("the copy has no DUP")
		} else {
			c.puback(p.ID)
		}
		old.expectEnd()
		c.quiet()
		if n := b.waiting(); n != 0 {
			t.Errorf("%d messages are left", n)
		}
	})
}
