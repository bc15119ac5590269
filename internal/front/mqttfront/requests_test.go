package mqttfront_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/mqttwire"
)

// heldStore is a store that carries out no patch while it is held, and none when it fails.
type heldStore struct {
	hub.Store
	mu   sync.Mutex
	open chan struct{} // nil: it is not held
	err  error
}

func (s *heldStore) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = make(chan struct{})
}

func (s *heldStore) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.open)
	s.open = nil
}

func (s *heldStore) Twin(ctx context.Context, name string, id hubward.Identity) (*hub.Registration, error) {
	s.mu.Lock()
	open := s.open
	s.mu.Unlock()
	if open != nil {
		<-open
	}
	return s.Store.Twin(ctx, name, id)
}

func (s *heldStore) EditReported(ctx context.Context, name string, edits []*hub.ReportedEdit, done func(err error)) {
	s.mu.Lock()
	open, err := s.open, s.err
	s.mu.Unlock()
	go func() {
		if open != nil {
			<-open
		}
		if err != nil {
			done(err)
			return
		}
		s.Store.EditReported(ctx, name, edits, done)
	}()
}

// heldLog is a log that confirms nothing while it is held.
type heldLog struct {
	hub.EventLog
	mu   sync.Mutex
	held bool
	late []func()
}

func (l *heldLog) hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = true
}

func (l *heldLog) release() {
	l.mu.Lock()
	late := l.late
	l.held, l.late = false, nil
	l.mu.Unlock()
	for _, done := range late {
		done()
	}
}

func (l *heldLog) Producer(p hub.Partition, done func(n int, err error)) hub.Producer {
	return l.EventLog.Producer(p, func(n int, err error) {
		l.mu.Lock()
		held := l.held
		if held {
			l.late = append(l.late, func() { done(n, err) })
		}
		l.mu.Unlock()
		if !held {
			done(n, err)
		}
	})
}

// inHeldBubble runs a test with a clock that jumps over waits, and store and log that can be held.
func inHeldBubble(t *testing.T, test func(t *testing.T, f *fixture, store *heldStore, log *heldLog, p *mqttwire.ConnectPacket)) {
	t.Helper()
	inBubble(t, func(t *testing.T) {
		store, log := &heldStore{}, &heldLog{}
		f := newFixtureOver(t,
			func(l hub.EventLog) hub.EventLog { log.EventLog = l; return log },
			func(s hub.Store) hub.Store { store.Store = s; return store },
		)
		test(t, f, store, log, login(t, f.createDevice("d1")))
	})
}

// PUBACKs leave in the order of their PUBLISHes [MQTT-4.6.0-2], whatever is durable first: the C# SDK ends a connection on
// which they do not.
func TestPubacks_orderBehindARequest(t *testing.T) {
	inHeldBubble(t, func(t *testing.T, f *fixture, store *heldStore, _ *heldLog, p *mqttwire.ConnectPacket) {
		c := f.connected(p)
		store.hold()
		c.publish(1, 1, eventsTopic, "before")
		c.publish(1, 2, reportedTopic+"1", `{"a":1}`)
		c.publish(1, 3, eventsTopic, "between")
		c.publish(1, 4, getTopic+"2", "")
		c.publish(0, 0, eventsTopic, "no PUBACK")
		c.publish(1, 5, "$iothub/methods/res/200/?$rid=1", "")
		c.publish(1, 6, eventsTopic, "behind")
		c.expectPuback(1)
		c.quiet()
		if n := f.stored(); n != 4 {
			t.Errorf("%d messages are stored while a patch waits, want 4", n)
		}
		store.release()
		for id := range uint16(5) {
			c.expectPuback(id + 2)
		}
		c.quiet()
	})
}

func TestPubacks_orderBehindTelemetry(t *testing.T) {
	inHeldBubble(t, func(t *testing.T, f *fixture, _ *heldStore, log *heldLog, p *mqttwire.ConnectPacket) {
		c := f.connected(p)
		c.subscribe(0, answerFilter)
		log.hold()
		c.publish(1, 1, eventsTopic, "before")
		c.publish(1, 2, reportedTopic+"1", `{"a":1}`)
		c.answer("204/?$rid=1&$version=2") // the answer does not wait
		c.publish(1, 3, "$iothub/methods/res/200/?$rid=1", "")
		c.publish(1, 4, eventsTopic, "behind")
		c.quiet()
		log.release()
		for id := range uint16(4) {
			c.expectPuback(id + 1)
		}
		c.quiet()
	})
}

// However often telemetry waits for a request, there is room for more of it behind.
func TestPubacks_waitingLeavesNothingBehind(t *testing.T) {
	inHeldBubble(t, func(t *testing.T, f *fixture, store *heldStore, _ *heldLog, p *mqttwire.ConnectPacket) {
		c := f.connected(p)
		const rounds, n = 30, 300 // 9,000 in all: 8,192 may be under way
		for range rounds {
			store.hold()
			c.publish(1, 1, reportedTopic, `{"a":1}`)
			for i := range n {
				c.publish(1, uint16(i+2), eventsTopic, "x")
			}
			synctest.Wait()
			store.release()
			for i := range n + 1 {
				c.expectPuback(uint16(i + 1))
			}
		}
	})
}

func TestPubacks_orderOfAnyMixture(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	const n = 3000
	go func() {
		for i := range n {
			id := uint16(i + 1)
			switch rand.IntN(8) {
			case 0:
				c.publish(1, id, reportedTopic, fmt.Sprintf(`{"n":%d}`, i))
			case 1:
				c.publish(1, id, getTopic, "")
			case 2:
				c.publish(1, id, "$iothub/methods/res/200/?$rid=1", "")
			case 3:
				c.publish(0, 0, eventsTopic, "")
				c.publish(1, id, reportedTopic, `{`)
			default:
				c.publish(1, id, eventsTopic, "x")
			}
		}
	}()
	for i := range n {
		c.expectPuback(uint16(i + 1))
	}
	c.ping()
}

// A store in trouble is told to who listens. Who does not must not take PUBACK for success; without PUBACK it expects nothing.
func TestTwin_storeInTrouble(t *testing.T) {
	inHeldBubble(t, func(t *testing.T, f *fixture, store *heldStore, _ *heldLog, p *mqttwire.ConnectPacket) {
		store.err = errors.New("disk /dev/sda is full")
		c := f.connected(p)
		c.publish(0, 0, reportedTopic+"1", `{"a":1}`)
		c.quiet()
		c.publish(1, 1, reportedTopic+"2", `{`) // that is its own fault: it is to come no more
		c.expectPuback(1)
		c.publish(1, 1, reportedTopic+"2", `{"a":1}`)
		began := time.Now()
		c.expectEnd()
		if time.Since(began) != 0 {
			t.Error("only its silence has ended the connection")
		}

		c = f.connected(p)
		c.subscribe(0, answerFilter)
		c.publish(1, 1, reportedTopic+"3", `{"a":1}`)
		c.expectPuback(1)
		if message := c.refused("3", hubward.CodeServerError); message != "ServerError" {
			t.Error(message)
		}
		c.quiet()
	})
}

// The same, while the server drains and acknowledges what is on its way.
func TestShutdown_storeInTrouble(t *testing.T) {
	inHeldBubble(t, func(t *testing.T, f *fixture, store *heldStore, _ *heldLog, p *mqttwire.ConnectPacket) {
		c := f.connected(p)
		store.err = errors.New("disk /dev/sda is full")
		store.hold()
		c.publish(1, 1, reportedTopic+"1", `{"a":1}`)
		synctest.Wait()
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			f.stop()
		}()
		synctest.Wait()
		store.release()
		c.expectEnd()
		<-stopped
	})
}

// What a device has asked for before it left is carried out, however close to its end, and before anybody sees it gone.
func TestTwin_updatedJustBeforeTheEnd(t *testing.T) {
	for name, leave := range map[string]func(c *client){
		"DISCONNECT": func(c *client) { c.send(mqttwire.AppendDisconnect(nil), nil); c.expectEnd() },
		"it breaks":  func(c *client) { c.nc.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			inHeldBubble(t, func(t *testing.T, f *fixture, store *heldStore, _ *heldLog, p *mqttwire.ConnectPacket) {
				c := f.connected(p)
				store.hold()
				for i := range 5 {
					c.publish(0, 0, reportedTopic, fmt.Sprintf(`{"n":%d}`, i))
				}
				leave(c)
				synctest.Wait()
				store.release()
				synctest.Wait()
				f.wantReported(d1, `{"n":4}`, 6)
				if f.server.Connections() != 0 {
					t.Error("the connection is there still")
				}
			})
		})
	}
}

// A connection does not outlive its client for long, though the store hangs.
func TestTwin_storeHangsAtTheEnd(t *testing.T) {
	inHeldBubble(t, func(t *testing.T, f *fixture, store *heldStore, _ *heldLog, p *mqttwire.ConnectPacket) {
		c := f.connected(p)
		store.hold()
		c.publish(0, 0, reportedTopic, `{"a":1}`)
		c.nc.Close()
		time.Sleep(9 * time.Second)
		if f.server.Connections() != 1 {
			t.Error("it was given up early")
		}
		time.Sleep(2 * time.Second)
		if f.server.Connections() != 0 {
			t.Error("it is there after 11 seconds")
		}
		store.release()
	})
}

// A server that drains answers what it has read.
func TestShutdown_answersRequests(t *testing.T) {
	inHeldBubble(t, func(t *testing.T, f *fixture, store *heldStore, _ *heldLog, p *mqttwire.ConnectPacket) {
		c := f.connected(p)
		c.subscribe(0, answerFilter)
		c.subscribe(0, methodFilter)
		store.hold()
		c.publish(1, 1, reportedTopic+"1", `{"a":1}`)
		c.publish(1, 2, eventsTopic, "behind")
		synctest.Wait()
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			f.stop()
		}()
		synctest.Wait()
		f.wantCode(f.invoke(d1, hubward.MethodCall{Name: "reboot"}), hubward.CodeDeviceNotOnline)
		store.release()
		c.expectPuback(1)
		c.expectPuback(2)
		c.answer("204/?$rid=1&$version=2")
		c.expectEnd()
		<-stopped
	})
}

// A client that asks faster than the hub answers is read no more, nor is one that leaves its answers unread: that one is closed.
func TestTwin_backPressure(t *testing.T) {
	for name, r := range map[string]struct {
		hold  bool
		topic string
		patch string
		most  int
	}{
		"patches wait": {true, reportedTopic + "1", `{"a":"` + strings.Repeat("x", 4000) + `"}`, 64 + 16}, // and what is in the reader's buffer
		// Up to twice 64 KiB of answers, and those to the 64 requests that the hub is carrying out.
		"answers wait": {false, reportedTopic + "1", `{"a":` + strings.Repeat("x", 4000), 128<<10/240 + 64 + 16},
		"reads wait":   {true, getTopic + strings.Repeat("x", 10_000), "", 64/8 + 16},
		"twins wait":   {false, getTopic + strings.Repeat("x", 10_000), "", 128/10 + 64 + 16},
	} {
		t.Run(name, func(t *testing.T) {
			inHeldBubble(t, func(t *testing.T, f *fixture, store *heldStore, _ *heldLog, p *mqttwire.ConnectPacket) {
				c := f.connected(p)
				c.subscribe(0, answerFilter)
				if r.hold {
					store.hold()
				}
				packet, err := mqttwire.AppendPublish(nil, &mqttwire.PublishPacket{Topic: []byte(r.topic), Payload: []byte(r.patch)})
				if err != nil {
					t.Fatal(err)
				}
				var sent atomic.Int64
				go func() {
					for err == nil {
						_, err = c.nc.Write(packet)
						sent.Add(1)
					}
				}()
				synctest.Wait()
				if n := int(sent.Load()); n == 0 || n > r.most {
					t.Errorf("%d requests were read", n)
				}
				if r.hold {
					store.release()
				}
				time.Sleep(33 * time.Second)
				if f.server.Connections() != 0 {
					t.Error("the connection is there still")
				}
			})
		})
	}
}
