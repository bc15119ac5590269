package cli

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/bench"
)

// rounds makes results of rates; CPU times are a million by them, those of the load a fifth of that, latencies a thousand.
func rounds(rates ...float64) (results []*bench.Result) {
	for _, r := range rates {
		results = append(results, &bench.Result{Acked: int64(r), Rate: r, CPUMicros: 1e6 / r, LoadCPUMicros: 2e5 / r, P50: 1e3 / r, P99: 2e3 / r})
	}
	return results
}

// Ratios are those of what was measured side by side, not of the medians.
func TestBenchTwin_report(t *testing.T) {
	f := &benchTwinFlags{sizes: []int{1024, 32768}, window: 1, rounds: 3}
	f.devices = 200
	r := f.report([][]*bench.Result{rounds(1000, 2000, 4000), rounds(500, 500, 2000)}, [][]*bench.Result{rounds(2000, 2500, 4000), rounds(1000, 2000, 2000)})
	want := `SIZE   PATCHES/S  P50      P99      BARE UPDATES/S  RATIO  TIME TO FIRST  CPU        CPU TO FIRST  BARE CPU  LOAD CPU
1024   2000       0.50 ms  1.00 ms  2500            0.80   1.00           500.0 us   1.00          400.0 us  100.0 us
32768  500        2.00 ms  4.00 ms  2000            0.50   2.00           2000.0 us  2.00          500.0 us  400.0 us
`
	var out bytes.Buffer
	if err := r.print(Env{Stdout: &out}, false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	if r.Sizes[0].Patches != 7000 {
		t.Errorf("%d patches", r.Sizes[0].Patches)
	}
}

func TestBenchMethod_report(t *testing.T) {
	f := &benchMethodFlags{windows: []int{10, 1}, inFlight: 1000, rounds: 3}
	f.devices = 100
	r := f.report(&benchMethodRounds{
		calls: rounds(1000, 500, 2000), floor: rounds(2000, 1000, 4000), messages: [][]*bench.Result{rounds(4000, 4000, 4000), rounds(2000, 1000, 1000)},
	})
	want := `devices:       100
calls:         3500, with 1000 in flight
rate:          1000 calls/s
call latency:  p50 1.00 ms, p99 2.00 ms
server CPU:    1000.00 us per call
https floor:   2000 requests/s, p50 0.50 ms, p99 1.00 ms, server CPU 500.00 us per request: a call costs 2.00 times that
window 10:     4000 messages/s, server CPU 250.00 us per message: a call costs 4.00 (2.00 to 8.00) times that, 2.00 (1.00 to 4.00) above the HTTPS floor
window 1:      1000 messages/s, server CPU 1000.00 us per message: a call costs 2.00 (0.50 to 2.00) times that, 1.00 (0.25 to 1.00) above the HTTPS floor
`
	var out bytes.Buffer
	if err := r.print(Env{Stdout: &out}, false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
