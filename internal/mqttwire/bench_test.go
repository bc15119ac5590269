package mqttwire_test

import (
	"fmt"
	"testing"

	"github.com/hubward/hubward/internal/mqttwire"
)

func BenchmarkParsePublish(b *testing.B) {
	for _, size := range []int{16, 256, 4096} {
		b.Run(fmt.Sprintf("body=%d", size), func(b *testing.B) {
			wire, err := mqttwire.AppendPublish(nil, &mqttwire.PublishPacket{
				QoS: 1, ID: 7, Topic: []byte("devices/d1/messages/events/"), Payload: make([]byte, size)})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(wire)))
			for b.Loop() {
				h, n, _ := mqttwire.ParseHeader(wire)
				if _, err := mqttwire.ParsePublish(h.Flags, wire[n:n+h.Length]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendPublish(b *testing.B) {
	p := mqttwire.PublishPacket{QoS: 1, ID: 7, Topic: []byte("devices/d1/messages/events/"), Payload: make([]byte, 256)}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if dst, err = mqttwire.AppendPublish(dst[:0], &p); err != nil {
			b.Fatal(err)
		}
	}
}
