package hostname_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hubward/hubward/internal/hostname"
)

func TestEndpoints(t *testing.T) {
	label := strings.Repeat("a", 63)
	long := func(n int) string {
		return "h." + strings.Join([]string{label, label, label}, ".") + "." + strings.Repeat("b", n-194)
	}
	for name, want := range map[string][]string{
		"hub.example.com":         {"hub.device.example.com", "hub.service.example.com"},
		"hub.localhost":           {"hub.device.localhost", "hub.service.localhost"},
		"hub":                     nil,
		"localhost":               nil,
		"10.1.2.3":                nil,
		"::1":                     nil,
		"hub.device.example.com":  nil,
		"hub.service.example.com": nil,
		"hub.device":              {"hub.device.device", "hub.service.device"},
		long(245):                 {"h.device" + long(245)[1:], "h.service" + long(245)[1:]},
		long(246):                 {"h.device" + long(246)[1:]},
		long(247):                 nil,
	} {
		if got := hostname.Endpoints(name); !slices.Equal(got, want) {
			t.Errorf("%s has %q, want %q", name, got, want)
		}
	}
}
