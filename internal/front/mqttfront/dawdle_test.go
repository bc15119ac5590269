package mqttfront_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/mqttwire"
)

// stuckLog is a log whose queue is full, as that of a disk that hangs, from stick to release.
type stuckLog struct {
	hub.EventLog
	mu    sync.Mutex
	stuck chan struct{} // nil: it is not
}

func (l *stuckLog) stick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stuck = make(chan struct{})
}

func (l *stuckLog) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.stuck)
	l.stuck = nil
}

func (l *stuckLog) Producer(p hub.Partition, done func(n int, err error)) hub.Producer {
	return &stuckProducer{l.EventLog.Producer(p, done), l}
}

type stuckProducer struct {
	hub.Producer
	log *stuckLog
}

func (p *stuckProducer) Append(ctx context.Context, data []byte) error {
	p.log.mu.Lock()
	stuck := p.log.stuck
	p.log.mu.Unlock()
	if stuck != nil {
		select {
		case <-stuck:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return p.Producer.Append(ctx, data)
}

// inStuckBubble runs a test with a connected client, whose log is stuck from now on.
func inStuckBubble(t *testing.T, edit func(*mqttwire.ConnectPacket), test func(t *testing.T, f *fixture, log *stuckLog, c *client)) {
	t.Helper()
	inBubble(t, func(t *testing.T) {
		log := &stuckLog{}
		f := newFixtureOn(t, func(l hub.EventLog) hub.EventLog {
			log.EventLog = l
			return log
		})
		p := login(t, f.createDevice("d1")) // keep-alive 60 s
		if edit != nil {
			edit(p)
		}
		c := f.connected(p)
		log.stick()
		test(t, f, log, c)
	})
}

func withWill(p *mqttwire.ConnectPacket) {
	p.Will = &mqttwire.Will{Topic: eventsTopic, Payload: []byte("gone")}
}

// A client that pings in time is not silent because the hub does not read meanwhile.
func TestBackPressure_isNotTheClientsSilence(t *testing.T) {
	inStuckBubble(t, nil, func(t *testing.T, f *fixture, log *stuckLog, c *client) {
		c.publish(1, 1, eventsTopic, "x")
		pinged := make(chan struct{})
		go func() {
			defer close(pinged)
			time.Sleep(50 * time.Second)
			c.send(mqttwire.AppendPingreq(nil), nil) // which nobody reads for now
		}()
		time.Sleep(29 * time.Minute)
		log.release()
		<-pinged
		var got [2]mqttwire.Type
		for i := range got {
			var err error
			if got[i], _, err = c.next(); err != nil {
				t.Fatal(err)
			}
		}
		if slices.Sort(got[:]); got != [2]mqttwire.Type{mqttwire.Puback, mqttwire.Pingresp} {
			t.Errorf("got %v", got)
		}
		began := time.Now() // from now on its silence counts
		c.expectEnd()
		if d := time.Since(began); d < 90*time.Second || d > 93*time.Second {
			t.Errorf("closed after %v of silence, want one and a half keep-alives", d)
		}
	})
}

func TestBackPressure_hasAnEnd(t *testing.T) {
	inStuckBubble(t, nil, func(t *testing.T, _ *fixture, _ *stuckLog, c *client) {
		c.publish(1, 1, eventsTopic, "x")
		began := time.Now()
		c.expectEnd()
		if d := time.Since(began); d < 1767*time.Second || d > 1770*time.Second {
			t.Errorf("closed after %v", d)
		}
	})
}

// A drain ends in time, though a connection's reader waits for room in the log, or its will does.
func TestShutdown_doesNotWaitForAStuckLog(t *testing.T) {
	tests := map[string]func(c *client){
		"a message waits": func(c *client) { c.publish(1, 1, eventsTopic, "x") },
		"a will waits":    func(c *client) { c.nc.Close() },
	}
	for name, before := range tests {
		t.Run(name, func(t *testing.T) {
			inStuckBubble(t, withWill, func(t *testing.T, f *fixture, _ *stuckLog, c *client) {
				before(c)
				synctest.Wait()
				began := time.Now()
				ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
				defer cancel()
				if err := f.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Shutdown: %v", err)
				}
				if d := time.Since(began); d != 3*time.Second || f.server.Connections() != 0 {
					t.Errorf("after %v, %d connections", d, f.server.Connections())
				}
			})
		})
	}
}

func TestWill_doesNotWaitForAStuckLogForEver(t *testing.T) {
	inStuckBubble(t, withWill, func(t *testing.T, f *fixture, _ *stuckLog, c *client) {
		c.nc.Close()
		time.Sleep(9 * time.Second)
		if n := f.server.Connections(); n != 1 {
			t.Errorf("%d connections, and the will is neither stored nor given up", n)
		}
		time.Sleep(2 * time.Second)
		if n := f.server.Connections(); n != 0 {
			t.Errorf("%d connections", n)
		}
	})
}

// clientHello is the first flight of a TLS client.
func clientHello(t *testing.T) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer far.Close()
	go func() {
		defer near.Close()
		tls.Client(near, &tls.Config{ServerName: "localhost", InsecureSkipVerify: true}).Handshake()
	}()
	hello := make([]byte, 4096)
	n, err := far.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	return hello[:n]
}

// A client has thirty seconds to log in, TLS included, at whatever stage it dawdles.
func TestConnect_hasToCome(t *testing.T) {
	connect := func(t *testing.T, f *fixture) []byte {
		t.Helper()
		packet, err := mqttwire.AppendConnect(nil, login(t, f.createDevice("d1")))
		if err != nil {
			t.Fatal(err)
		}
		return packet
	}
	tests := map[string]func(t *testing.T, f *fixture, raw net.Conn, secure *client){
		"says nothing":               func(*testing.T, *fixture, net.Conn, *client) {},
		"half a ClientHello":         func(t *testing.T, _ *fixture, raw net.Conn, _ *client) { raw.Write(clientHello(t)[:100]) },
		"ClientHello, reads nothing": func(t *testing.T, _ *fixture, raw net.Conn, _ *client) { raw.Write(clientHello(t)) },
		"a ClientHello byte by byte": func(t *testing.T, _ *fixture, raw net.Conn, _ *client) {
			trickle(newClient(t, raw), clientHello(t), 1)
		},
		"a handshake": func(t *testing.T, _ *fixture, _ net.Conn, secure *client) { secure.nc.(*tls.Conn).Handshake() },
		"half a CONNECT": func(t *testing.T, f *fixture, _ net.Conn, secure *client) {
			secure.nc.Write(connect(t, f)[:100])
		},
		"CONNECT byte by byte": func(t *testing.T, f *fixture, _ net.Conn, secure *client) {
			trickle(secure, connect(t, f), 1)
		},
	}
	for name, dawdle := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				f := newFixture(t)
				raw, secure := f.pipeTLS()
				synctest.Wait()
				began := time.Now()
				dawdle(t, f, raw, secure)
				for f.server.Connections() > 0 && time.Since(began) < time.Minute {
					time.Sleep(time.Second)
					synctest.Wait()
				}
				if d := time.Since(began); d < 30*time.Second || d > 33*time.Second {
					t.Errorf("it was there for %v", d)
				}
			})
		})
	}
}

// trickle writes b in steps of n bytes a second, and returns when the last one is taken, or none is any more.
func trickle(c *client, b []byte, n int) (taken int) {
	for len(b) > 0 {
		time.Sleep(time.Second)
		w, err := c.nc.Write(b[:min(n, len(b))])
		taken += w
		if err != nil {
			return taken
		}
		b = b[w:]
	}
	return taken
}

// A packet that has begun has to come, at 1 KiB a second from the thirtieth on, whatever size it announces; one on a slow line has
// its time.
func TestPacket_hasToCome(t *testing.T) {
	tests := []struct {
		name   string
		rate   int // bytes a second
		closed bool
	}{{"a byte a second", 1, true}, {"too slowly", 900, true}, {"fast enough", 1100, false}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				f := newFixture(t)
				c := f.connected(login(t, f.createDevice("d1")))
				packet, err := mqttwire.AppendPublish(nil, &mqttwire.PublishPacket{
					QoS: 1, ID: 1, Topic: []byte(eventsTopic), Payload: make([]byte, hubward.MaxMessageSize-1000),
				})
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				taken := make(chan int)
				go func() { taken <- trickle(c, packet, tt.rate) }()
				if !tt.closed {
					c.expectPuback(1)
					<-taken
					return
				}
				c.expectEnd()
				n := <-taken
				allowed := 30*time.Second + time.Duration(n)*time.Second/1024
				if d := time.Since(began); d < allowed || d > allowed+5*time.Second {
					t.Errorf("closed after %v and %d bytes, want %v", d, n, allowed)
				}
			})
		})
	}
}

// A client that reads a byte a second is one that does not read; one on a slow line is not.
func TestWriter_slowClient(t *testing.T) {
	for rate, closed := range map[int]bool{1: true, 2000: false} {
		inC2DBubble(t, func(t *testing.T, f *fixture, d *hubward.Device) {
			if err := f.hub.SendC2D(t.Context(), f.plant, d1, &hubward.Message{Body: make([]byte, 60_000)}); err != nil {
				t.Fatal(err)
			}
			c := f.connected(login(t, d))
			c.subscribe(1, devicebound)
			began, read := time.Now(), 0
			var err error
			for b := make([]byte, rate); err == nil && read < 60_000; {
				time.Sleep(time.Second)
				var n int
				n, err = c.nc.Read(b)
				read += n
			}
			if !closed {
				if err != nil {
					t.Errorf("%d bytes a second: %v after %v", rate, err, time.Since(began))
				}
				return
			}
			if d := time.Since(began); !errors.Is(err, io.EOF) || d > 33*time.Second {
				t.Errorf("%d bytes a second: %v after %v", rate, err, d)
			}
		})
	}
}
