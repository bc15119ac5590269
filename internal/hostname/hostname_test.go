package hostname_test

import (
	"strings"
	"testing"

	"github.com/hubward/hubward/internal/hostname"
	"github.com/hubward/hubward/sas"
)

func TestParse(t *testing.T) {
	label := strings.Repeat("a", 63)
	longest := strings.Join([]string{label, label, label, strings.Repeat("b", 61)}, ".") // 253 characters
	for name, want := range map[string]string{
		"hub":                      "hub",
		"Hub.Example.COM":          "hub.example.com",
		"hub.example.com.":         "hub.example.com",
		"my_hub":                   "my_hub",
		"4.hub":                    "4.hub",
		"r3---sn.example":          "r3---sn.example",
		"xn--nicode-2ya.org":       "xn--nicode-2ya.org",
		"XN--NICODE-2YA.org":       "xn--nicode-2ya.org",
		"10.1.2.3":                 "10.1.2.3",
		"fd00:0:0::7":              "fd00::7",
		"FD00::A":                  "fd00::a",
		"::ffff:10.1.2.3":          "10.1.2.3",
		label + ".example":         label + ".example",
		longest:                    longest,
		longest + ".":              longest,
		"xn--bcher-kva.example":    "xn--bcher-kva.example",
		strings.ToUpper(label):     label,
		"a-b.c-d":                  "a-b.c-d",
		"localhost":                "localhost",
		"plant-2.device.localhost": "plant-2.device.localhost",
	} {
		got, err := hostname.Parse(name)
		if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", name, got, err, want)
		}
		if again, err := hostname.Parse(got); err != nil || again != got || sas.CanonicalHost(name) != got {
			t.Errorf("%q: parsed again %q, %v; canonical %q", got, again, err, sas.CanonicalHost(name))
		}
	}
}

func TestParse_refuses(t *testing.T) {
	const notAName = "not a host name or IP address"
	label := strings.Repeat("a", 63)
	for name, want := range map[string]string{
		"":                               notAName,
		".":                              notAName,
		"hub..example":                   notAName,
		".hub":                           notAName,
		"hub.example..":                  notAName,
		"https://x":                      notAName,
		"hub:443":                        notAName,
		"[::1]":                          notAName,
		"*.example":                      notAName,
		"a b":                            notAName,
		"-a.example":                     notAName,
		"a-.example":                     notAName,
		"a/b":                            notAName,
		"a\x00b":                         notAName,
		"fe80::1%eth0":                   "zone",
		"1.2.3.400":                      "ends in a number",
		"hub.7":                          "ends in a number",
		label + "a.example":              "64 characters",
		label + strings.Repeat(".a", 96): "255 characters",
		strings.Join([]string{label, label, label, strings.Repeat("b", 62)}, "."): "254 characters",
		"ünicode.org":                   "xn--nicode-2ya.org",
		"Bücher.Example.":               "xn--bcher-kva.example",
		"hub\u3002münchen\uff0eexample": "hub.xn--mnchen-3ya.example",
		strings.Repeat("ü", 507):        "1014 bytes",
		strings.Repeat("ü", 506):        "512 characters",
		"xn--a.example":                 "xn--a is not the A-label of anything",
		"a\u200db.example":              notAName,
		"\xff.example":                  notAName,
		strings.Repeat("ü", 63) + ".x":  "69 characters",
	} {
		got, err := hostname.Parse(name)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v; want %q", name, got, err, want)
		}
	}
}

// What is taken is canonical, and an ASCII name that both sides know.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"hub.example.com.", "ünicode.org", "xn--nicode-2ya.org", "::ffff:1.2.3.4", "[::1]:443", "a_b.1", "xn--\u3002"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, err := hostname.Parse(text)
		if err != nil {
			return
		}
		if again, err := hostname.Parse(name); err != nil || again != name {
			t.Fatalf("%q parsed again: %q, %v", name, again, err)
		}
		if sas.CanonicalHost(text) != name || sas.CanonicalHost(name) != name {
			t.Fatalf("%q is looked up as %q, stored as %q", text, sas.CanonicalHost(text), name)
		}
		for _, endpoint := range hostname.Endpoints(name) {
			if got, err := hostname.Parse(endpoint); err != nil || got != endpoint {
				t.Fatalf("endpoint %q of %q: %q, %v", endpoint, name, got, err)
			}
		}
	})
}
