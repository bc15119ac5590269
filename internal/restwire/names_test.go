package restwire_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/restwire"
)

// Requests that follow one another on a connection share memory, and nothing else.
func TestNames_nextRequest(t *testing.T) {
	var n restwire.Names
	read := func(header string) (string, []string) {
		for _, part := range strings.SplitAfter(header, "p") { // as it comes
			n.Read([]byte(part))
		}
		first, names, ok := n.Lines()
		if !ok {
			t.Fatalf("%q: not whole", header)
		}
		n.Reset()
		if _, _, ok := n.Lines(); ok {
			t.Errorf("%q: it is still there", header)
		}
		return first, names
	}
	long, names := read("POST /a HTTP/1.1\r\nHost: h\r\niothub-app-runId: 1\r\nX-Long: " + strings.Repeat("x", 2000) + "\r\n\r\nbody")
	short, next := read("GET / HTTP/1.1\r\nhOST: h\r\n\r\n")
	if long != "POST /a HTTP/1.1" || short != "GET / HTTP/1.1" {
		t.Errorf("the first lines are %q and %q", long, short)
	}
	if diff := cmp.Diff([][]string{{"Host", "iothub-app-runId", "X-Long"}, {"hOST"}}, [][]string{names, next}); diff != "" {
		t.Error(diff)
	}
}

func TestNames_keepsSmallBuffers(t *testing.T) {
	for _, tt := range []struct {
		size, allocations int
	}{{2047, 0}, {2048, 0}, {2049, 1}} {
		var n restwire.Names
		header := []byte("GET / HTTP/1.1\r\nX: ")
		header = append(header, strings.Repeat("x", tt.size-len(header)-len("\r\n\r\n"))+"\r\n\r\n"...)
		if got := testing.AllocsPerRun(10, func() {
			n.Read(header)
			n.Reset()
		}); int(got) != tt.allocations {
			t.Errorf("%d bytes: %v allocations, want %d", tt.size, got, tt.allocations)
		}
	}
}
