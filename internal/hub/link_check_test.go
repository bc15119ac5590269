package hub_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
)

// A connection whose node was not told that the device is connected elsewhere ends before long: it does not live on behind the
// newer one, nor, once that has ended, as that of a device that is stored as disconnected.
func TestLinks_whoWasNotToldFindsOut(t *testing.T) {
	inCrew(t, 2, func(t *testing.T, c *crew) {
		d := c.device("d1")
		bystander := c.connect(0, c.device("d2"))
		older := c.connect(0, d)
		time.Sleep(time.Second)
		cut := func(subject string) error {
			if subject == "close" {
				return errors.New("no route to node 0")
			}
			return nil
		}
		c.nodes[1].hooks.call.Store(&cut)
		newer := c.connect(1, d)
		newer.Disconnect()
		synctest.Wait()
		if err := older.session.closed(); err != nil {
			t.Fatalf("it was told: %v", err)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if older.session.closed() == nil {
			t.Fatal("the older connection lives on, though the device is stored as disconnected")
		}
		if err := bystander.session.closed(); err != nil {
			t.Errorf("another device's connection was closed: %v", err)
		}
		older.Disconnect()
		c.wantOperations("d1", "createDeviceIdentity", "deviceConnected", "deviceDisconnected", "deviceConnected", "deviceDisconnected")
	})
}

func TestLinks_displacedOnes(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		conn := c.connect(0, c.device("d1"))
		time.Sleep(5 * time.Minute)
		if err := conn.session.closed(); err != nil {
			t.Fatalf("a connection that holds its claim was closed: %v", err)
		}
		// A claim whose maker never learnt that it was made.
		id := hubward.Identity{Device: "d1"}
		if _, _, err := c.nodes[c.other()].cluster.Claim(t.Context(), "plant", id, c.nodes[c.other()].name); err != nil {
			t.Fatal(err)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		wantCode(t, "a displaced connection", conn.session.closed(), hubward.CodeConnectionClosedOnNewOne)
	})
}

func TestLinks_claimIsLost(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		conn := c.connect(0, c.device("d1"))
		claim, err := c.nodes[0].cluster.Owner(t.Context(), "plant", hubward.Identity{Device: "d1"})
		if err != nil || claim == nil {
			t.Fatal(claim, err)
		}
		if ok, err := c.nodes[0].cluster.Release(t.Context(), *claim); !ok || err != nil {
			t.Fatal(ok, err)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		wantCode(t, "a connection without a claim", conn.session.closed(), hubward.CodeServiceUnavailable)
	})
}

// Locks that end together are told together: a node that does not answer does not hold up the others, one after another.
func TestSweep_tellsManyAtATime(t *testing.T) {
	inCrew(t, 2, func(t *testing.T, c *crew) {
		const devices = 40
		for i := range devices {
			d := c.device(fmt.Sprint("d", i))
			c.connect(i%2, d) // one of the nodes does the job, and tells itself without a call
			if err := c.nodes[0].SendC2D(t.Context(), "plant", d.DeviceID, &hubward.Message{}); err != nil {
				t.Fatal(err)
			}
			if m, err := c.nodes[0].TakeC2D(t.Context(), "plant", d.DeviceID, 10*time.Second); err != nil || m == nil {
				t.Fatal(m, err)
			}
		}
		var told atomic.Int32
		hang := func(subject string) error {
			if subject == "c2d.visible" {
				told.Add(1)
				time.Sleep(2 * time.Second)
			}
			return errors.New("no answer")
		}
		c.nodes[0].hooks.call.Store(&hang)
		c.nodes[1].hooks.call.Store(&hang)
		time.Sleep(11 * time.Second)
		if n := told.Load(); n != devices/2 {
			t.Errorf("%d of %d were told within a second", n, devices/2)
		}
	})
}
