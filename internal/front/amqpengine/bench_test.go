package amqpengine_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
)

// startRaw serves h on TCP and returns a raw peer with a session.
func startRaw(b *testing.B, h amqpengine.Handler) *raw {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := amqpengine.New(h, amqpengine.Options{})
	go s.Serve(l)
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		nc.Close()
		s.Shutdown(context.Background())
	})
	p := &raw{b, nc}
	p.begin(0, 1<<31)
	return p
}

// BenchmarkSend is a Run that sends 256 bytes, settled, 100 messages at a time, to a peer that only reads.
func BenchmarkSend(b *testing.B) {
	done := make(chan struct{})
	payload := make([]byte, 256)
	p := startRaw(b, &program{attach: func(l *amqpengine.Link) {
		l.AcceptSender(amqpengine.SenderOptions{Run: func(ctx context.Context, s *amqpengine.Sender) *amqpwire.Error {
			batch := make([]amqpengine.Outgoing, 100)
			for i := range batch {
				batch[i] = amqpengine.Outgoing{Payload: payload, Settled: true}
			}
			for sent := 0; sent < b.N; sent += len(batch) {
				if _, err := s.Send(ctx, batch[:min(len(batch), b.N-sent)]...); err != nil {
					return nil
				}
			}
			close(done)
			<-ctx.Done()
			return nil
		}})
	}})
	p.attach(receiving(0, "a"))
	go io.CopyBuffer(io.Discard, struct{ io.Reader }{p.nc}, make([]byte, 256<<10))
	b.ReportAllocs()
	b.SetBytes(int64(len(payload)))
	b.ResetTimer()
	p.credit(0, 0, 1<<31-1, amqpwire.Flow{IncomingWindow: 1<<31 - 1})
	<-done
}

// BenchmarkReceive takes messages of 256 bytes and accepts each.
func BenchmarkReceive(b *testing.B) {
	done := make(chan struct{})
	n := 0
	p := startRaw(b, &program{attach: func(l *amqpengine.Link) {
		l.AcceptReceiver(amqpengine.ReceiverOptions{Deliver: func(d *amqpengine.Delivery) {
			accept(d)
			if n++; n == b.N {
				close(done)
			}
		}})
	}})
	p.attach(sending(0, "a"))
	go io.Copy(io.Discard, p.nc)
	frame := encode(0, transfer(0, 0x01020304), make([]byte, 256)...)
	at := bytes.Index(frame, []byte{1, 2, 3, 4}) // the delivery-id
	const perWrite = 100
	b.ReportAllocs()
	b.SetBytes(256)
	b.ResetTimer()
	var out []byte
	for sent := 0; sent < b.N; {
		out = out[:0]
		for range min(perWrite, b.N-sent) {
			binary.BigEndian.PutUint32(frame[at:], uint32(sent))
			out = append(out, frame...)
			sent++
		}
		if _, err := p.nc.Write(out); err != nil {
			b.Fatal(err)
		}
	}
	<-done
}
