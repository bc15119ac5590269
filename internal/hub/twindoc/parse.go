package twindoc

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/hubward/hubward"
)

// parser reads JSON and writes it down in canonical form.
type parser struct {
	text []byte
	at   int
	out  []byte

	limits    bool // those of a section apply
	dropNulls bool // members that are null are left out
	keepOrder bool // members stay in the order in which they come
	maxDepth  int  // nested objects and arrays

	members []member // of the objects that are open, those of the innermost last
	scratch []byte
}

// member is where a member stands in parser.out.
type member struct {
	start  int // its name's first quote
	colon  int
	end    int
	isNull bool
}

// place is where in a text a value stands.
type place struct {
	depth   int // objects and arrays around it
	objects int // the objects of these
	inArray bool
}

// section reads the text of a section, an object, or null if that is allowed.
func (p *parser) section(nullAllowed bool) (isNull bool, f *fault) {
	p.out = make([]byte, 0, len(p.text))
	p.members = make([]member, 0, 16)
	p.space()
	isObject := p.peek() == '{'
	p.limits = isObject // of what is no object only whether it is JSON matters
	if f = p.value(place{}); f == nil {
		f = p.end()
	}
	if f != nil {
		return false, f
	}
	isNull = string(p.out) == "null"
	if !isObject && (!isNull || !nullAllowed) {
		return false, invalid("it has to be an object")
	}
	if len(p.out) > maxText {
		return false, invalid("its text has %d bytes, the limit is %d", len(p.out), maxText)
	}
	return isNull, nil
}

// end wants nothing but white space.
func (p *parser) end() *fault {
	p.space()
	if p.at < len(p.text) {
		return p.unexpected()
	}
	return nil
}

// value reads a value with the white space in front of it.
func (p *parser) value(at place) *fault {
	p.space()
	switch c := p.peek(); {
	case c == '{':
		return p.object(at)
	case c == '[':
		return p.array(at)
	case c == '"':
		n, f := p.string()
		if f == nil && p.limits && n > maxString {
			f = invalid("a string has %d bytes, the limit is %d", n, maxString)
		}
		return f
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	case p.literal("true"), p.literal("false"):
		return nil
	case p.literal("null"):
		if p.limits && at.inArray {
			return invalid("null may not stand in an array")
		}
		return nil
	}
	return p.unexpected()
}

// enter checks how deep the object or array that begins here is nested.
func (p *parser) enter(at place) *fault {
	if at.depth >= p.maxDepth {
		return invalid("more than %d nested objects and arrays", p.maxDepth)
	}
	return nil
}

func (p *parser) object(at place) *fault {
	if f := p.enter(at); f != nil {
		return f
	}
	if p.limits && at.objects > maxObjects { // the section itself is one of them
		return invalid("more than %d nested objects", maxObjects)
	}
	inside := place{depth: at.depth + 1, objects: at.objects + 1, inArray: at.inArray}
	p.at++
	start, first := len(p.out), len(p.members)
	p.out = append(p.out, '{')
	if p.space(); p.peek() == '}' {
		p.at++
		p.out = append(p.out, '}')
		return nil
	}
	for {
		if f := p.member(inside, len(p.members) == first); f != nil {
			return f
		}
		p.space()
		switch p.peek() {
		case ',':
			p.at++
		case '}':
			p.at++
			p.out = append(p.out, '}')
			p.arrange(start, first)
			return nil
		default:
			return p.unexpected()
		}
	}
}

// member reads one member of an object, with the comma in front of it in the output unless it is the first one there.
func (p *parser) member(at place, isFirst bool) *fault {
	before := len(p.out)
	if !isFirst {
		p.out = append(p.out, ',')
	}
	m := member{start: len(p.out)}
	p.space()
	if p.peek() != '"' {
		return p.unexpected()
	}
	n, f := p.string()
	if f != nil {
		return f
	}
	m.colon = len(p.out)
	name := p.nameOf(m)
	isOurs := p.limits && at.depth == 1 && isOurs(name)
	if p.limits && !isOurs {
		if text := nameFault(name, n); text != "" {
			return invalid("%s", text).inMember(name)
		}
	}
	if p.space(); p.peek() != ':' {
		return p.unexpected()
	}
	p.at++
	p.out = append(p.out, ':')
	if isOurs {
		return p.leaveOut(at, before)
	}
	if f := p.value(at); f != nil {
		return f.inMember(p.nameOf(m))
	}
	m.end = len(p.out)
	m.isNull = string(p.out[m.colon+1:]) == "null"
	p.members = append(p.members, m)
	return nil
}

// isOurs reports whether the hub itself writes a member of that name into a section.
func isOurs(name []byte) bool {
	switch string(name) {
	case "$version", "$metadata", "$etag":
		return true
	}
	return false
}

// leaveOut reads the value of a member, for which no limits apply, and takes the member off the output.
func (p *parser) leaveOut(at place, before int) *fault {
	p.limits = false
	f := p.value(at)
	p.limits = true
	p.out = p.out[:before]
	return f
}

func (p *parser) nameOf(m member) []byte { return p.out[m.start+1 : m.colon-1] }

func (p *parser) array(at place) *fault {
	if f := p.enter(at); f != nil {
		return f
	}
	at.depth++
	at.inArray = true
	p.at++
	p.out = append(p.out, '[')
	if p.space(); p.peek() == ']' {
		p.at++
		p.out = append(p.out, ']')
		return nil
	}
	for i := 0; ; i++ {
		if f := p.value(at); f != nil {
			return f.inElement(i)
		}
		p.space()
		switch p.peek() {
		case ',':
			p.at++
			p.out = append(p.out, ',')
		case ']':
			p.at++
			p.out = append(p.out, ']')
			return nil
		default:
			return p.unexpected()
		}
	}
}

// arrange puts the members of the object that has just ended, and begins at start, into order, and leaves out those that are
// not to be kept. Its members begin at first, and are taken off.
func (p *parser) arrange(start, first int) {
	members := p.members[first:]
	p.members = p.members[:first]
	sorted := true
	for i := range members {
		if p.dropNulls && members[i].isNull || i > 0 && bytes.Compare(p.nameOf(members[i-1]), p.nameOf(members[i])) >= 0 {
			sorted = false
			break
		}
	}
	if sorted {
		return
	}
	slices.SortFunc(members, func(a, b member) int {
		return cmp.Or(bytes.Compare(p.nameOf(a), p.nameOf(b)), cmp.Compare(a.start, b.start))
	})
	kept := members[:0]
	for i, m := range members {
		isLast := i+1 == len(members) || !bytes.Equal(p.nameOf(m), p.nameOf(members[i+1]))
		if isLast && !(p.dropNulls && m.isNull) {
			kept = append(kept, m)
		}
	}
	if p.keepOrder && len(kept) == len(members) {
		return // all of them stand where they stay
	}
	if p.keepOrder {
		slices.SortFunc(kept, func(a, b member) int { return cmp.Compare(a.start, b.start) })
	}
	p.scratch = p.scratch[:0]
	for i, m := range kept {
		if i > 0 {
			p.scratch = append(p.scratch, ',')
		}
		p.scratch = append(p.scratch, p.out[m.start:m.end]...)
	}
	p.out = append(append(p.out[:start+1], p.scratch...), '}')
}

func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// peek returns the next byte, 0 at the end.
func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) unexpected() *fault {
	if p.at >= len(p.text) {
		return &fault{code: hubward.CodeFormatError, text: "the JSON text ends too early"}
	}
	for _, word := range []string{"NaN", "Infinity", "-Infinity"} {
		if bytes.HasPrefix(p.text[p.at:], []byte(word)) {
			return &fault{code: hubward.CodeFormatError, text: word + " is no JSON"}
		}
	}
	return p.malformed("unexpected character")
}
