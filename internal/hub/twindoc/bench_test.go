package twindoc_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/hub/twindoc"
)

// written returns the reported properties that a device has after it has written members of 32 bytes, one by one.
func written(tb testing.TB, members int) twindoc.Section {
	tb.Helper()
	s := twindoc.Section{Version: 1}
	for i := range members {
		text := fmt.Sprintf(`{"property%04d":%q}`, i*(9999/members), strings.Repeat("x", 20))
		s = merge(tb, s, twindoc.Reported, text, start.Add(time.Duration(i)*time.Second))
	}
	return s
}

// A patch of some 100 bytes that hits the section at three places, the last of which is its end.
func BenchmarkMerge(b *testing.B) {
	for _, members := range []int{32, 1000} {
		b.Run(fmt.Sprintf("%dKB", members/31), func(b *testing.B) {
			s := written(b, members)
			last := (members - 1) * (9999 / members)
			text := fmt.Sprintf(`{"property0000":1.25,"property%04d":"a new value","property%04d":{"a":true},"property9999":null}`, last/2, last)
			p, err := twindoc.ParsePatch(twindoc.Reported, []byte(text))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Merge(p, start); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParsePatch(b *testing.B) {
	for name, text := range map[string]string{
		"100B": `{"temperature":21.5,"humidity":40,"status":{"state":"on","since":"2026-01-02T03:04:05Z"},"firmware":"1.2"}`,
		"32KB": string(written(b, 1000).Document),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := twindoc.ParsePatch(twindoc.Reported, []byte(text)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendFull(b *testing.B) {
	s := written(b, 1000)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if dst, err = s.AppendFull(dst[:0]); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(dst)))
}
