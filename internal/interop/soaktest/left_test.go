//go:build soak

package soaktest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/hub"
)

// heapSlack is by how much the heap may be larger afterwards, in bytes: pools and tables keep some of what they once
// needed.
const heapSlack = 8 << 20

// left is what a process holds.
type left struct {
	goroutines map[[32]uintptr]int // by stack
	files      []string            // what the file descriptors are; nil where the system does not tell
	heap       uint64              // bytes, after garbage collection
}

func measure(t *testing.T) left {
	t.Helper()
	runtime.GC()
	runtime.GC() // pools give up what they hold at the second one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return left{goroutines: goroutines(), files: files(), heap: m.HeapAlloc}
}

func goroutines() map[[32]uintptr]int {
	records := make([]runtime.StackRecord, 2*runtime.NumGoroutine()+100)
	n, ok := runtime.GoroutineProfile(records)
	if !ok {
		return nil // impossible: so many do not come into being meanwhile
	}
	found := map[[32]uintptr]int{}
	for _, r := range records[:n] {
		found[r.Stack0]++
	}
	return found
}

func count(stacks map[[32]uintptr]int) int {
	n := 0
	for _, c := range stacks {
		n += c
	}
	return n
}

// files lists the process's file descriptors by what they lead to.
func files() []string {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	var open []string
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil { // the folder's own is gone by now
			open = append(open, to)
		}
	}
	slices.Sort(open)
	return open
}

// checkLeft waits until what the process holds is back to what it was, and fails the test if that does not happen.
func checkLeft(t *testing.T, before left) {
	t.Helper()
	var now left
	back := eventually(t.Context(), func() bool {
		now = measure(t)
		return count(now.goroutines) <= count(before.goroutines) && len(now.files) <= len(before.files) && now.heap <= before.heap+heapSlack
	})
	t.Logf("goroutines: %d before, %d after; files: %d before, %d after; heap: %d KiB before, %d KiB after",
		count(before.goroutines), count(now.goroutines), len(before.files), len(now.files), before.heap>>10, now.heap>>10)
	if back {
		return
	}
	if count(now.goroutines) > count(before.goroutines) {
		t.Errorf("S5: goroutines are left:\n%s", surplus(before.goroutines, now.goroutines))
	}
	if len(now.files) > len(before.files) {
		t.Errorf("S5: files are left:\nbefore %s\nafter  %s", before.files, now.files)
	}
	if now.heap > before.heap+heapSlack {
		t.Errorf("S5: the heap has grown from %d KiB to %d KiB", before.heap>>10, now.heap>>10)
	}
}

// eventually looks until look is true. It returns false when that takes too long.
func eventually(ctx context.Context, look func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	for {
		if look() {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// surplus shows the stacks of which there are more than before.
func surplus(before, now map[[32]uintptr]int) string {
	var text strings.Builder
	for stack, n := range now {
		if n <= before[stack] {
			continue
		}
		fmt.Fprintf(&text, "%d more of:\n", n-before[stack])
		end := slices.Index(stack[:], 0)
		if end < 0 {
			end = len(stack)
		}
		frames := runtime.CallersFrames(stack[:end])
		for {
			frame, more := frames.Next()
			fmt.Fprintf(&text, "\t%s %s:%d\n", frame.Function, frame.File, frame.Line)
			if !more {
				break
			}
		}
	}
	return text.String()
}

// checkGone checks that the hub knows of no connection and no reader any more.
func (s *soak) checkGone() {
	s.t.Helper()
	var wrong []string
	gone := eventually(s.t.Context(), func() bool {
		wrong = s.present()
		return len(wrong) == 0
	})
	if !gone {
		s.t.Errorf("S5: the hub still knows:\n%s", strings.Join(wrong, "\n"))
	}
}

// present returns the lines of the metrics that should be 0 and are not, and the places that are not free.
func (s *soak) present() []string {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(s.hub.Admin + "/metrics")
	if err != nil {
		return []string{err.Error()}
	}
	defer resp.Body.Close()
	var wrong []string
	seen := map[string]bool{}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := bytes.Cut(lines.Bytes(), []byte(" "))
		metric, _, _ := strings.Cut(string(name), "{")
		switch metric {
		case "hubward_connections", "hubward_protocol_connections", "hubward_eventhub_readers":
			seen[metric] = true
			if n, err := strconv.ParseFloat(string(value), 64); err != nil || n != 0 {
				wrong = append(wrong, lines.Text())
			}
		}
	}
	if len(seen) != 3 {
		wrong = append(wrong, fmt.Sprintf("the metrics show only %v", seen))
	}
	return append(wrong, s.taken()...)
}

// taken fills each place for readers that there should be, and returns those that were not free.
func (s *soak) taken() (wrong []string) {
	for g := range groups {
		for p := range partitions {
			var in []*hub.Reader
			for range 5 {
				r, err := s.hub.App.Hub().OpenReader(s.t.Context(), s.process, hub.ReaderOptions{ConsumerGroup: groupName(g), Partition: p})
				if err != nil {
					wrong = append(wrong, fmt.Sprintf("partition %d of %s: %v", p, groupName(g), err))
					break
				}
				in = append(in, r)
			}
			for _, r := range in {
				r.Close()
			}
		}
	}
	return wrong
}
