package hubward_test

import (
	"testing"
	"time"

	"github.com/hubward/hubward"
)

func TestParseDuration(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"90m": 90 * time.Minute, "36h": 36 * time.Hour, "1h30m": 90 * time.Minute, "7d": 7 * day, "0d": 0, "0": 0, "-5m": -5 * time.Minute,
		"65535d": 65535 * day,
	} {
		if got, err := hubward.ParseDuration(text); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "7", "1.5d", "-1d", "+1d", "1d12h", "7 d", "7D", "65536d", "soon"} {
		if got, err := hubward.ParseDuration(text); hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}
