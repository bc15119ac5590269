package mqttfront_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/mqttwire"
	"github.com/hubward/hubward/sas"
)

// inBubble runs a test with a clock that jumps over waits.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func TestKeepAlive_silentClientIsClosed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		c := f.dial()
		c.connect(login(t, f.createDevice("d1"))) // keep-alive 60 s
		start := time.Now()
		time.Sleep(80 * time.Second)
		c.ping()
		c.expectEnd()
		if d := time.Since(start); d < 170*time.Second || d > 175*time.Second {
			t.Errorf("closed after %v, want one and a half keep-alives after the ping at 80 s", d)
		}
	})
}

func TestKeepAlive_shortOnesAreNotCutShort(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		c := f.dial()
		p := login(t, f.createDevice("d1"))
		p.KeepAlive = time.Second
		c.connect(p)
		for range 50 { // at all phases of the server's look
			time.Sleep(1010 * time.Millisecond)
			c.ping()
		}
	})
}

// The server's time-out is capped at IoT Hub's 29.45 minutes, and the cap stands for keep-alive 0.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub.
func TestKeepAlive_isCapped(t *testing.T) {
	for name, keepAlive := range map[string]time.Duration{"none": 0, "longest": 65535 * time.Second} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				f := newFixture(t)
				c := f.dial()
				p := login(t, f.createDevice("d1"))
				p.KeepAlive = keepAlive
				c.connect(p)
				start := time.Now()
				c.expectEnd()
				if d := time.Since(start); d < 1767*time.Second || d > 1772*time.Second {
					t.Errorf("closed after %v", d)
				}
			})
		})
	}
}

func TestToken_expiryClosesAfterTheGrace(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		d := f.createDevice("d1")
		text, err := sas.Sign("localhost/devices/d1", string(d.Authentication.SymmetricKey.PrimaryKey), "", time.Now().Add(10*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		p := login(t, d)
		p.KeepAlive, p.Password = 20*time.Minute, []byte(text)
		c := f.connected(p)
		start := time.Now()
		c.expectEnd()
		if d := time.Since(start); d < 15*time.Minute || d > 15*time.Minute+3*time.Second {
			t.Errorf("closed after %v, want the expiry at 10 min and 5 min of grace", d)
		}
	})
}

func TestConnect_mustComeSoon(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		c := f.dial()
		start := time.Now()
		for _, part := range []byte{0x10, 0x80, 0x80} { // bytes of a header that does not end do not keep it open
			time.Sleep(7 * time.Second)
			c.nc.Write([]byte{part})
		}
		c.expectEnd()
		if d := time.Since(start); d < 30*time.Second || d > 33*time.Second {
			t.Errorf("closed after %v", d)
		}
	})
}

// A client that sends and does not read is closed, and does not keep others from their acknowledgements.
func TestWriter_stuckClient(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		good := f.connected(login(t, f.createDevice("good")))
		for _, id := range []string{"s1", "s2", "s3", "s4", "s5"} { // more than there are writers at rest
			stuck := f.connected(login(t, f.createDevice(id)))
			stuck.publish(1, 1, "devices/"+id+"/messages/events/", "x") // a pipe's writer waits for its reader
		}
		for id := range uint16(20) {
			good.publish(1, id+1, "devices/good/messages/events/", "x")
			good.expectPuback(id + 1)
		}
		if n := f.server.Connections(); n != 6 {
			t.Fatalf("%d connections", n)
		}
		time.Sleep(35 * time.Second)
		synctest.Wait()
		if n := f.server.Connections(); n != 1 {
			t.Errorf("%d connections after the stuck ones had to be closed", n)
		}
	})
}

// Messages that are on their way to the disk are acknowledged before the server goes.
func TestShutdown_acknowledgesWhatItTook(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	var acked int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if got, _, err := c.next(); err != nil {
				return
			} else if got == mqttwire.Puback {
				acked++
			}
		}
	}()
	go func() {
		for id := uint16(1); ; id++ {
			packet, _ := mqttwire.AppendPublish(nil, &mqttwire.PublishPacket{QoS: 1, ID: max(id, 1), Topic: []byte(eventsTopic)})
			if _, err := c.nc.Write(packet); err != nil {
				return
			}
		}
	}()
	for f.stored() < 1000 {
		time.Sleep(time.Millisecond)
	}
	f.stop()
	<-ended
	if stored := f.stored(); acked != stored {
		t.Errorf("%d stored, %d acknowledged", stored, acked)
	}
}

// A message that the hub refuses is not waited for when the server goes.
func TestShutdown_doesNotWaitForWhatWasRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newBareConn(t)
		if err := c.handler("a=%ff")(); hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
			t.Errorf("a bag that is no UTF-8: %v", err)
		}
		start := time.Now()
		c.open.Drain()
		if d := time.Since(start); d != 0 {
			t.Errorf("it waited %v", d)
		}
	})
}
