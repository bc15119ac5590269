package twindoc_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/twindoc"
)

// nested returns n objects in one another with value in the innermost: nested(2, "1") is {"a":{"a":1}}.
func nested(n int, value string) string {
	return strings.Repeat(`{"a":`, n) + value + strings.Repeat("}", n)
}

// values are members of a section, each at a limit. fault is the end of the error for the reported properties, "" for none.
var values = []struct{ name, text, fault string }{
	{"name of 1023 bytes", `{"` + strings.Repeat("é", 511) + `n":1}`, ""},
	{"name of 1024 bytes", `{"` + strings.Repeat("é", 512) + `":1}`, ""},
	{"name of 1025 bytes", `{"x":{"` + strings.Repeat("é", 512) + `n":1}}`, ".x." + strings.Repeat("é", 32) + "…: a name has 1025 bytes, the limit is 1024"},
	{"name with escapes of 1024 bytes", `{"` + strings.Repeat(`\"`, 1024) + `":1}`, ""},
	{"name with escapes of 1025 bytes", `{"` + strings.Repeat(`\"`, 1025) + `":1}`, "." + strings.Repeat(`"`, 64) + "…: a name has 1025 bytes, the limit is 1024"},
	{"empty name", `{"":{"":1}}`, ""},
	{"name in Chinese", `{"温度":1}`, ""},
	{"name of a component's marker", `{"c":{"__t":"c"}}`, ""},
	{"name with U+001F", `{"a":{"b\u001Fc":1}}`, ".a.b\\u001fc: a name may not contain a control character"},
	{"name with U+007F", "{\"b\x7Fc\":1}", ".b?c: a name may not contain a control character"},
	{"name with U+0080", `{"b\u0080c":1}`, ".b?c: a name may not contain a control character"},
	{"name with U+009F", "{\"b\u009fc\":1}", ".b?c: a name may not contain a control character"},
	{"name with U+00A0", "{\"b\u00a0c\":1}", ""},
	{"name with a dot", `{"a":{"b.c":1}}`, ".a.b.c: a name may not contain '.'"},
	{"name with a dollar", `{"a":{"$version":1}}`, ".a.$version: a name may not contain '$'"},
	{"name with a hash", `{"a#":1}`, ".a#: a name may not contain '#'"},
	{"name with a blank", `{"a b":1}`, ".a b: a name may not contain a blank"},
	{"name with a slash", `{"a/b":1}`, ""},
	{"name with a semicolon", `{"a;b":{"c ":1}}`, ".a?b.c : a name may not contain a blank"},
	{"name in an array", `{"a":[0,{"b$":1}]}`, ".a[1].b$: a name may not contain '$'"},

	{"string of 4095 bytes", `{"s":"` + strings.Repeat("é", 2047) + `s"}`, ""},
	{"string of 4096 bytes", `{"s":"` + strings.Repeat("é", 2048) + `"}`, ""},
	{"string of 4097 bytes", `{"a":{"s":"` + strings.Repeat("é", 2048) + `s"}}`, ".a.s: a string has 4097 bytes, the limit is 4096"},
	{"string of 4096 escapes", `{"s":"` + strings.Repeat(`\u0061`, 4096) + `"}`, ""},
	{"string of 4097 escapes", `{"s":["` + strings.Repeat(`\u0061`, 4097) + `"]}`, ".s[0]: a string has 4097 bytes, the limit is 4096"},
	{"U+0001", `{"s":"\u0001"}`, ""},
	{"U+0000", `{"s":"\u0000"}`, ".s: a string may not contain U+0000"},
	{"U+0000 in a name", `{"s":{"\u0000":1}}`, ".s: a string may not contain U+0000"},
	{"surrogate pair", `{"s":"\uD83D\uDE00"}`, ""},
	{"high surrogate alone", `{"s":"\uD83D"}`, ".s: a string contains half a surrogate pair, U+D83D"},
	{"high surrogate before another escape", `{"s":"\uD83D\u0061"}`, ".s: a string contains half a surrogate pair, U+D83D"},
	{"low surrogate alone", `{"s":"\uDE00"}`, ".s: a string contains half a surrogate pair, U+DE00"},
	{"no UTF-8", "{\"s\":\"\xff\"}", ".s: a string is not UTF-8: byte 7 is 0xff"},
	{"surrogate in UTF-8", "{\"s\":\"\xed\xa0\x80\"}", ".s: a string is not UTF-8: byte 7 is 0xed"},

	{"scalar in the ninth object", nested(10, "1"), ""},
	{"scalar in the tenth object", nested(11, "1"), ""},
	{"eleventh object", nested(12, "1"), strings.Repeat(".a", 11) + ": more than 10 nested objects"},
	{"empty eleventh object", nested(11, "{}"), strings.Repeat(".a", 11) + ": more than 10 nested objects"},
	{"array in the tenth object", nested(11, "[[1]]"), ""},
	{"eleventh object in an array", nested(11, "[{}]"), strings.Repeat(".a", 11) + "[0]: more than 10 nested objects"},
	{"nesting of 31", `{"a":` + strings.Repeat("[", 30) + strings.Repeat("]", 30) + `}`, ""},
	{"nesting of 32", `{"a":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`, ""},
	{"nesting of 33", `{"a":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, ".a" + strings.Repeat("[0]", 31) + ": more than 32 nested objects and arrays"},

	{"null in an array", `{"a":[1,null]}`, ".a[1]: null may not stand in an array"},
	{"null in an array in an array", `{"a":[[null]]}`, ".a[0][0]: null may not stand in an array"},
	{"null in an object in an array", `{"a":[{"b":null}]}`, ".a[0].b: null may not stand in an array"},

	{"one above the largest integer but one", `{"n":4503599627370494}`, ""},
	{"largest integer", `{"n":4503599627370495}`, ""},
	{"above the largest integer", `{"a":{"n":4503599627370496}}`, ".a.n: an integer is not within -4503599627370496 to 4503599627370495"},
	{"smallest integer", `{"n":-4503599627370496}`, ""},
	{"below the smallest integer", `{"n":-4503599627370497}`, ".n: an integer is not within -4503599627370496 to 4503599627370495"},
	{"an integer of 30 digits", `{"n":[` + strings.Repeat("9", 30) + `]}`, ".n[0]: an integer is not within -4503599627370496 to 4503599627370495"},
	{"a float above the largest integer", `{"n":4503599627370496.0}`, ""},
	{"an exponent", `{"n":1e16}`, ""},
	{"almost the largest float64", `{"n":1.7976931348623157e308}`, ""},
	{"above the largest float64", `{"n":1.7976931348623159e308}`, ".n: a number is out of range: 1.7976931348623159e3"},
	{"1e400", `{"n":-1E400}`, ".n: a number is out of range: -1E400"},
	{"1e-400", `{"n":1e-400}`, ""},
	{"63 characters", `{"n":0.` + strings.Repeat("1", 61) + `}`, ""},
	{"64 characters", `{"n":0.` + strings.Repeat("1", 62) + `}`, ""},
	{"65 characters", `{"n":0.` + strings.Repeat("1", 63) + `}`, ".n: a number has 65 characters, the limit is 64"},

	{"no object, but a string", `"str"`, ": it has to be an object"},
	{"no object, but a number", ` 5`, ": it has to be an object"},
	{"no object, but an array", `[1]`, ": it has to be an object"},
}

func TestParse_limits(t *testing.T) {
	for _, v := range values {
		want := ""
		if v.fault != "" {
			want = "properties.reported" + v.fault
		}
		_, err := twindoc.ParsePatch(twindoc.Reported, []byte(v.text))
		checkError(t, v.name, err, hubward.CodeArgumentInvalid, want)
		_, err = twindoc.ParseDocument(twindoc.Reported, []byte(v.text))
		checkError(t, v.name+", as a document", err, hubward.CodeArgumentInvalid, want)
	}
}

// checkError wants an error with a code and a text for the peer, none if the text is empty.
func checkError(t *testing.T, name string, err error, code hubward.Code, text string) {
	t.Helper()
	if text == "" {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return
	}
	var e *hubward.Error
	if !errors.As(err, &e) || e.Code != code || e.Message != text {
		t.Errorf("%s:\ngot  %v\nwant %v: %s", name, err, code, text)
	}
}

func TestParse_noJSON(t *testing.T) {
	for text, fault := range map[string]string{
		"":                  ": the JSON text ends too early",
		" ":                 ": the JSON text ends too early",
		"{":                 ": the JSON text ends too early",
		`{"a`:               ": the JSON text ends too early",
		`{"a\`:              ": the JSON text ends too early",
		`{"a"`:              ": the JSON text ends too early",
		`{"a":`:             ".a: the JSON text ends too early",
		`{"a":"`:            ".a: the JSON text ends too early",
		`{"a":[`:            ".a[0]: the JSON text ends too early",
		`{"a":-`:            ".a: the text is no JSON: unexpected character at byte 6",
		`{"a":1.`:           ".a: the JSON text ends too early",
		`{"a":1e`:           ".a: the JSON text ends too early",
		`{"a":1`:            ": the JSON text ends too early",
		`{"a":1,}`:          ": the text is no JSON: unexpected character at byte 8",
		`{"a":1 "b":2}`:     ": the text is no JSON: unexpected character at byte 8",
		`{a:1}`:             ": the text is no JSON: unexpected character at byte 2",
		`{"a":01}`:          ": the text is no JSON: unexpected character at byte 7",
		`{"a":+1}`:          ".a: the text is no JSON: unexpected character at byte 6",
		`{"a":.5}`:          ".a: the text is no JSON: unexpected character at byte 6",
		`{"a":[1,]}`:        ".a[1]: the text is no JSON: unexpected character at byte 9",
		`{"a":nul}`:         ".a: the text is no JSON: unexpected character at byte 6",
		`{"a":NaN}`:         ".a: NaN is no JSON",
		`{"a":[-Infinity]}`: ".a[0]: -Infinity is no JSON",
		`Infinity`:          ": Infinity is no JSON",
		"{\"a\":\"\n\"}":    ".a: the text is no JSON: a control character that is not escaped at byte 7",
		`{"a":"\x"}`:        ".a: the text is no JSON: an unknown escape at byte 8",
		`{"a":"\u12g4"}`:    ".a: the text is no JSON: an escape without four hexadecimal digits at byte 8",
		`{"a":"\ud800\u1"}`: ".a: the text is no JSON: an escape without four hexadecimal digits at byte 14",
		`{} {}`:             ": the text is no JSON: unexpected character at byte 4",
		`{"$version":1x}`:   ": the text is no JSON: unexpected character at byte 14",
		"\uFEFF{}":          ": the text is no JSON: unexpected character at byte 1",
	} {
		_, err := twindoc.ParsePatch(twindoc.Desired, []byte(text))
		checkError(t, text, err, hubward.CodeFormatError, "properties.desired"+fault)
	}
}

// A section that is null is cleared, but devices have to name what they clear.
func TestParse_null(t *testing.T) {
	_, err := twindoc.ParsePatch(twindoc.Reported, []byte("null"))
	checkError(t, "reported", err, hubward.CodeArgumentInvalid, "properties.reported: it has to be an object")
	for _, k := range []twindoc.Kind{twindoc.Tags, twindoc.Desired} {
		if p, err := twindoc.ParsePatch(k, []byte(" null ")); p == nil || err != nil {
			t.Errorf("%v: %v, %v", k, p, err)
		}
	}
}

// What changes nothing is no patch.
func TestParsePatch_nothing(t *testing.T) {
	for _, text := range []string{`{}`, ` { } `, `{"$version":3,"$metadata":{"a.b":{"$lastUpdated":[null]}},"$etag":"x","$version":null}`} {
		if p, err := twindoc.ParsePatch(twindoc.Reported, []byte(text)); p != nil || err != nil {
			t.Errorf("%s: %v, %v", text, p, err)
		}
		if p, err := twindoc.ParseDocument(twindoc.Reported, []byte(text)); p == nil || err != nil {
			t.Errorf("%s as a document: %v, %v", text, p, err)
		}
	}
}

// sized returns a document that counts n: strings of up to 1,000 bytes in members with names of three bytes.
func sized(n int) string {
	var b strings.Builder
	for i := 0; n > 0; i++ {
		value := min(n-3, 1000)
		if rest := n - 3 - value; rest > 0 && rest < 3 {
			value -= 3 // leave room for one more name
		}
		fmt.Fprintf(&b, `,"%03d":%q`, i, strings.Repeat("x", value))
		n -= 3 + value
	}
	return "{" + b.String()[1:] + "}"
}

var sizeLimits = []struct {
	kind  twindoc.Kind
	limit int
}{{twindoc.Tags, 8192}, {twindoc.Desired, 32768}, {twindoc.Reported, 32768}}

func TestMerge_sizeLimit(t *testing.T) {
	for _, k := range sizeLimits {
		for n := k.limit - 1; n <= k.limit+1; n++ {
			p, err := twindoc.ParsePatch(k.kind, []byte(sized(n)))
			if err != nil {
				t.Fatal(err)
			}
			want := ""
			if n > k.limit {
				want = fmt.Sprintf("%v: it would have a size of %d, the limit is %d", k.kind, n, k.limit)
			}
			next, err := twindoc.Section{}.Merge(p, start)
			checkError(t, fmt.Sprint(n), err, hubward.CodeArgumentInvalid, want)
			if err == nil && next.Size != n {
				t.Errorf("%v: size %d, want %d", k.kind, next.Size, n)
			}
			_, err = twindoc.Section{}.Replace(p, start)
			checkError(t, fmt.Sprint(n, " as a document"), err, hubward.CodeArgumentInvalid, want)
		}
	}
}

// Only what makes a section larger is refused: one that is too large, since limits were others once, can be made smaller.
func TestMerge_tooLargeBefore(t *testing.T) {
	before := twindoc.Section{Document: []byte(sized(9000)), Size: 9000}
	for text, want := range map[string]string{
		`{"000":"y"}`:  "",
		`{"new":null}`: "",
		`{"000":"` + strings.Repeat("y", 1000) + `"}`: "",
		`{"000":"` + strings.Repeat("y", 1001) + `"}`: "tags: it would have a size of 9001, the limit is 8192",
		`{"new":null,"x":{}}`:                         "tags: it would have a size of 9001, the limit is 8192",
	} {
		p, err := twindoc.ParsePatch(twindoc.Tags, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		_, err = before.Merge(p, start)
		checkError(t, text[:min(12, len(text))], err, hubward.CodeArgumentInvalid, want)
	}
	p, err := twindoc.ParseDocument(twindoc.Tags, []byte(sized(9000)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = before.Replace(p, start); err != nil {
		t.Error(err)
	}
}

func TestSize_arithmetic(t *testing.T) {
	for text, want := range map[string]int{
		`{}`:                              0,
		`{"":""}`:                         0,
		`{"ab":"é"}`:                      4,
		`{"a":1,"b":-1.25e-10}`:           18,
		`{"a":true,"b":false}`:            10,
		`{"a":{"b":{}}}`:                  2,
		`{"a":[]}`:                        1,
		`{"a":[1,true,"x",{"b":"y"}]}`:    1 + 8 + 4 + 1 + 2,
		`{"a":"\u0001\n\t\b\f\r\u001f"}`:  1,
		"{\"a\":\"\x7f\u0080\u009f\"}":    1,
		"{\"a\":\"\u00a0\"}":              3,
		`{"a":"\"\\\/"}`:                  4,
		`{"\"\\":1}`:                      10,
		`{"a":"\ud83d\ude00"}`:            5,
		`{"a":"true 1 null"}`:             12,
		`{"$version":5,"a":1}`:            9,
		`{"a":1,"b":{"c":null},"d":null}`: 10,
	} {
		if got := merge(t, twindoc.Section{}, twindoc.Tags, text, start).Size; text != `{}` && got != want {
			t.Errorf("%s merged has the size %d, want %d", text, got, want)
		}
		if got := replace(t, twindoc.Section{}, twindoc.Tags, text, start).Size; got != want {
			t.Errorf("%s has the size %d, want %d", text, got, want)
		}
	}
}

// Brackets and control characters have no size, but take room: a bound of our own.
func TestMerge_textBound(t *testing.T) {
	const bound = 256 << 10
	for n := bound - 1; n <= bound+1; n++ {
		text := fitted(n)
		if len(text) != n {
			t.Fatalf("the test made %d bytes of %d", len(text), n)
		}
		want := ""
		if n > bound {
			want = fmt.Sprintf("properties.desired: its text has %d bytes, the limit is %d", n, bound)
		}
		_, err := twindoc.ParsePatch(twindoc.Desired, []byte(text))
		checkError(t, fmt.Sprint(n), err, hubward.CodeArgumentInvalid, want)
	}
	s := merge(t, twindoc.Section{Version: 1}, twindoc.Desired, fitted(bound-10), start)
	for patch, want := range map[string]string{
		`{"~":1}`:      "", // ,"~":1 is 6 bytes
		`{"~":12345}`:  "",
		`{"~":123456}`: fmt.Sprintf("properties.desired: its text would have %d bytes, the limit is %d", bound+1, bound),
	} {
		p, err := twindoc.ParsePatch(twindoc.Desired, []byte(patch))
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Merge(p, start)
		checkError(t, patch, err, hubward.CodeArgumentInvalid, want)
	}
}

// fitted returns a document whose text has n bytes, many of which do not count for its size.
func fitted(n int) string {
	var b strings.Builder
	i := 0
	for ; n-b.Len() > 4100; i++ {
		fmt.Fprintf(&b, `,"%03d":"%s"`, i, strings.Repeat(`\u0001`, 600))
	}
	fmt.Fprintf(&b, `,"%03d":"%s"`, i, strings.Repeat("z", n-b.Len()-len(`{"000":""}`)))
	return "{" + b.String()[1:] + "}"
}
