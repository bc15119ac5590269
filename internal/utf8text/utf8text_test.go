package utf8text_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/hubward/hubward/internal/utf8text"
)

// in16 and in32 encode text, with a byte order mark in front if asked for.
func in16(text string, order binary.AppendByteOrder, mark bool) (out []byte) {
	if mark {
		text = "\uFEFF" + text
	}
	for _, u := range utf16.Encode([]rune(text)) {
		out = order.AppendUint16(out, u)
	}
	return out
}

func in32(text string, order binary.AppendByteOrder, mark bool) (out []byte) {
	if mark {
		text = "\uFEFF" + text
	}
	for _, r := range text {
		out = order.AppendUint32(out, uint32(r))
	}
	return out
}

func TestCheck_encodings(t *testing.T) {
	const text = `{"é":1}`
	for name, test := range map[string]struct {
		give []byte
		want error
	}{
		"UTF-8":                    {[]byte(text), nil},
		"UTF-8 with a mark":        {[]byte("\uFEFF" + text), nil},
		"UTF-16LE":                 {in16(text, binary.LittleEndian, false), utf8text.ErrUTF16},
		"UTF-16BE":                 {in16(text, binary.BigEndian, false), utf8text.ErrUTF16},
		"UTF-16LE with a mark":     {in16(text, binary.LittleEndian, true), utf8text.ErrUTF16},
		"UTF-16BE with a mark":     {in16(text, binary.BigEndian, true), utf8text.ErrUTF16},
		"a mark of UTF-16LE alone": {in16("", binary.LittleEndian, true), utf8text.ErrUTF16},
		"a mark of UTF-16BE alone": {in16("", binary.BigEndian, true), utf8text.ErrUTF16},
		"one digit in UTF-16LE":    {in16("1", binary.LittleEndian, false), utf8text.ErrUTF16},
		"one digit in UTF-16BE":    {in16("1", binary.BigEndian, false), utf8text.ErrUTF16},
		"é in UTF-16LE":            {in16("é", binary.LittleEndian, true), utf8text.ErrUTF16},
		"UTF-32LE":                 {in32(text, binary.LittleEndian, false), utf8text.ErrUTF32},
		"UTF-32BE":                 {in32(text, binary.BigEndian, false), utf8text.ErrUTF32},
		"UTF-32LE with a mark":     {in32(text, binary.LittleEndian, true), utf8text.ErrUTF32},
		"UTF-32BE with a mark":     {in32(text, binary.BigEndian, true), utf8text.ErrUTF32},
	} {
		got, err := utf8text.Check(test.give)
		if !errors.Is(err, test.want) || err == nil && string(got) != text {
			t.Errorf("%s: %q, %v; want %v", name, got, err, test.want)
		}
		if err != nil && (got != nil || !strings.Contains(err.Error(), "UTF-8")) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestCheck_namesTheByte(t *testing.T) {
	for give, want := range map[string]string{
		"\xE9":           "byte 1 is 0xe9",
		"caf\xE9":        "byte 4 is 0xe9",
		"\uFEFFa\x80b":   "byte 5 is 0x80",
		"\uFFFD\xFF":     "byte 4 is 0xff", // the replacement character itself is fine
		"a\xED\xA0\x80b": "byte 2 is 0xed", // half of a surrogate pair
	} {
		if _, err := utf8text.Check([]byte(give)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", give, err, want)
		}
	}
}

func TestCheck_short(t *testing.T) {
	for _, give := range []string{"", "1", "{}", "\uFEFF", "\x00", "\x00\x00", "\x00\x00\x00\x00", "\uFEFF\uFEFF1"} {
		want := strings.TrimPrefix(give, "\uFEFF") // one mark, no more
		if got, err := utf8text.Check([]byte(give)); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", give, got, err)
		}
	}
	if got, err := utf8text.SkipMark([]byte("\uFEFFcaf\xE9")); err != nil || string(got) != "caf\xE9" {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"", "\uFEFF{}", "\xFF\xFE{\x00", "\x00{", "\x00\x00\xFE\xFF", "caf\xE9", "\xEF\xBB", "{}\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := utf8text.Check(text)
		if err == nil && (!utf8.Valid(got) || !bytes.HasSuffix(text, got) || len(text)-len(got) > 3) {
			t.Errorf("%q became %q", text, got)
		}
		if err != nil && utf8.Valid(text) && !bytes.Contains(text[:min(len(text), 4)], []byte{0}) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
