package twindoc_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/hub/twindoc"
)

// The bytes of metadata are a disk format: these were written down by hand. The year 1 is the time 0, in units of 100 ns.
func TestMetadata_storedForm(t *testing.T) {
	at := time.Date(1, 1, 1, 0, 0, 0, 100, time.UTC)
	s := merge(t, twindoc.Section{Version: 1}, twindoc.Reported, `{"a":1,"c":[{"x":{}}]}`, at)
	s = merge(t, s, twindoc.Reported, `{"b":{"d":1}}`, at.Add(2*time.Second))
	want := "01" + "08" + "0002" + "0000" + // version, width, two stamps, no index
		"0000000001312d01" + "0000000000000001" + // 20,000,001 has taken the place of what nobody had written
		"0000" + "0001" + "0000" + "0000" + "0001" // the section, a, b, b.d, c
	if got := hex.EncodeToString(s.Metadata); got != want {
		t.Errorf("reported\ngot  %s\nwant %s", got, want)
	}
	s = merge(t, twindoc.Section{Version: 0x0102030405}, twindoc.Desired, `{"a":1}`, at)
	want = "01" + "10" + "0002" + "0000" + "0000000000000000" + "0000000000000000" + "0000000000000001" + "0000000102030406" + "0001" + "0001"
	if got := hex.EncodeToString(s.Metadata); got != want {
		t.Errorf("desired\ngot  %s\nwant %s", got, want)
	}
	s = replace(t, s, twindoc.Desired, `{"a":{"b":true}}`, at)
	want = "01" + "10" + "0001" + "0000" + "0000000000000001" + "0000000102030407" + "0000" + "0000" + "0000"
	if got := hex.EncodeToString(s.Metadata); got != want {
		t.Errorf("replaced\ngot  %s\nwant %s", got, want)
	}
}

func TestMetadata_damaged(t *testing.T) {
	const stamp, zero = "08dd000000000001", "0000"
	for name, text := range map[string]string{
		"version 2":         "020800010000" + stamp + zero + zero,
		"cut header":        "0108000100",
		"unknown width":     "010900010000" + stamp + "00" + zero + zero,
		"width 0":           "010000010000" + zero + zero,
		"no stamps":         "010800000000" + zero + zero,
		"cut stamps":        "010800020000" + stamp + zero + zero,
		"half a node":       "010800010000" + stamp + zero + "00",
		"cut index":         "010800010002" + stamp + zero + zero + "000000000000",
		"no nodes":          "010800010000" + stamp,
		"a node too few":    "010800010000" + stamp + zero,
		"a node too many":   "010800010000" + stamp + zero + zero + zero,
		"an unknown number": "010800010000" + stamp + zero + "0001",
	} {
		metadata, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		s := twindoc.Section{Document: []byte(`{"a":1}`), Metadata: metadata, Version: 2}
		if shown, err := s.AppendFull(nil); err == nil {
			t.Errorf("%s: shown as %s", name, shown)
		} else if name == "version 2" && err.Error() != "twindoc: the stored metadata has version 2, this program knows 1" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Metadata of desired properties in the place of reported ones, or the other way round, is not mixed up.
func TestMetadata_otherKind(t *testing.T) {
	s := merge(t, twindoc.Section{Version: 1}, twindoc.Desired, `{"a":1}`, start)
	p, err := twindoc.ParsePatch(twindoc.Reported, []byte(`{"a":2}`))
	if err != nil {
		t.Fatal(err)
	}
	if next, err := s.Merge(p, start); err == nil {
		t.Errorf("merged to %+v", next)
	}
}

// A stamp that nothing has any more makes room for the next: metadata does not grow with the number of writes.
func TestMetadata_isBounded(t *testing.T) {
	s := twindoc.Section{Version: 1}
	for i := range 5000 {
		s = merge(t, s, twindoc.Desired, fmt.Sprintf(`{"a%d":{"b":%d}}`, i%3, i), start.Add(time.Duration(i)))
	}
	if want := 6 + 4*16 + 7*2; len(s.Metadata) > want {
		t.Errorf("%d bytes after many writes, want %d at most", len(s.Metadata), want)
	}
}

// What many stamps leave behind when most members are removed is packed.
func TestMetadata_isPacked(t *testing.T) {
	s := twindoc.Section{Version: 1}
	var nulls []string
	for i := range 100 {
		s = merge(t, s, twindoc.Reported, fmt.Sprintf(`{"a%02d":1}`, i), start.Add(time.Duration(i)*time.Second))
		if i >= 2 {
			nulls = append(nulls, fmt.Sprintf(`"a%02d":null`, i))
		}
	}
	s = merge(t, s, twindoc.Reported, "{"+strings.Join(nulls, ",")+"}", start.Add(time.Hour))
	s = merge(t, s, twindoc.Reported, `{"b":1}`, start.Add(2*time.Hour))
	if want := 6 + 4*8 + 4*2; len(s.Metadata) > want {
		t.Errorf("%d bytes for four members, want %d at most", len(s.Metadata), want)
	}
	want := `{"a00":1,"a01":1,"b":1,"$metadata":{"$lastUpdated":"2026-01-02T05:04:05.6789012Z",` +
		`"a00":{"$lastUpdated":"2026-01-02T03:04:05.6789012Z"},"a01":{"$lastUpdated":"2026-01-02T03:04:06.6789012Z"},` +
		`"b":{"$lastUpdated":"2026-01-02T05:04:05.6789012Z"}},"$version":103}`
	if diff := cmp.Diff(want, full(t, s)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
