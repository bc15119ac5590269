package twindoc

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/hubward/hubward"
)

// malformed says that there is no JSON at p.at.
func (p *parser) malformed(what string) *fault {
	return &fault{code: hubward.CodeFormatError, text: fmt.Sprintf("the text is no JSON: %s at byte %d", what, p.at+1)}
}

// literal reads word if the text goes on with it.
func (p *parser) literal(word string) bool {
	if !bytes.HasPrefix(p.text[p.at:], []byte(word)) {
		return false
	}
	p.at += len(word)
	p.out = append(p.out, word...)
	return true
}

// isPlain says which bytes stand for themselves in a string, in any text.
var isPlain = func() (plain [256]bool) {
	for c := 0x20; c < 0x80; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

// string reads a string, and returns how many bytes it has when it is decoded.
func (p *parser) string() (length int, f *fault) {
	p.at++
	p.out = append(p.out, '"')
	for {
		start := p.at
		for p.at < len(p.text) && isPlain[p.text[p.at]] {
			p.at++
		}
		p.out = append(p.out, p.text[start:p.at]...)
		length += p.at - start
		if p.at == len(p.text) {
			return 0, p.unexpected()
		}
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			p.out = append(p.out, '"')
			return length, nil
		case c < 0x20:
			return 0, p.malformed("a control character that is not escaped")
		case c == '\\':
			r, f := p.escape()
			if f != nil {
				return 0, f
			}
			p.out = appendEscaped(p.out, r)
			length += utf8.RuneLen(r)
		default:
			r, n := utf8.DecodeRune(p.text[p.at:])
			if r == utf8.RuneError && n == 1 {
				return 0, invalid("a string is not UTF-8: byte %d is %#02x", p.at+1, c)
			}
			p.out = append(p.out, p.text[p.at:p.at+n]...)
			p.at += n
			length += n
		}
	}
}

// escape reads what a backslash begins.
func (p *parser) escape() (rune, *fault) {
	if p.at++; p.at == len(p.text) {
		return 0, p.unexpected()
	}
	c := p.text[p.at]
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		return p.unicodeEscape()
	default:
		return 0, p.malformed("an unknown escape")
	}
	p.at++
	return rune(c), nil
}

// unicodeEscape reads what follows a backslash, from the u on, with the second half of a surrogate pair.
func (p *parser) unicodeEscape() (rune, *fault) {
	r, ok := p.hex()
	if !ok {
		return 0, p.malformed("an escape without four hexadecimal digits")
	}
	if r == 0 {
		return 0, invalid("a string may not contain U+0000")
	}
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	if bytes.HasPrefix(p.text[p.at:], []byte(`\u`)) {
		p.at++
		low, ok := p.hex()
		if !ok {
			return 0, p.malformed("an escape without four hexadecimal digits")
		}
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, nil
		}
	}
	return 0, invalid("a string contains half a surrogate pair, U+%04X", r)
}

// hex reads u and four digits.
func (p *parser) hex() (rune, bool) {
	if len(p.text) < p.at+5 {
		return 0, false
	}
	r := rune(0)
	for _, c := range p.text[p.at+1 : p.at+5] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	p.at += 5
	return r, true
}

// appendEscaped appends a character as it stands in a canonical string.
func appendEscaped(dst []byte, r rune) []byte {
	const digits = "0123456789abcdef"
	switch {
	case r == '"' || r == '\\':
		return append(dst, '\\', byte(r))
	case r >= 0x20:
		return utf8.AppendRune(dst, r)
	}
	switch r {
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return append(dst, '\\', 'u', '0', '0', digits[r>>4], digits[r&15])
}

// number reads a number. Without '.', 'e' and 'E' it is an integer.
func (p *parser) number() *fault {
	start := p.at
	if p.peek() == '-' {
		p.at++
	}
	switch {
	case p.peek() == '0':
		p.at++
	case !p.digits():
		p.at = start
		return p.unexpected()
	}
	isInteger, hasExponent := true, false
	if p.peek() == '.' {
		isInteger = false
		if p.at++; !p.digits() {
			return p.unexpected()
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		isInteger, hasExponent = false, true
		p.at++
		if c := p.peek(); c == '+' || c == '-' {
			p.at++
		}
		if !p.digits() {
			return p.unexpected()
		}
	}
	text := p.text[start:p.at]
	p.out = append(p.out, text...)
	if p.limits && len(text) > maxNumber {
		return invalid("a number has %d characters, the limit is %d", len(text), maxNumber)
	}
	if p.limits && isInteger {
		if n, err := strconv.ParseInt(string(text), 10, 64); err != nil || n < minInteger || n > maxInteger {
			return invalid("an integer is not within %d to %d", minInteger, maxInteger)
		}
	}
	if hasExponent || len(text) > 300 {
		if _, err := strconv.ParseFloat(string(text), 64); err != nil {
			return invalid("a number is out of range: %.20s", text)
		}
	}
	return nil
}

// digits reads digits, at least one.
func (p *parser) digits() bool {
	start := p.at
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		p.at++
	}
	return p.at > start
}
