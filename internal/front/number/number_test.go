package number_test

import (
	"testing"

	"github.com/hubward/hubward/internal/front/number"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]float64{"3": 3, "3.0": 3, "1e2": 100, "-0.5": -0.5, "+7": 7, "1E+3": 1000} {
		if got, ok := number.Parse(text); !ok || got != want {
			t.Errorf("%s: %v, %t, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", " 3", "3 ", "NaN", "Inf", "-inf", "0x10", "0x1p3", "1_000", "1e400", "null", "e"} {
		if got, ok := number.Parse(text); ok {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}
