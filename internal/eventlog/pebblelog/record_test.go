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
		p := hub.Partition{Hub: "h", Endpoint: hub.EndpointEvents, ID: 7}
		if r, err := pebblelog.DecodeRecord(p, 42, value); err != nil {
			if text := err.Error(); !strings.Contains(text, "h/events/7") || !strings.Contains(text, "42") {
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

func TestEventKey_sortsByHubEndpointPartitionSequence(t *testing.T) {
	var last []byte
	for _, name := range []string{"a", "a-b", "ab"} {
		for _, endpoint := range []hub.Endpoint{hub.EndpointEvents, "e", "events-2", "ew"} {
			for _, id := range []int{0, 1, 255, 256, 65535} {
				p := hub.Partition{Hub: name, Endpoint: endpoint, ID: id}
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
	}
}

func TestParseEventKey_refusesOthers(t *testing.T) {
	telemetry := hub.Partition{Hub: "h", Endpoint: hub.EndpointEvents}
	good := pebblelog.EventKey(pebblelog.PartitionStart(nil, telemetry), 1)
	for _, key := range [][]byte{
		nil, good[:1], good[:len(good)-1], append(bytes.Clone(good), 0), []byte("mf"),
		pebblelog.EventKey(pebblelog.PartitionStart(nil, telemetry), math.MinInt64),
		bytes.Replace(good, []byte("h"), []byte("h\x01events"), 1),
	} {
		if _, _, err := pebblelog.ParseEventKey(key); err == nil {
			t.Errorf("%x was taken for the key of an event", key)
		}
	}
}

func TestTableBorder_isBehindThePartition(t *testing.T) {
	for endpoint, last := range map[hub.Endpoint]string{hub.EndpointEvents: "eh\x01", "e": "eh\x01e\x01"} {
		for _, id := range []int{0, 1, 255, 256, 65534, 65535} {
			start := pebblelog.PartitionStart(nil, hub.Partition{Hub: "h", Endpoint: endpoint, ID: id})
			_, end, err := pebblelog.TableBorder(pebblelog.EventKey(start, 17))
			newest := pebblelog.EventKey(start, math.MaxInt64)
			next := pebblelog.PartitionStart(nil, hub.Partition{Hub: "h", Endpoint: endpoint, ID: id + 1})
			if id == 65535 {
				next = []byte(last)
			}
			if err != nil || bytes.Compare(newest, end) >= 0 || !bytes.Equal(end, next) {
				t.Errorf("%s, partition %d: border %x, %v, want %x", endpoint, id, end, err, next)
			}
		}
	}
	for _, key := range []string{"", "e", "eh", "eh\x00", "eh\x00\x01", "mf", "mhh\x00\x00\x01"} {
		if _, end, err := pebblelog.TableBorder([]byte(key)); err != nil || end != nil {
			t.Errorf("%q: border %x, %v", key, end, err)
		}
	}
}

// The first key is as it was before there were endpoints.
func ExampleLog_keys() {
	for _, endpoint := range []hub.Endpoint{hub.EndpointEvents, hub.EndpointHubEvents} {
		p := hub.Partition{Hub: "plant-7", Endpoint: endpoint, ID: 3}
		fmt.Printf("%q %q\n", pebblelog.EventKey(pebblelog.PartitionStart(nil, p), 258), pebblelog.MarkerKey(nil, p))
	}
	// Output:
	// "eplant-7\x00\x00\x03\x00\x00\x00\x00\x00\x00\x01\x02" "mhplant-7\x00\x00\x03"
	// "eplant-7\x01hub-events\x00\x00\x03\x00\x00\x00\x00\x00\x00\x01\x02" "mhplant-7\x01hub-events\x00\x00\x03"
}
