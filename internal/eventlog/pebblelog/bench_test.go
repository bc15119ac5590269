package pebblelog_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hubward/hubward/internal/eventlog/pebblelog"
	"github.com/hubward/hubward/internal/hub"
)

// telemetry returns a thousand events.
func telemetry() [][]byte {
	events := make([][]byte, 1000)
	for i := range events {
		events[i] = json(int64(i))
	}
	return events
}

// json is an event of 256 bytes that compresses as telemetry does.
func json(n int64) []byte {
	text := fmt.Sprintf(`{"deviceId":"device-%03d","messageId":%d,"windSpeed":%.12f,"humidity":%.12f,"pressure":%.12f,"pad":"`,
		n%100, n, float64(n*7919%100000)/7777, float64(n*104729%100000)/7777, float64(n*1299709%100000)/7777)
	return fmt.Appendf(nil, "%-256.256s", text)
}

// connection is a producer that keeps a bounded number of events in flight, as a device does.
type connection struct {
	hub.Producer
	room chan struct{}
}

func connect(log hub.EventLog, id, inFlight int) *connection {
	c := &connection{room: make(chan struct{}, inFlight)}
	c.Producer = log.Producer(hub.Partition{Hub: "hub", Endpoint: hub.EndpointEvents, ID: id}, func(n int, err error) {
		if err != nil {
			panic(err)
		}
		for range n {
			<-c.room
		}
	})
	return c
}

// connections is how many send opens.
const connections = 100

// send appends events over and over on all connections, total in all, and returns when they are durable.
func send(ctx context.Context, log hub.EventLog, inFlight int, total int64, events [][]byte) {
	var left atomic.Int64
	left.Store(total)
	var all sync.WaitGroup
	for i := range connections {
		all.Go(func() {
			c := connect(log, i%4, inFlight)
			for n := left.Add(-1); n >= 0; n = left.Add(-1) {
				c.room <- struct{}{}
				if err := c.Append(ctx, events[n%int64(len(events))]); err != nil {
					panic(err)
				}
			}
			for range inFlight {
				c.room <- struct{}{}
			}
		})
	}
	all.Wait()
}

// BenchmarkAppend appends 256 B from 100 connections to 4 partitions. An operation is an event.
func BenchmarkAppend(b *testing.B) {
	events := telemetry()
	for _, disk := range []bool{false, true} {
		for _, inFlight := range []int{1, 10, 100} {
			b.Run(fmt.Sprintf("disk=%v/inflight=%d", disk, inFlight), func(b *testing.B) {
				o := pebblelog.Options{Dir: b.TempDir()}
				if !disk {
					o.FS = vfs.NewMem()
				}
				log := open(b, o)
				b.ReportAllocs()
				b.ResetTimer()
				before := cpuTime()
				send(b.Context(), log, inFlight, int64(b.N), events)
				b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
				b.ReportMetric(float64(b.N)/float64(log.Metrics().Commits), "events/commit")
			})
		}
	}
}

// BenchmarkRead reads 256 B events from tables and from memory. An operation is an event.
func BenchmarkRead(b *testing.B) {
	log := open(b, pebblelog.Options{Dir: "dir", FS: vfs.NewMem()})
	send(b.Context(), log, 10, 200_000, telemetry())
	p := hub.Partition{Hub: "hub", Endpoint: hub.EndpointEvents, ID: 1}
	bounds, err := log.Bounds(b.Context(), p)
	if err != nil {
		b.Fatal(err)
	}
	for _, start := range []struct {
		name string
		from int64
		most int
	}{
		{"tables/step=10", 0, 10 * 256}, {"tables/step=1000", 0, 1000 * 256},
		{"tail/step=1", bounds.Next - 1, 256}, {"tail/step=100", bounds.Next - 100, 100 * 256},
	} {
		b.Run(start.name, func(b *testing.B) {
			b.ReportAllocs()
			at := start.from
			for n := 0; n < b.N; {
				next, err := log.Read(b.Context(), p, at, start.most, func(hub.Record) bool { return true })
				if err != nil {
					b.Fatal(err)
				}
				n += int(next - at)
				if at = next; at >= bounds.Next {
					at = start.from
				}
			}
		})
	}
}
