package mqttfront_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/mqttfront"
	"github.com/hubward/hubward/internal/mqttwire"
)

func publishPacket(t testing.TB, size int) []byte {
	t.Helper()
	b, err := mqttwire.AppendPublish(nil, &mqttwire.PublishPacket{QoS: 1, ID: 7, Topic: []byte("devices/d1/messages/events/"), Payload: bytes.Repeat([]byte{'x'}, size)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPacketReader_anyChunking(t *testing.T) {
	sizes := []int{0, 1, 256, 400, 481, 482, 483, 484, 485, 511, 512, 513, 4000, 4096, 5000, 16384, 70_000, hubward.MaxMessageSize, 3}
	var stream []byte
	for _, n := range sizes {
		stream = append(stream, publishPacket(t, n)...)
	}
	chunkings := map[string]io.Reader{
		"at once":      bytes.NewReader(stream),
		"byte by byte": iotest.OneByteReader(bytes.NewReader(stream)),
		"halves":       iotest.HalfReader(bytes.NewReader(stream)),
		"data and EOF": iotest.DataErrReader(bytes.NewReader(stream)),
	}
	for name, src := range chunkings {
		t.Run(name, func(t *testing.T) {
			r := mqttfront.NewPacketReader(src)
			for i, size := range sizes {
				h, body, err := r.Next(mqttfront.MaxPacket)
				if err != nil {
					t.Fatalf("packet %d: %v", i, err)
				}
				p, err := mqttwire.ParsePublish(h.Flags, body)
				if err != nil || len(p.Payload) != size || bytes.Count(p.Payload, []byte{'x'}) != size {
					t.Fatalf("packet %d: %d bytes, want %d; %v", i, len(p.Payload), size, err)
				}
			}
			if _, _, err := r.Next(mqttfront.MaxPacket); err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
		})
	}
}

func TestPacketReader_limit(t *testing.T) {
	packet := publishPacket(t, 1000)
	length := len(packet) - 3
	if _, _, err := mqttfront.NewPacketReader(bytes.NewReader(packet)).Next(length); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	_, _, err := mqttfront.NewPacketReader(bytes.NewReader(packet)).Next(length - 1)
	if hubward.CodeOf(err) != hubward.CodeMessageTooLarge {
		t.Errorf("one above the limit: %v", err)
	}
}

// A header that announces a large packet must not cost a large buffer before the bytes come.
func TestPacketReader_memoryFollowsWhatArrives(t *testing.T) {
	pr, pw := io.Pipe()
	r := mqttfront.NewPacketReader(pr)
	go func() {
		pw.Write(publishPacket(t, 200_000)[:100])
		pw.CloseWithError(io.ErrClosedPipe)
	}()
	if _, _, err := r.Next(mqttfront.MaxPacket); !errors.Is(err, io.ErrClosedPipe) {
		t.Fatal(err)
	}
	if r.Borrowed() {
		t.Error("a hundred bytes made it borrow a buffer")
	}
}

func TestPacketReader_givesBuffersBackWhenIdle(t *testing.T) {
	pr, pw := io.Pipe()
	r := mqttfront.NewPacketReader(pr)
	write := func(size int) {
		go pw.Write(publishPacket(t, size))
		if _, _, err := r.Next(mqttfront.MaxPacket); err != nil {
			t.Fatal(err)
		}
	}
	write(100_000)
	write(10) // the next wait for bytes happened with a small buffer again
	if r.Borrowed() {
		t.Error("a borrowed buffer is held while waiting")
	}
}

func TestPacketReader_cutPacket(t *testing.T) {
	packet := publishPacket(t, 100)
	_, _, err := mqttfront.NewPacketReader(bytes.NewReader(packet[:50])).Next(mqttfront.MaxPacket)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}
