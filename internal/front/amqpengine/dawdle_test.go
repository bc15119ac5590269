package amqpengine_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
)

// trickle writes b in steps of n bytes a second, until the server takes no more.
func (p *raw) trickle(b []byte, n int) {
	for len(b) > 0 {
		time.Sleep(time.Second)
		w, err := p.nc.Write(b[:min(n, len(b))])
		if err != nil {
			return
		}
		b = b[w:]
	}
}

// A peer has twenty seconds to open, log-in included, at whatever stage it dawdles, also when it reads nothing.
func TestHandshake_dawdlers(t *testing.T) {
	mechanisms := func(p *raw) {
		p.write([]byte(amqpwire.HeaderSASL))
		p.expectHeader(amqpwire.HeaderSASL)
		p.frame()
	}
	init := func() []byte {
		b := amqpwire.BeginFrame(nil, amqpwire.FrameSASL, 0)
		b = (&amqpwire.SASLInit{Mechanism: "PLAIN", InitialResponse: make([]byte, 4000)}).Append(b)
		return amqpwire.EndFrame(b, 0)
	}
	tests := map[string]func(p *raw){
		"reads no mechanisms": func(p *raw) { p.write([]byte(amqpwire.HeaderSASL)) },
		"no sasl-init":        mechanisms,
		"half a sasl-init": func(p *raw) {
			mechanisms(p)
			p.write(init()[:1000])
		},
		"sasl-init byte by byte": func(p *raw) {
			mechanisms(p)
			p.trickle(init(), 1)
		},
		"open byte by byte": func(p *raw) {
			p.write([]byte(amqpwire.HeaderAMQP))
			p.expectHeader(amqpwire.HeaderAMQP)
			p.trickle(encode(0, &amqpwire.Open{ContainerID: "a container whose name takes a while", MaxFrameSize: 512}), 1)
		},
	}
	for name, dawdle := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := amqpengine.New(&program{}, amqpengine.Options{})
				talkTo(t, s, func(p *raw) {
					synctest.Wait()
					wantGone(t, s, 20*time.Second, func() { dawdle(p) })
				})
			})
		})
	}
}

// wantGone checks that the one connection of s, which is there, is cut after d.
func wantGone(t *testing.T, s *amqpengine.Server, d time.Duration, dawdle func()) {
	t.Helper()
	began := time.Now()
	dawdle()
	for len(s.Connections()) > 0 && time.Since(began) < d+time.Minute {
		time.Sleep(time.Second)
		synctest.Wait()
	}
	if took := time.Since(began); took < d || took > d+3*time.Second {
		t.Errorf("it was there for %v", took)
	}
}

func TestHandshake_dawdlersInTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	hello := clientHello(t)
	tests := map[string]func(raw net.Conn, peer *tls.Conn){
		"says nothing":               func(net.Conn, *tls.Conn) {},
		"half a ClientHello":         func(raw net.Conn, _ *tls.Conn) { raw.Write(hello[:100]) },
		"a ClientHello byte by byte": func(nc net.Conn, _ *tls.Conn) { (&raw{nc: nc}).trickle(hello, 1) },
		"reads no ServerHello":       func(raw net.Conn, _ *tls.Conn) { raw.Write(hello) },
		"a handshake":                func(_ net.Conn, peer *tls.Conn) { peer.Handshake() },
		"a header that nobody answers": func(_ net.Conn, peer *tls.Conn) {
			peer.Write([]byte(amqpwire.HeaderAMQP))
		},
	}
	for name, dawdle := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := amqpengine.New(&program{}, amqpengine.Options{})
				near, far := net.Pipe()
				defer near.Close()
				go s.ServeConn(tls.Server(far, config))
				synctest.Wait()
				wantGone(t, s, 20*time.Second, func() { dawdle(near, tls.Client(near, &tls.Config{InsecureSkipVerify: true})) })
				if err := s.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// clientHello is the first flight of a TLS client.
func clientHello(t *testing.T) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer far.Close()
	go func() {
		defer near.Close()
		tls.Client(near, &tls.Config{InsecureSkipVerify: true}).Handshake()
	}()
	hello := make([]byte, 4096)
	n, err := far.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	return hello[:n]
}

// A frame that has begun has to come, whatever its bytes are worth as signs of life; one on a slow line has its time.
func TestFrame_hasToCome(t *testing.T) {
	for rate, closed := range map[int]bool{1: true, 2000: false} {
		h, got := collect(amqpengine.ReceiverOptions{}, accept)
		talk(t, h, amqpengine.Options{}, func(p *raw) {
			p.begin(0, 100)
			p.attach(sending(0, "a"))
			began := time.Now()
			trickled := make(chan struct{})
			go func() {
				defer close(trickled)
				p.trickle(encode(0, transfer(0, 0), make([]byte, 60_000)...), rate)
			}()
			defer func() { <-trickled }()
			if !closed {
				expect[amqpwire.Disposition](p, 0, amqpwire.CodeDisposition)
				if len(*got) != 1 {
					t.Errorf("%d deliveries", len(*got))
				}
				return
			}
			p.expectClose(amqpwire.ConnectionForced)
			if d := time.Since(began); d < 30*time.Second || d > 34*time.Second {
				t.Errorf("after %v", d)
			}
			p.expectEnd()
		})
	}
}

// A delivery that has begun has to come, though heartbeats do.
func TestDelivery_hasToCome(t *testing.T) {
	h, _ := collect(amqpengine.ReceiverOptions{}, accept)
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 100)
		p.attach(sending(0, "a"))
		p.attach(sending(1, "b"))
		more := func(handle, id uint32) *amqpwire.Transfer {
			t := transfer(handle, id)
			t.More = true
			return t
		}
		began := time.Now()
		p.send(0, more(0, 0), make([]byte, 10)...)
		p.send(0, more(1, 1), make([]byte, 50_000)...) // which buy it time
		for range 3 {
			p.expectSilence(9 * time.Second)
			p.write(amqpwire.AppendEmptyFrame(nil))
		}
		d, _ := expect[amqpwire.Detach](p, 0, amqpwire.CodeDetach)
		if took := time.Since(began); d.Handle != 0 || d.Error == nil || took < 30*time.Second || took > 33*time.Second {
			t.Errorf("%+v after %v", d, took)
		}
		p.send(0, transfer(1, 1), 'x') // the other one is complete
		expect[amqpwire.Disposition](p, 0, amqpwire.CodeDisposition)
	})
}

// A peer that reads a byte a second is one that does not read.
func TestWriteTimeout_byteByByte(t *testing.T) {
	ended := make(chan struct{})
	h := flood(1000, true)
	h.closed = func(error) { close(ended) }
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 10000)
		p.attach(receiving(0, "a"))
		p.credit(0, 0, 10000, amqpwire.Flow{IncomingWindow: 10000})
		began := time.Now()
		for b := make([]byte, 1); ; {
			time.Sleep(time.Second)
			if _, err := p.nc.Read(b); err != nil {
				break
			}
		}
		if d := time.Since(began); d < time.Minute || d > 63*time.Second {
			t.Errorf("after %v", d)
		}
	})
}

// A peer whose heartbeats are not read, because the program has no room for what came before them, is not silent.
func TestIdle_busyProgram(t *testing.T) {
	h, _ := collect(amqpengine.ReceiverOptions{}, func(d *amqpengine.Delivery) {
		time.Sleep(29 * time.Minute)
		accept(d)
	})
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 100)
		p.attach(sending(0, "a"))
		p.send(0, transfer(0, 0), 'x')
		go func() {
			time.Sleep(time.Minute)
			p.nc.Write(amqpwire.AppendEmptyFrame(nil))
		}()
		expect[amqpwire.Disposition](p, 0, amqpwire.CodeDisposition)
		began := time.Now()
		p.expectClose(amqpwire.ConnectionForced) // from now on its silence counts
		if d := time.Since(began); d < 6*time.Minute || d > 6*time.Minute+3*time.Second {
			t.Errorf("after %v", d)
		}
	})
}

func TestIdle_busyProgramHasAnEnd(t *testing.T) {
	var link *amqpengine.Link
	h := &program{attach: func(l *amqpengine.Link) {
		link = l
		l.AcceptReceiver(amqpengine.ReceiverOptions{Deliver: func(*amqpengine.Delivery) { <-link.Context().Done() }})
	}}
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 100)
		p.attach(sending(0, "a"))
		p.send(0, transfer(0, 0), 'x')
		began := time.Now()
		p.expectClose(amqpwire.ConnectionForced)
		if d := time.Since(began); d < 30*time.Minute || d > 30*time.Minute+3*time.Second {
			t.Errorf("after %v", d)
		}
	})
}

// A peer that has overrun its credit waits until the program has settled, and that may take its time.
func TestOverrun_waitsForTheProgram(t *testing.T) {
	var held []*amqpengine.Delivery
	h, _ := collect(amqpengine.ReceiverOptions{Credit: 4}, func(d *amqpengine.Delivery) { held = append(held, d) })
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 100)
		p.attach(sending(0, "a"))
		for id := range uint32(2*4 + 64 + 1) {
			p.send(0, transfer(0, id), 'x')
		}
		p.expectSilence(10 * time.Minute)
		for _, d := range held {
			accept(d)
		}
		for f := p.frame(); f.code != amqpwire.CodeDisposition; f = p.frame() {
			if f.code != amqpwire.CodeFlow {
				t.Fatalf("%x", f.whole)
			}
		}
	})
}
