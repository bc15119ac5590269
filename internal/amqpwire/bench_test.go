package amqpwire_test

import (
	"bytes"
	"testing"

	"github.com/hubward/hubward/internal/amqpwire"
)

// telemetry returns a message such as a device sends it.
func telemetry(tb testing.TB) []byte {
	m := amqpwire.Message{
		Properties:            &amqpwire.Properties{MessageID: "m-1", To: "/devices/d1/messages/events", ContentType: "application/json"},
		ApplicationProperties: mapping{{"a", "b"}, {"c", "d"}},
		Data:                  [][]byte{bytes.Repeat([]byte("x"), 256)},
	}
	wire, err := m.Append(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return wire
}

func BenchmarkTransfer_Append(b *testing.B) {
	p := amqpwire.Transfer{Handle: 1, DeliveryID: amqpwire.Some(100_000), DeliveryTag: []byte("0123456789abcdef"),
		MessageFormat: amqpwire.Some(0), Settled: true, ReceiverSettleMode: amqpwire.ReceiverModeUnset}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = p.Append(dst[:0])
	}
}

func BenchmarkTransfer_Decode(b *testing.B) {
	p := amqpwire.Transfer{Handle: 1, DeliveryID: amqpwire.Some(100_000), DeliveryTag: []byte("0123456789abcdef"),
		MessageFormat: amqpwire.Some(0), ReceiverSettleMode: amqpwire.ReceiverModeUnset}
	wire := p.Append(nil)
	var r amqpwire.Reader
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(wire)
		r.Descriptor()
		if err := p.Decode(&r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeMessage(b *testing.B) {
	wire := telemetry(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(wire)))
	for b.Loop() {
		if _, err := amqpwire.DecodeMessage(wire); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMessage_Append(b *testing.B) {
	m, err := amqpwire.DecodeMessage(telemetry(b))
	if err != nil {
		b.Fatal(err)
	}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		if dst, err = m.Append(dst[:0]); err != nil {
			b.Fatal(err)
		}
	}
}
