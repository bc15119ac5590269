package twindoc_test

import (
	"strings"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/twindoc"
)

func TestCanonicalValue(t *testing.T) {
	for text, want := range map[string]string{
		` null `:                          `null`,
		`""`:                              `""`,
		`"\u0066oo"`:                      `"foo"`,
		`[ ]`:                             `[]`,
		`{ "z" : 1, "a": [ null, {} ] }`:  `{"z":1,"a":[null,{}]}`,
		`{"z":1,"a":2,"z":3,"b":4,"a":5}`: `{"z":3,"b":4,"a":5}`,
		`{"a":{"y":1,"x":2,"y":3},"a.$#":{"z":1,"y":1,"z":null}}`: `{"a":{"x":2,"y":3},"a.$#":{"y":1,"z":null}}`,
		`{"$version":1,"\u0001":"\u0001"}`:                        `{"$version":1,"\u0001":"\u0001"}`,
		`123456789012345678901234567890`:                          `123456789012345678901234567890`,
		`-1.50E+07`:                                               `-1.50E+07`,
		`"` + strings.Repeat("x", 5000) + `"`:                     `"` + strings.Repeat("x", 5000) + `"`,
	} {
		got, err := twindoc.CanonicalValue([]byte("before "), []byte(text), 32)
		if err != nil || string(got) != "before "+want {
			t.Errorf("%.60s\ngot  %s, %v\nwant %s", text, got, err, want)
		}
	}
}

func TestCanonicalValue_refused(t *testing.T) {
	for text, fault := range map[string]string{
		``:                       ": the JSON text ends too early",
		`{"a":1} x`:              ": the text is no JSON: unexpected character at byte 9",
		`{"a":[1,NaN]}`:          ".a[1]: NaN is no JSON",
		`"\u0000"`:               ": a string may not contain U+0000",
		`{"\ud800":1}`:           ": a string contains half a surrogate pair, U+D800",
		"\"\xff\"":               ": a string is not UTF-8: byte 2 is 0xff",
		`1e400`:                  ": a number is out of range: 1e400",
		strings.Repeat("9", 400): ": a number is out of range: 99999999999999999999",
	} {
		_, err := twindoc.CanonicalValue(nil, []byte(text), 32)
		checkError(t, text, err, hubward.CodeFormatError, "payload"+fault)
	}
}

func TestCanonicalValue_depth(t *testing.T) {
	for depth := 2; depth <= 4; depth++ {
		want := ""
		if depth > 3 {
			want = "payload" + strings.Repeat("[0]", 3) + ": more than 3 nested objects and arrays"
		}
		_, err := twindoc.CanonicalValue(nil, []byte(strings.Repeat("[", depth)+strings.Repeat("]", depth)), 3)
		checkError(t, "arrays", err, hubward.CodeFormatError, want)
		_, err = twindoc.CanonicalValue(nil, []byte(nested(depth, "1")), 3)
		checkError(t, "objects", err, hubward.CodeFormatError, strings.ReplaceAll(want, "[0]", ".a"))
	}
	if _, err := twindoc.CanonicalValue(nil, []byte("1"), 0); err != nil {
		t.Error(err)
	}
}
