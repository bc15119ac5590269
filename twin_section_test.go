package hubward_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
)

const section = `{"$metadata":{"$lastUpdated":"2026-01-31T00:49:39.0000000Z"},"$version":7,"n":9007199254740993,"fan":{"$speed":1.0,"on":"<&>"}}`

func TestDecodeSection(t *testing.T) {
	var typed struct {
		N   int64
		Fan struct{ On string }
	}
	if err := hubward.DecodeSection(json.RawMessage(section), &typed); err != nil || typed.N != 9007199254740993 || typed.Fan.On != "<&>" {
		t.Errorf("%+v, %v", typed, err)
	}
	var plain map[string]any
	want := map[string]any{"n": json.Number("9007199254740993"), "fan": map[string]any{"$speed": json.Number("1.0"), "on": "<&>"}}
	if err := hubward.DecodeSection(json.RawMessage(section), &plain); err != nil {
		t.Error(err)
	} else if diff := cmp.Diff(want, plain); diff != "" {
		t.Error(diff)
	}
	if err := hubward.DecodeSection(json.RawMessage(`{"n":"x"}`), &typed); err == nil {
		t.Error("text was taken for a number")
	}
	if err := hubward.DecodeSection(json.RawMessage(`[1]`), &plain); err == nil {
		t.Error("an array was taken for a section")
	}
}

func TestPlainSection(t *testing.T) {
	for give, want := range map[string]string{
		section:          `{"fan":{"$speed":1.0,"on":"<&>"},"n":9007199254740993}`,
		`{"$version":1}`: `{}`, `null`: `{}`, ``: `{}`, `{}`: `{}`,
	} {
		if got, err := hubward.PlainSection(json.RawMessage(give)); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v; want %s", give, got, err, want)
		}
	}
}

func TestSectionVersion(t *testing.T) {
	for give, want := range map[string]int64{
		section: 7, `{}`: 0, `{"$version":3.0}`: 3, `{"$version":"x"}`: 0, ``: 0, `{"$version":9223372036854775807}`: 1<<63 - 1,
	} {
		if got := hubward.SectionVersion(json.RawMessage(give)); got != want {
			t.Errorf("%s: got %d, want %d", give, got, want)
		}
	}
}
