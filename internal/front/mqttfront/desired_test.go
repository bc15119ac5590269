package mqttfront_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/twindoc"
	"github.com/hubward/hubward/internal/mqttwire"
)

// changed reads a notification of a change of the desired properties.
func (c *client) changed(version int, patch string) {
	c.t.Helper()
	rest, p := c.publishOf("$iothub/twin/PATCH/properties/desired/?$version=")
	if rest != fmt.Sprint(version) || string(p.Payload) != patch {
		c.t.Errorf("version %s: %s, want %d: %s", rest, p.Payload, version, patch)
	}
}

func (f *fixture) replace(id hubward.Identity, desired string) {
	f.t.Helper()
	if _, err := f.hub.ReplaceTwin(f.t.Context(), f.plant, id, hub.TwinUpdate{Desired: []byte(desired)}, ""); err != nil {
		f.t.Fatal(err)
	}
}

func TestDesired_notifications(t *testing.T) {
	f := newFixture(t)
	for id, p := range f.bothLogins() {
		c := f.connected(p)
		f.update(id, `{"early":1}`) // nobody follows
		c.ping()
		c.subscribe(1, desiredFilter) // they come at QoS 0, whatever the filter's
		f.update(id, `{"b":{"c":1.50},"a":"x"}`)
		c.changed(3, `{"a":"x","b":{"c":1.50},"$version":3}`)
		f.update(id, `{"a":null}`)
		c.changed(4, `{"a":null,"$version":4}`)
		f.update(id, `{"b":{"c":1.50}}`) // the same once more
		c.changed(5, `{"b":{"c":1.50},"$version":5}`)
		f.replace(id, `{"new":true}`)
		c.changed(6, `{"b":null,"early":null,"new":true,"$version":6}`)
		c.unsubscribe(desiredFilter)
		f.update(id, `{"x":1}`)
		c.ping()
	}
}

func TestDesired_filters(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		p := login(t, f.createDevice("d1"))
		p.CleanSession = true
		version := 1
		for filter, want := range map[string]bool{
			desiredFilter: true, "$iothub/twin/PATCH/properties/desired/+": true, "$iothub/twin/PATCH/#": true, "$iothub/#": true, "$iothub/+/PATCH/+/+/#": true,
			"#": false, "$iothub/twin/res/#": false, "$iothub/twin/PATCH/properties/desired": false, "$iothub/twin/PATCH/properties/desired/": false,
			"$iothub/twin/PATCH/properties/desired/?$version=2": false, "$iothub/methods/#": false,
		} {
			c := f.connected(p)
			c.subscribe(0, filter)
			f.update(d1, `{"a":1}`)
			version++
			if want {
				c.changed(version, fmt.Sprintf(`{"a":1,"$version":%d}`, version))
			}
			c.quiet()
		}
	})
}

// However many filters cover them, changes come once, and as long as one filter does.
func TestDesired_filtersThatOverlap(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		c := f.connected(login(t, f.createDevice("d1")))
		c.subscribe(0, "$iothub/#")
		c.subscribe(1, desiredFilter)
		f.update(d1, `{"a":1}`)
		c.changed(2, `{"a":1,"$version":2}`)
		c.unsubscribe("$iothub/#")
		f.update(d1, `{"a":2}`)
		c.changed(3, `{"a":2,"$version":3}`)
		c.quiet()
		c.unsubscribe(desiredFilter)
		f.update(d1, `{"a":3}`)
		c.quiet()
		c.subscribe(1, desiredFilter) // what it missed meanwhile
		c.changed(4, `{"a":3,"$version":4}`)
		c.quiet()
	})
}

// Python and Java never subscribe again: the stored subscription is enough, also after a restart of the hub. What has changed
// meanwhile, the device finds in its twin.
func TestDesired_afterReconnect(t *testing.T) {
	f := newFixture(t)
	for id, p := range f.bothLogins() {
		c := f.connected(p)
		c.subscribe(1, desiredFilter)
		c.subscribe(1, answerFilter)
		version := 1
		for _, restart := range []bool{false, true} {
			c.send(mqttwire.AppendDisconnect(nil), nil)
			c.expectEnd()
			f.update(id, `{"offline":1}`)
			version++
			if restart {
				f.restart()
			}
			c = f.dial()
			if !c.connect(p) {
				t.Error("the session was not kept")
			}
			f.update(id, `{"online":1}`)
			version++
			c.changed(version, fmt.Sprintf(`{"online":1,"$version":%d}`, version))
			c.publish(1, 1, getTopic+"g", " ")
			c.expectPuback(1)
			want := fmt.Sprintf(`{"desired":{"offline":1,"online":1,"$version":%d},"reported":{"$version":1}}`, version)
			if got := c.answer("200/?$rid=g"); got != want {
				t.Errorf("%s: %s", id, got)
			}
		}
		c.send(mqttwire.AppendDisconnect(nil), nil)
		c.expectEnd()
		clean := *p
		clean.CleanSession = true
		c = f.connected(&clean)
		f.update(id, `{"online":2}`)
		c.ping()
	}
}

// changingStore changes the desired properties of d1 whenever they have been read.
type changingStore struct {
	hub.Store
	change func()
	mu     sync.Mutex
	left   int // how often
}

func (s *changingStore) DesiredProperties(ctx context.Context, name string, id hubward.Identity) (twindoc.Section, []hub.DesiredChange, error) {
	section, changes, err := s.Store.DesiredProperties(ctx, name, id)
	s.mu.Lock()
	change := s.left > 0
	if change {
		s.left--
	}
	s.mu.Unlock()
	if change {
		s.change()
	}
	return section, changes, err
}

// No change is missed from CONNACK on, or from SUBACK.
func TestDesired_sinceTheAnswer(t *testing.T) {
	store := &changingStore{}
	f := newFixtureOver(t, func(l hub.EventLog) hub.EventLog { return l }, func(s hub.Store) hub.Store {
		store.Store = s
		return store
	})
	store.change = func() { f.update(d1, `{"a":1}`) }
	p := login(t, f.createDevice("d1"))
	version := 1
	c := f.connected(p)
	for range 20 {
		store.mu.Lock()
		store.left = 1
		store.mu.Unlock()
		c.subscribe(1, desiredFilter)
		version++
		c.changed(version, fmt.Sprintf(`{"a":1,"$version":%d}`, version))
		c.nc.Close()

		store.mu.Lock()
		store.left = 1
		store.mu.Unlock()
		c = f.dial()
		if !c.connect(p) {
			t.Fatal("the session was not kept")
		}
		version++
		c.changed(version, fmt.Sprintf(`{"a":1,"$version":%d}`, version))
		c.ping() // by its answer the hub knows that the change was sent, which would come again otherwise
		c.unsubscribe(desiredFilter)
	}
}

// Nothing is lost between a get and the subscription: the C SDK subscribes once it has its twin.
func TestDesired_sinceTheGet(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	c.subscribe(0, answerFilter)
	c.publish(0, 0, getTopic+"1", "")
	c.answer("200/?$rid=1")
	f.update(d1, `{"a":1}`)
	f.update(d1, `{"b":1}`)
	c.subscribe(0, desiredFilter)
	c.changed(2, `{"a":1,"$version":2}`)
	c.changed(3, `{"b":1,"$version":3}`)
	c.ping()
}

// Two connections get their own changes, each in order.
func TestDesired_twoConnections(t *testing.T) {
	f := newFixture(t)
	clients := map[hubward.Identity]*client{}
	for id, p := range f.bothLogins() {
		clients[id] = f.connected(p)
		clients[id].subscribe(1, desiredFilter)
	}
	var writers sync.WaitGroup
	for id := range clients {
		writers.Go(func() {
			for i := range 10 { // of which the store keeps all
				f.update(id, fmt.Sprintf(`{"%s":%d}`, id.Module, i))
			}
		})
	}
	var readers sync.WaitGroup
	for id, c := range clients {
		readers.Go(func() {
			for i := range 10 {
				c.changed(i+2, fmt.Sprintf(`{"%s":%d,"$version":%d}`, id.Module, i, i+2))
			}
		})
	}
	writers.Wait()
	readers.Wait()
}

// A device that does not read costs one notification, however many changes there are. When it reads, it ends with the document.
func TestDesired_clientThatReadsLate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		c := f.connected(login(t, f.createDevice("d1")))
		c.subscribe(1, desiredFilter)
		const n = 200
		for i := range n {
			f.update(d1, fmt.Sprintf(`{"n":%d,"fill":"%s"}`, i, strings.Repeat("x", 4000)))
			synctest.Wait()
		}
		got, last := 0, 0
		for version := 0; version != n+1; got++ {
			rest, p := c.publishOf("$iothub/twin/PATCH/properties/desired/?$version=")
			var patch struct {
				N       int `json:"n"`
				Version int `json:"$version"`
			}
			if err := json.Unmarshal(p.Payload, &patch); err != nil || fmt.Sprint(patch.Version) != rest || patch.Version <= version {
				t.Fatalf("version %s after %d: %s, %v", rest, version, p.Payload, err)
			}
			version, last = patch.Version, patch.N
		}
		if last != n-1 || got > 20 {
			t.Errorf("it ends with %d after %d notifications", last, got)
		}
	})
}
