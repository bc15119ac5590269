package hub_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// outcomes are what calls of UpdateReported and GetTwin came to, in the order of their done.
type outcomes struct {
	mu   sync.Mutex
	list []string
}

func (o *outcomes) add(text string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		text = hubward.CodeOf(err).String()
		if errors.Is(err, context.Canceled) {
			text = "canceled"
		}
	}
	o.list = append(o.list, text)
}

func (o *outcomes) updated(version int64, err error) { o.add(fmt.Sprint(version), err) }
func (o *outcomes) got(document []byte, err error)   { o.add(string(document), err) }

func (o *outcomes) want(t *testing.T, what string, want ...string) {
	t.Helper()
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	if diff := cmp.Diff(want, o.list); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
	o.list = nil
}

// block has the store wait before it takes reported properties, until release, and counts how often it was called.
func (c *crew) block() (calls *int, release func()) {
	calls = new(int)
	blocked := make(chan struct{})
	wait := func() error {
		*calls++
		<-blocked
		return nil
	}
	c.hooks.editReported.Store(&wait)
	return calls, func() { close(blocked) }
}

func TestUpdateReported(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		conn := c.connect(c.other(), c.device("d1"))
		c.mustGet(conn, `{"desired":{"$version":1},"reported":{"$version":1}}`)
		for _, step := range []struct {
			patch     string
			ifVersion int64
			version   int64
			err       string
			reported  string
		}{
			{patch: `{"fw":{"major":1,"minor":2},"n":1.50}`, version: 2, reported: `{"fw":{"major":1,"minor":2},"n":1.50,"$version":2}`},
			{patch: `{"fw":{"minor":null}}`, version: 3, reported: `{"fw":{"major":1},"n":1.50,"$version":3}`},
			{patch: `{"n":1.50}`, version: 4, reported: `{"fw":{"major":1},"n":1.50,"$version":4}`},
			{patch: `{}`, version: 4},
			{patch: `{"$version":9}`, version: 4},
			{patch: `{"$version":4,"n":null}`, version: 5, reported: `{"fw":{"major":1},"$version":5}`},
			{patch: `{"a":1}`, ifVersion: 4, err: "PreconditionFailed"},
			{patch: `{}`, ifVersion: 4, err: "PreconditionFailed"},
			{patch: `{}`, ifVersion: 5, version: 5},
			{patch: `{"a":[1,{"b":2}]}`, ifVersion: 5, version: 6, reported: `{"a":[1,{"b":2}],"fw":{"major":1},"$version":6}`},
			{patch: `null`, err: "ArgumentInvalid"},
			{patch: `"text"`, err: "ArgumentInvalid"},
			{patch: `[1]`, err: "ArgumentInvalid"},
			{patch: `{"a":NaN}`, err: "IotHubFormatError"},
			{patch: ``, err: "IotHubFormatError"},
			{patch: `{"a.b":1}`, err: "ArgumentInvalid"},
			{patch: `{"large":"` + strings.Repeat("x", 4097) + `"}`, err: "ArgumentInvalid"},
			{patch: `{"b":true}`, version: 7, reported: `{"a":[1,{"b":2}],"b":true,"fw":{"major":1},"$version":7}`},
		} {
			version, err := conn.report(t.Context(), step.patch, step.ifVersion)
			code := ""
			if err != nil {
				code = hubward.CodeOf(err).String()
			}
			if version != step.version || code != step.err {
				t.Errorf("%.80s: version %d, %v, want %d, %s", step.patch, version, err, step.version, step.err)
			}
			if step.reported != "" {
				c.mustGet(conn, `{"desired":{"$version":1},"reported":`+step.reported+`}`)
			}
		}
		twin, err := c.nodes[0].Twin(t.Context(), "plant", "d1")
		if err != nil {
			t.Fatal(err)
		}
		wantCounters(t, "after reports", twin, "AAAAAAAAAAE= 8 1 7")
		twin, err = c.nodes[0].UpdateTwin(t.Context(), "plant", "d1", write(`{"t":1}`, ""), twin.ETag)
		if err != nil {
			t.Fatal(err)
		}
		wantCounters(t, "after reports and a tag", twin, "AAAAAAAAAAI= 9 1 7")
	})
}

// Requests of one link are carried out in order; patches that wait go to the store together.
func TestUpdateReported_inOrder(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		conn := c.connect(c.other(), c.device("d1"))
		calls, release := c.block()
		var o outcomes
		report := func(patch string) { conn.UpdateReported(t.Context(), []byte(patch), 0, o.updated) }
		report(`{"n":1}`)
		synctest.Wait()
		report(`{"n":2}`)
		report(`{"n":`)
		report(`{"n":3}`)
		conn.GetTwin(t.Context(), o.got)
		conn.GetTwin(t.Context(), o.got)
		report(`{"n":4}`)
		report(`{"n":[null]}`)
		report(`{"n":5}`)
		o.want(t, "while the store is busy")
		release()
		const twin = `{"desired":{"$version":1},"reported":{"n":3,"$version":4}}`
		o.want(t, "then", "2", "3", "IotHubFormatError", "4", twin, twin, "5", "ArgumentInvalid", "6")
		if *calls != 3 {
			t.Errorf("the store was called %d times", *calls)
		}
	})
}

// What fails in the store fails for all that went there together, and nothing else.
func TestUpdateReported_storeFails(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		conn := c.connect(c.other(), c.device("d1"))
		c.hooks.editReported.Store(once())
		_, err := conn.report(t.Context(), `{"n":1}`, 0)
		wantCode(t, "a full disk", err, hubward.CodeServerError)
		if version, err := conn.report(t.Context(), `{"n":1}`, 0); version != 2 || err != nil {
			t.Errorf("then: %d, %v", version, err)
		}
	})
}

// A link has so many requests waiting, and so many bytes; who asks for more waits, until there is room or he leaves.
func TestUpdateReported_bounds(t *testing.T) {
	for name, test := range map[string]struct {
		requests int
		size     int // bytes of each patch
	}{
		"requests": {64, 7}, "bytes": {4, 64 << 10}, "one that is larger than all may be": {1, 300 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			inCrew(t, 1, func(t *testing.T, c *crew) {
				conn := c.connect(0, c.device("d1"))
				_, release := c.block()
				var o outcomes
				conn.UpdateReported(t.Context(), []byte(`{"n":1}`), 0, o.updated)
				synctest.Wait()
				want := []string{"2"}
				for i := range test.requests {
					patch := `{"n":1` + strings.Repeat(" ", test.size-7) + `}`
					conn.UpdateReported(t.Context(), []byte(patch), 0, o.updated) // does not block
					want = append(want, fmt.Sprint(3+i))
				}
				ctx, leave := context.WithCancel(t.Context())
				var left outcomes
				left.ask(func() { conn.UpdateReported(ctx, []byte(`{"left":1}`), 0, left.updated) })
				left.want(t, "without room")
				leave()
				left.want(t, "who has left", "canceled")
				o.ask(func() { conn.UpdateReported(t.Context(), []byte(`{"last":1}`), 0, o.updated) })
				o.want(t, "while the store is busy")
				release()
				o.want(t, "then", append(want, fmt.Sprint(3+test.requests))...)
			})
		})
	}
}

// ask makes a call that may block.
func (o *outcomes) ask(f func()) { go f() }

// When a link ends, by itself or by the hub, what waits is not done, and says so.
func TestUpdateReported_linkEnds(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, c *crew, conn connection){
		"disconnected": func(_ *testing.T, _ *crew, conn connection) { conn.Disconnect() },
		"taken over": func(t *testing.T, c *crew, _ connection) {
			d, err := c.nodes[0].Device(t.Context(), "plant", "d1")
			if err != nil {
				t.Fatal(err)
			}
			c.connect(0, d)
		},
		"deleted and registered anew": func(t *testing.T, c *crew, _ connection) {
			if err := c.nodes[0].DeleteDevice(t.Context(), "plant", "d1", "*"); err != nil {
				t.Fatal(err)
			}
			c.device("d1")
		},
		"disabled": func(t *testing.T, c *crew, _ connection) {
			d := hubward.Device{DeviceID: "d1", Status: hubward.StatusDisabled}
			if _, err := c.nodes[0].PutDevice(t.Context(), "plant", d, "*"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			onOneAndTwo(t, func(t *testing.T, c *crew) {
				conn := c.connect(c.other(), c.device("d1"))
				blocked, reading := make(chan struct{}), make(chan struct{})
				wait := func() {
					close(reading)
					<-blocked
				}
				c.hooks.twin.Store(&wait)
				var o outcomes
				conn.GetTwin(t.Context(), o.got)
				<-reading
				c.hooks.twin.Store(nil)
				conn.UpdateReported(t.Context(), []byte(`{"n":1}`), 0, o.updated)
				conn.GetTwin(t.Context(), o.got)
				end(t, c, conn)
				conn.UpdateReported(t.Context(), []byte(`{"n":2}`), 0, o.updated)
				o.want(t, "after the end", "ServiceUnavailable")
				close(blocked)
				o.want(t, "what waited", `{"desired":{"$version":1},"reported":{"$version":1}}`, "ServiceUnavailable", "ServiceUnavailable")
				conn.Disconnect()
				if twin, err := c.nodes[0].Twin(t.Context(), "plant", "d1"); err != nil || twin.Version != 2 {
					t.Errorf("%+v, %v", twin, err)
				}
			})
		})
	}
}

// Who waits for room when a link ends does not wait on.
func TestUpdateReported_linkEndsForWhoWaits(t *testing.T) {
	inCrew(t, 1, func(t *testing.T, c *crew) {
		conn := c.connect(0, c.device("d1"))
		_, release := c.block()
		var o, late outcomes
		for range 65 {
			conn.UpdateReported(t.Context(), []byte(`{"n":1}`), 0, o.updated)
			synctest.Wait()
		}
		late.ask(func() { conn.UpdateReported(t.Context(), []byte(`{"n":2}`), 0, late.updated) })
		late.want(t, "without room")
		conn.Disconnect()
		late.want(t, "after the end", "ServiceUnavailable")
		release()
	})
}

// A node that has stopped answers.
func TestUpdateReported_nodeStops(t *testing.T) {
	inCrew(t, 1, func(t *testing.T, c *crew) {
		conn := c.connect(0, c.device("d1"))
		c.nodes[0].stop()
		var o outcomes
		conn.GetTwin(t.Context(), o.got)
		conn.UpdateReported(t.Context(), []byte(`{"n":2}`), 0, o.updated)
		o.want(t, "after the end", "ServiceUnavailable", "ServiceUnavailable")
		wantCode(t, "following", conn.FollowDesired(t.Context()), hubward.CodeServiceUnavailable)
	})
}

// A module's twin is its own, over its own connection.
func TestUpdateReported_ofAModule(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d1")
	m, _, err := f.connectModule(f.createModule(hubward.Identity{Device: "d1", Module: "m1"}))
	if err != nil {
		t.Fatal(err)
	}
	device, _, err := f.connect(d)
	if err != nil {
		t.Fatal(err)
	}
	if version, err := (connection{Link: m}).report(t.Context(), `{"of":"the module"}`, 0); version != 2 || err != nil {
		t.Errorf("%d, %v", version, err)
	}
	for who, link := range map[string]*hub.Link{`{"of":"the module","$version":2}`: m, `{"$version":1}`: device} {
		if got, err := (connection{Link: link}).get(t.Context()); got != `{"desired":{"$version":1},"reported":`+who+`}` || err != nil {
			t.Errorf("%s, %v", got, err)
		}
	}
}
