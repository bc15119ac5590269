//go:build !race

package amqpwire_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/hubward/hubward/internal/amqpwire"
)

// What travels with every message must not cost memory. Under the race detector more is allocated.
func TestPerformative_hotOnesDoNotAllocate(t *testing.T) {
	flow := &amqpwire.Flow{NextIncomingID: amqpwire.Some(0), Handle: amqpwire.Some(4), LinkCredit: amqpwire.Some(1000)}
	hot := map[string]performative{
		"flow": flow,
		"transfer": &amqpwire.Transfer{DeliveryID: amqpwire.Some(9), DeliveryTag: []byte("0123456789abcdef"),
			MessageFormat: amqpwire.Some(0), ReceiverSettleMode: amqpwire.ReceiverModeUnset},
		"accepted transfer":    &amqpwire.Transfer{State: &amqpwire.Accepted{}},
		"accepted disposition": &amqpwire.Disposition{First: 1, Last: amqpwire.Some(300), Settled: true, State: &amqpwire.Accepted{}},
		"released disposition": &amqpwire.Disposition{First: 1, State: &amqpwire.Released{}},
	}
	buf := make([]byte, 0, 256)
	for name, p := range hot {
		if n := testing.AllocsPerRun(100, func() { buf = p.Append(buf[:0]) }); n != 0 {
			t.Errorf("%s: Append allocates %v times", name, n)
		}
		var r amqpwire.Reader
		n := testing.AllocsPerRun(100, func() {
			r.Reset(buf)
			r.Descriptor()
			if err := p.Decode(&r); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: Decode allocates %v times", name, n)
		}
	}
}

func TestFrame_doesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 256)
	n := testing.AllocsPerRun(100, func() {
		buf = amqpwire.EndFrame(amqpwire.BeginFrame(buf[:0], amqpwire.FrameAMQP, 1), 0)
		if _, ok, err := amqpwire.ParseFrameHeader(buf); !ok || err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A message of properties and one body costs itself, its maps and their texts.
func TestDecodeMessage_allocations(t *testing.T) {
	wire := telemetry(t)
	n := testing.AllocsPerRun(100, func() {
		if _, err := amqpwire.DecodeMessage(wire); err != nil {
			t.Fatal(err)
		}
	})
	if n > 20 {
		t.Errorf("%v allocations", n)
	}
}

// What a hostile input makes the reader allocate is bounded by its size, also when it is refused.
func TestReader_Value_memoryIsBoundedByTheInput(t *testing.T) {
	array := func(constructor string, count int) string {
		return "\xf0" + size32(4+len(constructor)) + size32(count) + constructor
	}
	inputs := map[string]string{
		"lists that claim much":    greedy(),
		"an array of nothing":      array("\x41", 1<<31),
		"an array of empty lists":  array("\x45", 256),
		"an array of small values": array("\x50"+strings.Repeat("\x07", 30_000), 30_000),
		"of empty binaries":        array("\xa0"+strings.Repeat("\x00", 30_000), 30_000),
		"of described values":      array("\x00\x53\x01\xa0"+strings.Repeat("\x00", 30_000), 30_000),
		"a list of empty lists":    "\xd0" + size32(30_004) + size32(30_000) + strings.Repeat("\x45", 30_000),
		"a map of nulls":           "\xd1" + size32(30_004) + size32(30_000) + strings.Repeat("\x40", 30_000),
		"described nulls":          "\xd0" + size32(30_004) + size32(10_000) + strings.Repeat("\x00\x40\x40", 10_000),
		"a long string that is no": "\xb1\x7f\xff\xff\xffx",
	}
	for name, input := range inputs {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		amqpwire.NewReader([]byte(input)).Value()
		runtime.ReadMemStats(&after)
		if n, limit := after.TotalAlloc-before.TotalAlloc, uint64(64*len(input)+16<<10); n > limit {
			t.Errorf("%s: %d bytes made the reader allocate %d", name, len(input), n)
		}
	}
}
