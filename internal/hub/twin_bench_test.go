package hub_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/store/sqlstore"
)

// What is compared side by side: devices that each write their next patch when the one before is durable, and as many callers that
// update rows of the same size in a bare store, in turns of a while each, so that what else the machine does meets both.
const (
	benchDevices = 200
	benchTurn    = 500 * time.Millisecond
)

// BenchmarkUpdateReported_besideBareUpdates stores patches of reported properties durably, of twins that hold 1 KiB and 31 KiB, and
// reports their rate as a part of that of bare updates: what the hub costs without the wire.
func BenchmarkUpdateReported_besideBareUpdates(b *testing.B) {
	for _, size := range []int{1 << 10, 31 << 10} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			bare, patches := bareWriter(b, size), patchWriter(b, size)
			turn(b, bare) // to fill what is to be filled
			turn(b, patches)
			var ratios, rates, costs []float64
			for b.Loop() {
				rate, bareCost := turn(b, bare)
				patchRate, cost := turn(b, patches)
				ratios, rates, costs = append(ratios, patchRate/rate), append(rates, patchRate), append(costs, cost/bareCost)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(ratios), "of-bare-rate")
			b.ReportMetric(median(costs), "of-bare-cpu")
			b.ReportMetric(median(rates), "patches/s")
		})
	}
}

// turn has all writers write for a while, and returns how many a second have done so, and at what CPU time of the process each.
func turn(b *testing.B, write func(ctx context.Context, writer, n int) error) (rate, cost float64) {
	ctx, cancel := context.WithTimeout(b.Context(), benchTurn)
	defer cancel()
	var total atomic.Int64
	var running sync.WaitGroup
	began, cpu := time.Now(), cpuTime(b)
	for w := range benchDevices {
		running.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := write(b.Context(), w, n); err != nil {
					b.Error(err)
					return
				}
				total.Add(1)
			}
		})
	}
	running.Wait()
	n := float64(total.Load())
	return n / time.Since(began).Seconds(), float64((cpuTime(b) - cpu).Microseconds()) / n
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}

// bareWriter updates bare rows.
func bareWriter(b *testing.B, size int) func(ctx context.Context, writer, n int) error {
	document := []byte(filling(size))
	rows, err := sqlstore.OpenBareRows(b.Context(), filepath.Join(b.TempDir(), "bare.db"), benchDevices, document)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := rows.Close(); err != nil {
			b.Error(err)
		}
	})
	return func(ctx context.Context, writer, n int) error {
		next := bytes.Clone(document)
		copy(next[len(next)-12:], fmt.Sprintf("%08d", n))
		return rows.Update(ctx, writer, next)
	}
}

// patchWriter changes one number of reported properties.
func patchWriter(b *testing.B, size int) func(ctx context.Context, writer, n int) error {
	x := newBenchC2D(b, benchDevices, false)
	links := make([]connection, benchDevices)
	for i := range links {
		d, err := x.Device(b.Context(), "plant", fmt.Sprint("d", i))
		if err != nil {
			b.Fatal(err)
		}
		links[i] = x.connect(d, &session{})
		if _, err := links[i].report(b.Context(), filling(size), 0); err != nil {
			b.Fatal(err)
		}
	}
	return func(ctx context.Context, writer, n int) error {
		_, err := links[writer].report(ctx, fmt.Sprintf(`{"n":%d}`, n), 0)
		return err
	}
}

// filling is a patch of so many bytes, in members of 64.
func filling(size int) string {
	var members []string
	for i := 0; i < size; i += 64 {
		members = append(members, fmt.Sprintf(`"member%04d":"%s"`, i, strings.Repeat("x", 49)))
	}
	return "{" + strings.Join(members, ",") + "}"
}
