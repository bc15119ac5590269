package mqttfront_test

import (
	"testing"
	"testing/synctest"

	"github.com/hubward/hubward"
)

// A stored subscription delivers without a SUBSCRIBE, what was in flight comes first, with DUP and its old identifier.
func TestDevicebound_afterReconnect(t *testing.T) {
	inC2DBubble(t, func(t *testing.T, f *fixture, d *hubward.Device) {
		old := f.connected(login(t, d))
		old.subscribe(1, devicebound)
		f.queue("a", "b", "c")
		first, second, third := old.message("a"), old.message("b"), old.message("c")
		old.puback(second.ID)
		old.quiet()
		old.nc.Close()
		synctest.Wait()
		f.queue("offline")

		c := f.dial()
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
	inC2DBubble(t, func(t *testing.T, f *fixture, d *hubward.Device) {
		old := f.connected(login(t, d))
		old.subscribe(1, devicebound)
		f.queue("a")
		old.message("a")
		c := f.connected(login(t, d))
		if p := c.message("a"); !p.Dup {
			t.Error("the copy has no DUP")
		} else {
			c.puback(p.ID)
		}
		old.expectEnd()
		c.quiet()
		f.wantQueued("at the end", 0)
	})
}
