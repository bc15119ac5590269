package eventcodec_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/hub/eventcodec"
)

func messageRecord(body string) []byte {
	stamps := eventcodec.NewStamps(eventcodec.Origin{
		Identity: hubward.Identity{Device: "d1"}, Generation: "638", AuthMethod: `{"scope":"device"}`, Source: eventcodec.SourceTelemetry,
	})
	return eventcodec.Append(nil, stamps, time.UnixMilli(1000), &hubward.Message{
		MessageID: "m1", Body: []byte(body), Properties: []hubward.Property{{Name: "alert", Value: "true"}},
	})
}

// The three annotations come first, in the types that SDKs assert, and the rest of the record follows as it is.
func TestAppendMessage(t *testing.T) {
	record := messageRecord("hello")
	count, annotations, sections, err := eventcodec.Split(record)
	if err != nil {
		t.Fatal(err)
	}
	for _, sequence := range []int64{0, 127, 128, 72, 1<<53 - 1} {
		b, err := eventcodec.AppendMessage([]byte("before"), record, sequence, time.UnixMilli(1654109018176))
		if err != nil {
			t.Fatal(err)
		}
		rest, ok := strings.CutPrefix(string(b), "before")
		if !ok {
			t.Fatalf("what was in dst is gone: %x", b)
		}
		r := amqpwire.NewReader([]byte(rest))
		if s := r.Section(); s != amqpwire.SectionMessageAnnotations {
			t.Fatalf("section %x", s)
		}
		if n := r.Map(); n != 2*(count+3) {
			t.Errorf("%d keys and values, want %d", n, 2*(count+3))
		}
		want := amqpwire.AppendLong(amqpwire.AppendSymbol(nil, "x-opt-sequence-number"), sequence)
		want = amqpwire.AppendString(amqpwire.AppendSymbol(want, "x-opt-offset"), hubwardOffset(sequence))
		want = amqpwire.AppendTimestamp(amqpwire.AppendSymbol(want, "x-opt-enqueued-time"), time.UnixMilli(1654109018176))
		want = append(append(want, annotations...), sections...)
		if string(r.Rest()) != string(want) {
			t.Errorf("sequence %d:\n%x\n%x", sequence, r.Rest(), want)
		}
	}
}

func hubwardOffset(n int64) string {
	return map[int64]string{0: "0", 127: "127", 128: "128", 72: "72", 1<<53 - 1: "9007199254740991"}[n]
}

func TestAppendMessage_refusesWhatIsNoRecord(t *testing.T) {
	if b, err := eventcodec.AppendMessage([]byte("x"), []byte("\x02nothing"), 1, time.Now()); err == nil || string(b) != "x" {
		t.Errorf("%x, %v", b, err)
	}
}

func TestAppendMessage_doesNotAllocate(t *testing.T) {
	record, at := messageRecord(strings.Repeat("x", 256)), time.UnixMilli(1654109018176)
	buffer := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := eventcodec.AppendMessage(buffer, record, 1234567, at); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAppendMessage(b *testing.B) {
	record, at := messageRecord(strings.Repeat("x", 256)), time.UnixMilli(1654109018176)
	buffer := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if _, err = eventcodec.AppendMessage(buffer, record, 1234567, at); err != nil {
			b.Fatal(err)
		}
	}
}
