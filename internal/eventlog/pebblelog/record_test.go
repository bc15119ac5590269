package pebblelog_test

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/eventlog/pebblelog"
	"github.com/hubward/hubward/internal/hub"
)

func FuzzRecord(f *testing.F) {
	f.Add([]byte{}, int64(0))
	f.Add([]byte("\x00\x00\x01\x98\x00\x00\x00\x00\x01data"), int64(1))
	f.Add([]byte("\x00\x00\x01\x98\x00\x00\x00\x00\x02data"), int64(1<<40))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\x01"), int64(-1))
	f.Fuzz(func(t *testing.T, value []byte, ms int64) {
		p := hub.Partition{Hub: "h", ID: 7}
		if r, err := pebblelog.DecodeRecord(p, 42, value); err != nil {
			if text := err.Error(); !strings.Contains(text, "h/7") || !strings.Contains(text, "42") {
				t.Errorf("error does not name partition and sequence number: %v", err)
			}
		} else if again := encode(r.Enqueued.UnixMilli(), r.Data); !bytes.Equal(again, value) {
			t.Errorf("%x decodes and encodes to %x", value, again)
		}
		r, err := pebblelog.DecodeRecord(p, 42, encode(ms, value))
		if err != nil || !bytes.Equal(r.Data, value) || !r.Enqueued.Equal(time.UnixMilli(ms)) || r.SequenceNumber != 42 {
			t.Errorf("%d, %x encodes and decodes to %v, %v", ms, value, r, err)
		}
	})
}

func encode(ms int64, data []byte) []byte {
	value := make([]byte, pebblelog.RecordHeader+len(data))
	pebblelog.PutRecord(value, ms, data)
	return value
}

func TestEventKey_sortsBySequence(t *testing.T) {
	var last []byte
	for _, p := range []hub.Partition{{Hub: "a", ID: 0}, {Hub: "a", ID: 256}, {Hub: "a", ID: 65535}, {Hub: "ab", ID: 0}} {
		for _, sequence := range []int64{0, 1, 255, 256, 1 << 40} {
			key := pebblelog.EventKey(pebblelog.PartitionStart(nil, p), sequence)
			if bytes.Compare(last, key) >= 0 {
				t.Errorf("key %x of %v %d is not above %x", key, p, sequence, last)
			}
			last = key
			gotP, got, err := pebblelog.ParseEventKey(key)
			if err != nil || gotP != p || got != sequence {
				t.Errorf("%x parses to %v %d, %v", key, gotP, got, err)
			}
		}
	}
}

func TestParseEventKey_refusesOthers(t *testing.T) {
	good := pebblelog.EventKey(pebblelog.PartitionStart(nil, hub.Partition{Hub: "h"}), 1)
	for _, key := range [][]byte{
		nil, good[:1], good[:len(good)-1], append(bytes.Clone(good), 0), []byte("mf"),
		pebblelog.EventKey(pebblelog.PartitionStart(nil, hub.Partition{Hub: "h"}), math.MinInt64),
	} {
		if _, _, err := pebblelog.ParseEventKey(key); err == nil {
			t.Errorf("%x was taken for the key of an event", key)
		}
	}
}

func TestTableBorder_isBehindThePartition(t *testing.T) {
	for _, id := range []int{0, 1, 255, 256, 65534, 65535} {
		start := pebblelog.PartitionStart(nil, hub.Partition{Hub: "h", ID: id})
		_, end, err := pebblelog.TableBorder(pebblelog.EventKey(start, 17))
		last := pebblelog.EventKey(start, math.MaxInt64)
		next := pebblelog.PartitionStart(nil, hub.Partition{Hub: "h", ID: id + 1})
		if id == 65535 {
			next = []byte("eh\x01")
		}
		if err != nil || bytes.Compare(last, end) >= 0 || !bytes.Equal(end, next) {
			t.Errorf("partition %d: border %x, %v, want %x", id, end, err, next)
		}
	}
	for _, key := range []string{"", "e", "eh", "eh\x00", "eh\x00\x01", "mf", "mhh\x00\x00\x01"} {
		if _, end, err := pebblelog.TableBorder([]byte(key)); err != nil || end != nil {
			t.Errorf("%q: border %x, %v", key, end, err)
		}
	}
}

func ExampleLog_keys() {
	fmt.Printf("%q\n", pebblelog.EventKey(pebblelog.PartitionStart(nil, hub.Partition{Hub: "plant-7", ID: 3}), 258))
	// Output: "eplant-7\x00\x00\x03\x00\x00\x00\x00\x00\x00\x01\x02"
}
