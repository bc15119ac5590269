package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
)

// Who follows gets each change as it was made, in order, whatever it does to the document.
func TestFollowDesired_everyChange(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		conn := c.connect(c.other(), c.device("d1"))
		c.desire(`{"before":1}`)
		d := c.follow(conn)
		if err := conn.FollowDesired(t.Context()); err != nil {
			t.Error(err)
		}
		d.want(t, "on subscription")
		c.desire(`{"b":{"x":1,"y":2},"a":1.0}`)
		c.desire(`{"b":{"x":null}}`)
		c.desire(`{}`)
		c.desire(`{"a":1.0}`)
		if _, err := c.nodes[0].UpdateTwin(t.Context(), "plant", "d1", write(`{"tag":1}`, ""), ""); err != nil {
			t.Fatal(err)
		}
		if _, err := c.nodes[0].ReplaceTwin(t.Context(), "plant", "d1", write("", `{"b":{"z":3}}`), ""); err != nil {
			t.Fatal(err)
		}
		c.desire(`null`)
		c.desire(`null`)
		c.desire(`{"again":true}`)
		d.want(t, "changes",
			`{"a":1.0,"b":{"x":1,"y":2},"$version":3}`, `{"b":{"x":null},"$version":4}`, `{"a":1.0,"$version":5}`,
			`{"a":null,"b":{"y":null,"z":3},"before":null,"$version":6}`, `{"b":null,"$version":7}`, `{"again":true,"$version":9}`)
	})
}

// Nothing is kept for who is not connected, does not follow, or does so no more; who follows again on a link gets what came
// in between.
func TestFollowDesired_onlyWhoFollows(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		device := c.device("d1")
		c.desire(`{"v":2}`)
		conn := c.connect(c.other(), device)
		d := conn.listen()
		c.desire(`{"v":3}`)
		d.want(t, "without following")
		d = c.follow(conn)
		c.desire(`{"v":4}`)
		d.want(t, "following", `{"v":4,"$version":4}`)
		conn.UnfollowDesired()
		conn.UnfollowDesired()
		c.desire(`{"v":5}`)
		d.want(t, "after the end")
		d = c.follow(conn)
		d.want(t, "following again", `{"v":5,"$version":5}`)
		conn.Disconnect()
		c.desire(`{"v":6}`)
		d.want(t, "after the connection")
		wantCode(t, "following", conn.FollowDesired(t.Context()), hubward.CodeServiceUnavailable)
		again := c.connect(0, device)
		d = c.follow(again)
		d.want(t, "the next connection")
		c.desire(`{"v":7}`)
		d.want(t, "the next connection", `{"v":7,"$version":7}`)
	})
}

// Between the answer to a GET and a subscription, in whichever order they come, nothing is lost.
func TestFollowDesired_andGet(t *testing.T) {
	change := func(c *crew, hook func(f *func())) {
		var once sync.Once
		f := func() { once.Do(func() { c.desire(`{"between":1}`) }) }
		hook(&f)
	}
	for name, test := range map[string]func(t *testing.T, c *crew, conn connection) *told{
		"get, change, follow": func(t *testing.T, c *crew, conn connection) *told {
			c.mustGet(conn, `{"desired":{"$version":1},"reported":{"$version":1}}`)
			c.desire(`{"between":1}`)
			return c.follow(conn)
		},
		"change while the twin is read": func(t *testing.T, c *crew, conn connection) *told {
			change(c, func(f *func()) { c.hooks.twin.Store(f) })
			c.mustGet(conn, `{"desired":{"$version":1},"reported":{"$version":1}}`)
			return c.follow(conn)
		},
		"change while following begins": func(t *testing.T, c *crew, conn connection) *told {
			c.mustGet(conn, `{"desired":{"$version":1},"reported":{"$version":1}}`)
			change(c, func(f *func()) { c.hooks.desired.Store(f) })
			return c.follow(conn)
		},
		"change while following begins, without a get": func(t *testing.T, c *crew, conn connection) *told {
			change(c, func(f *func()) { c.hooks.desired.Store(f) })
			return c.follow(conn)
		},
		"follow, change, get": func(t *testing.T, c *crew, conn connection) *told {
			d := c.follow(conn)
			c.desire(`{"between":1}`)
			c.mustGet(conn, `{"desired":{"between":1,"$version":2},"reported":{"$version":1}}`)
			return d
		},
		"get and follow at once": func(t *testing.T, c *crew, conn connection) *told {
			change(c, func(f *func()) { c.hooks.twin.Store(f) })
			got := make(chan string, 1)
			conn.GetTwin(t.Context(), func(document []byte, err error) { got <- string(document) })
			d := c.follow(conn)
			if document := <-got; document != `{"desired":{"$version":1},"reported":{"$version":1}}` {
				t.Errorf("the twin is %s", document)
			}
			return d
		},
	} {
		t.Run(name, func(t *testing.T) {
			onOneAndTwo(t, func(t *testing.T, c *crew) {
				conn := c.connect(c.other(), c.device("d1"))
				d := test(t, c, conn)
				d.want(t, "changes", `{"between":1,"$version":2}`)
				c.desire(`{"later":1}`)
				d.want(t, "later changes", `{"later":1,"$version":3}`)
			})
		})
	}
}

// A session that is slow holds up nothing and costs nothing: it has one change at a time, and catches up from what the store
// remembers.
func TestFollowDesired_slowSession(t *testing.T) {
	for _, test := range []struct {
		name    string
		changes int
		size    int // of each
		last    string
		want    []int64 // versions that come after the first
	}{
		{"as many as are remembered", 17, 1, "", []int64{3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}},
		{"one more", 18, 1, "", []int64{20}},
		{"as much as is remembered", 3, 4 << 10, "", []int64{3, 4, 5}},
		{"more than that", 4, 4 << 10, "", []int64{6}},
		{"a long way to nothing", 30, 1, "null", []int64{33}},
		{"nothing, a short way", 2, 1, "null", []int64{3, 4, 5}},
	} {
		t.Run(test.name, func(t *testing.T) {
			onOneAndTwo(t, func(t *testing.T, c *crew) {
				conn := c.connect(c.other(), c.device("d1"))
				d := c.follow(conn)
				d.hold(true)
				c.desire(`{"first":true}`)
				d.want(t, "the first", `{"first":true,"$version":2}`)
				for i := range test.changes {
					c.desire(fmt.Sprintf(`{"n%d":"%s"}`, i%5, strings.Repeat("x", min(test.size, 4000))))
				}
				if test.last != "" {
					c.desire(test.last)
				}
				d.want(t, "while the first is being sent")
				d.hold(false)
				synctest.Wait()
				var versions []int64
				for _, change := range d.changes {
					versions = append(versions, change.Version)
				}
				if diff := cmp.Diff(test.want, versions); diff != "" {
					t.Error(diff)
				}
				if got := d.take(); len(test.want) == 1 && test.last == "" {
					twin, err := conn.get(t.Context())
					if !strings.HasPrefix(twin, `{"desired":`+got[0]+`,"reported"`) || err != nil {
						t.Errorf("it was told of %.100s, and the twin is %.100s, %v", got[0], twin, err)
					}
				}
				c.desire(`{"later":1}`)
				if got := d.take(); len(got) != 1 || !strings.HasPrefix(got[0], `{"later":1,`) {
					t.Errorf("later: %s", got)
				}
			})
		})
	}
}

// The one change that brings all desired properties has null for what the remembered changes have removed, at any depth. What was
// removed before that is not in it, and not in the twin.
func TestFollowDesired_removedMeanwhile(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		conn := c.connect(c.other(), c.device("d1"))
		d := c.follow(conn)
		d.hold(true)
		c.desire(`{"early":1,"late":1,"part":{"stays":1,"goes":1}}`)
		d.want(t, "the first", `{"early":1,"late":1,"part":{"goes":1,"stays":1},"$version":2}`)
		c.desire(`{"early":null}`)
		for i := range 16 {
			c.desire(fmt.Sprintf(`{"n":%d}`, i))
		}
		c.desire(`{"late":null,"part":{"goes":null}}`)
		d.hold(false)
		d.want(t, "all in one", `{"late":null,"n":15,"part":{"goes":null,"stays":1},"$version":20}`)
		c.mustGet(conn, `{"desired":{"n":15,"part":{"stays":1},"$version":20},"reported":{"$version":1}}`)
	})
}

// What was handed to a session and never sent comes again when it follows anew: it may have ended with the link that was to
// carry it.
func TestFollowDesired_anewAfterAnUnsentChange(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		conn := c.connect(c.other(), c.device("d1"))
		d := c.follow(conn)
		c.desire(`{"a":1}`)
		d.want(t, "the first", `{"a":1,"$version":2}`)
		d.hold(true)
		c.desire(`{"b":2}`)
		d.want(t, "the one that is never sent", `{"b":2,"$version":3}`)
		conn.UnfollowDesired()
		c.follow(conn).want(t, "anew", `{"b":2,"$version":3}`)
	})
}

// A store in trouble is asked again.
func TestFollowDesired_storeFails(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		conn := c.connect(c.other(), c.device("d1"))
		c.hooks.desiredFails.Store(once())
		if err := conn.FollowDesired(t.Context()); err == nil {
			t.Error("following began without a look at the store")
		}
		d := c.follow(conn)
		c.hooks.desiredFails.Store(once())
		c.desire(`{"a":1}`)
		d.want(t, "at once")
		time.Sleep(time.Second)
		d.want(t, "after a second", `{"a":1,"$version":2}`)
	})
}

// A node that cannot be told costs the writer no error; it is told later, or the next change brings what was missed.
func TestFollowDesired_nodeIsNotTold(t *testing.T) {
	inCrew(t, 2, func(t *testing.T, c *crew) {
		d := c.follow(c.connect(1, c.device("d1")))
		failing := func(subject string) error {
			if subject == "desired" {
				return errors.New("the network is down")
			}
			return nil
		}
		c.nodes[0].hooks.call.Store(&failing)
		c.desire(`{"a":1}`)
		time.Sleep(time.Minute)
		d.want(t, "untold")
		c.nodes[0].hooks.call.Store(nil)
		c.desire(`{"b":2}`)
		d.want(t, "the next change", `{"a":1,"$version":2}`, `{"b":2,"$version":3}`)
		c.nodes[0].hooks.call.Store(&failing)
		c.desire(`{"c":3}`)
		d.want(t, "untold")
		c.nodes[0].hooks.call.Store(nil)
		time.Sleep(time.Second)
		d.want(t, "told later", `{"c":3,"$version":4}`)
	})
}

// A caller who leaves does not keep the device from what he has changed.
func TestFollowDesired_callerLeaves(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		d := c.follow(c.connect(c.other(), c.device("d1")))
		ctx, cancel := context.WithCancel(t.Context())
		leave := func(string) error {
			cancel()
			return nil
		}
		c.nodes[0].hooks.call.Store(&leave)
		if _, err := c.nodes[0].UpdateTwin(ctx, "plant", "d1", write("", `{"a":1}`), ""); err != nil {
			t.Fatal(err)
		}
		d.want(t, "change", `{"a":1,"$version":2}`)
	})
}

// A merging copy of the desired properties of a device that connects again and again, here and there, while back ends write on
// all nodes, is never out of order, and is theirs in the end.
func TestFollowDesired_reconnectsUnderWrites(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		device := c.device("d1")
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() {
				for i := range 40 {
					patch := fmt.Sprintf(`{"w%d":%d}`, w, i)
					if _, err := c.nodes[w%len(c.nodes)].UpdateTwin(t.Context(), "plant", "d1", write("", patch), ""); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		var last connection
		var d *told
		for i := range 20 {
			last = c.connect(i%len(c.nodes), device)
			if i%2 == 0 {
				if _, err := last.get(t.Context()); err != nil {
					t.Error(err)
				}
			}
			d = last.listen()
			if err := last.FollowDesired(t.Context()); err != nil {
				t.Error(err)
			}
			time.Sleep(2 * time.Millisecond)
			checkOrder(t, d)
		}
		mine, err := last.get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		writers.Wait()
		synctest.Wait()
		checkOrder(t, d)
		var copied struct{ Desired map[string]any }
		if err := json.Unmarshal([]byte(mine), &copied); err != nil {
			t.Fatal(err)
		}
		for _, change := range d.changes {
			mergeInto(t, copied.Desired, change.Patch)
		}
		want := map[string]any{"w0": 39.0, "w1": 39.0, "w2": 39.0, "w3": 39.0, "$version": 161.0}
		if diff := cmp.Diff(want, copied.Desired); diff != "" {
			t.Error(diff)
		}
	})
}

func checkOrder(t *testing.T, d *told) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := 1; i < len(d.changes); i++ {
		if d.changes[i].Version <= d.changes[i-1].Version {
			t.Errorf("version %d comes behind %d", d.changes[i].Version, d.changes[i-1].Version)
		}
	}
}

// mergeInto is what a device does with a notification that it has not seen yet: RFC 7396.
func mergeInto(t *testing.T, document map[string]any, patch []byte) {
	t.Helper()
	var p map[string]any
	if err := json.Unmarshal(patch, &p); err != nil {
		t.Fatal(err)
	}
	if p["$version"].(float64) > document["$version"].(float64) {
		mergePatch(document, p)
	}
}

func mergePatch(document, patch map[string]any) {
	for name, value := range patch {
		inner, isObject := value.(map[string]any)
		switch {
		case value == nil:
			delete(document, name)
		case isObject:
			old, wasObject := document[name].(map[string]any)
			if !wasObject {
				old = map[string]any{}
			}
			mergePatch(old, inner)
			document[name] = old
		default:
			document[name] = value
		}
	}
}
