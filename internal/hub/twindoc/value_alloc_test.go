package twindoc_test

import (
	"strings"
	"testing"

	"github.com/hubward/hubward/internal/hub/twindoc"
)

// A payload as direct methods have it, whose members are in no order and stay so, costs, besides what it is appended to, a list of members.
func TestCanonicalValue_allocatesOnce(t *testing.T) {
	text := []byte(`{"run":"1234abcd","n":123456,"padding":"` + strings.Repeat("x", 210) + `","inner":{"z":1,"b":[2,{"y":1,"a":2}]}}`)
	dst := make([]byte, 0, len(text))
	if n := testing.AllocsPerRun(100, func() {
		out, err := twindoc.CanonicalValue(dst, text, 200)
		if err != nil || string(out) != string(text) {
			t.Fatalf("%s, %v", out, err)
		}
	}); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
