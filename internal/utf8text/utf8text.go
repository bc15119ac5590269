// Package utf8text is how text comes in through every door: files that people write, and bodies of requests. Editors and
// shells of Windows begin UTF-8 with a byte order mark, which is skipped, or write UTF-16, which is refused by its name: what
// a parser says of either ("invalid character 'ÿ'") helps nobody.
//
// Source: RFC 8259 section 8.1, which lets parsers ignore the mark and demands UTF-8; RFC 3629 section 6.
package utf8text

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// What a text can be in place of UTF-8. The texts go on after a subject, e.g. "the body: ".
var (
	ErrUTF16 = errors.New("it is UTF-16, save or send it as UTF-8")
	ErrUTF32 = errors.New("it is UTF-32, save or send it as UTF-8")
)

var byteOrderMark = []byte("\uFEFF")

// encoding is a sign of an encoding: a mark, or where the zero bytes of an ASCII character stand.
type encoding struct {
	sign string // x: any byte but zero
	err  error
}

// The signs of UTF-32 begin as those of UTF-16 do, and come first.
var encodings = []encoding{
	{"\xFF\xFE\x00\x00", ErrUTF32}, {"\x00\x00\xFE\xFF", ErrUTF32}, {"x\x00\x00\x00", ErrUTF32}, {"\x00\x00\x00x", ErrUTF32},
	{"\xFF\xFE", ErrUTF16}, {"\xFE\xFF", ErrUTF16}, {"x\x00", ErrUTF16}, {"\x00x", ErrUTF16},
}

func (e encoding) begins(text []byte) bool {
	if len(text) < len(e.sign) {
		return false
	}
	for i := range len(e.sign) {
		if e.sign[i] == 'x' && text[i] == 0 || e.sign[i] != 'x' && text[i] != e.sign[i] {
			return false
		}
	}
	return true
}

// SkipMark returns text without the byte order mark at its beginning, a part of what it was given.
//
// Errors: ErrUTF16, ErrUTF32, by their own marks or, without one, by where the zero bytes of the first character stand: it
// is taken for an ASCII one, as in JSON, TOML and PEM.
//
// Source: RFC 4627 section 3, for telling them apart.
func SkipMark(text []byte) ([]byte, error) {
	if rest, ok := bytes.CutPrefix(text, byteOrderMark); ok {
		return rest, nil
	}
	for _, e := range encodings {
		if e.begins(text) {
			return nil, e.err
		}
	}
	return text, nil
}

// Check is SkipMark for text that is UTF-8 throughout.
//
// Errors: those of SkipMark; one that names the first byte that is none of UTF-8, counted from 1.
func Check(text []byte) ([]byte, error) {
	rest, err := SkipMark(text)
	if err != nil || utf8.Valid(rest) {
		return rest, err
	}
	at := 0
	for {
		r, n := utf8.DecodeRune(rest[at:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		at += n
	}
	return nil, fmt.Errorf("it is not UTF-8: byte %d is %#02x", len(text)-len(rest)+at+1, rest[at])
}
