package twindoc_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/hub/twindoc"
)

// A patch of a large section jumps over what it does not name, and the result is what the model says; the index is right after
// each of them, and grows by what is read.
func TestMerge_index(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	r := run{t: t, model: newModel(twindoc.Desired), section: twindoc.Section{Version: 1}, device: map[string]any{}}
	var members []string
	for i := range 800 {
		members = append(members, fmt.Sprintf(`"p%03d":{"x":%q}`, i, strings.Repeat("y", 20)))
	}
	r.step("{"+strings.Join(members, ",")+"}", true, start)
	if n, err := twindoc.CheckIndex(r.section); n != 0 || err != nil {
		t.Fatalf("a document that was never read has %d entries, %v", n, err)
	}
	r.step(`{"p999":null}`, false, start.Add(time.Minute))
	if n, err := twindoc.CheckIndex(r.section); n < len(r.section.Document)/1200 || n > len(r.section.Document)/1024 {
		t.Fatalf("%d entries for %d bytes, %v", n, len(r.section.Document), err)
	}
	for i := range 50 {
		members = members[:0]
		for range 1 + random.IntN(4) {
			value := [...]string{"null", "null", "true", `{"x":null,"y":1}`, `{"x":{"z":"` + strings.Repeat("z", random.IntN(300)) + `"}}`}[random.IntN(5)]
			members = append(members, fmt.Sprintf(`"p%03d":%s`, random.IntN(820), value))
		}
		r.step("{"+strings.Join(members, ",")+"}", false, start.Add(time.Duration(i)*time.Hour))
	}
	if n, _ := twindoc.CheckIndex(r.section); n < len(r.section.Document)/2400 {
		t.Errorf("%d entries are left for %d bytes", n, len(r.section.Document))
	}
}

// An offset in the index at which no member begins is passed over; a node that is not there is an error.
func TestMerge_damagedIndex(t *testing.T) {
	s := written(t, 100)
	p, err := twindoc.ParsePatch(twindoc.Reported, []byte(`{"property9900":1}`))
	if err != nil {
		t.Fatal(err)
	}
	sound, err := s.Merge(p, start)
	if err != nil {
		t.Fatal(err)
	}
	merged := func(fromEnd int) (twindoc.Section, error) {
		damaged := s
		damaged.Metadata = append([]byte(nil), s.Metadata...)
		damaged.Metadata[len(s.Metadata)-fromEnd] ^= 0x80
		return damaged.Merge(p, start)
	}
	for fromEnd := 6; fromEnd > 2; fromEnd-- { // the offset of the last entry
		if next, err := merged(fromEnd); err != nil || string(next.Document) != string(sound.Document) {
			t.Errorf("byte %d from the end\ngot  %s, %v\nwant %s", fromEnd, next.Document, err, sound.Document)
		}
	}
	if next, err := merged(2); err == nil { // its node
		t.Errorf("a node beyond the last made %+v", next)
	}
}
