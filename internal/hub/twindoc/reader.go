package twindoc

import "bytes"

// reader goes over a canonical document. When it meets something else it fails, and stays at the end of the text.
type reader struct {
	text   []byte
	at     int
	failed bool
}

// peek returns the next byte, 0 at the end.
func (r *reader) peek() byte {
	if r.at < len(r.text) {
		return r.text[r.at]
	}
	return 0
}

func (r *reader) fail() {
	r.failed = true
	r.at = len(r.text)
}

// open reads the beginning of an object.
func (r *reader) open() {
	if r.peek() != '{' {
		r.fail()
		return
	}
	r.at++
}

// entry is the beginning of a member of an object.
type entry struct {
	ok    bool   // there is one
	start int    // where the first quote of its name stands; if not ok, where the object ends
	value int    // where its value stands
	name  []byte // as it stands there, without quotes
}

// entry reads the name of the next member of the object that r is in, up to its value. Behind the last one it reads the end of
// the object, and the entry is not ok.
func (r *reader) entry() entry {
	at := r.at
	if at < len(r.text) && r.text[at] == ',' {
		at++
	}
	e := r.entryAt(at)
	switch {
	case e.ok:
		r.at = e.value
	case at < len(r.text) && r.text[at] == '}':
		r.at = at + 1
	default:
		r.fail()
	}
	return e
}

// entryAt returns the beginning of the member that begins at start, not ok if none does. It does not move.
func (r *reader) entryAt(start int) entry {
	if start < len(r.text) && r.text[start] == '"' {
		if end := stringEnd(r.text, start+1); end > 0 && end < len(r.text) && r.text[end] == ':' {
			return entry{ok: true, start: start, value: end + 1, name: r.text[start+1 : end-1]}
		}
	}
	return entry{start: start}
}

// pass reads on from e, up to limit or so, as long as names are smaller than name. It returns the entry that it has come to, how
// that compares with name (smaller too if it is not known), and how many nodes lie between. Most of a merge is spent here.
func (r *reader) pass(e entry, name []byte, limit int) (next entry, order, nodes int) {
	for e.ok && e.start < limit {
		if order = bytes.Compare(e.name, name); order >= 0 {
			return e, order, nodes
		}
		nodes += r.skip()
		e = r.entry()
	}
	return e, -1, nodes
}

// skip reads a value, and returns how many nodes of metadata it has: one for itself, and one for each member of an object, but
// none inside arrays.
func (r *reader) skip() int {
	switch r.peek() {
	case '{':
		r.at++
		return 1 + r.skipMembers()
	case '[':
		r.skipArray()
	case '"':
		r.skipString()
	default:
		r.skipScalar()
	}
	return 1
}

// skipMembers reads the rest of the object that r is in, with its end, and returns the nodes of what it has read.
func (r *reader) skipMembers() int {
	nodes := 0
	for depth := 1; depth > 0; {
		switch r.peek() {
		case '{':
			depth++
			r.at++
		case '}':
			depth--
			r.at++
		case ',':
			r.at++
		case ':':
			nodes++
			r.at++
		case '[':
			r.skipArray()
		case '"':
			r.skipString()
		case 0:
			r.fail()
			return nodes
		default:
			r.skipScalar()
		}
	}
	return nodes
}

func (r *reader) skipArray() {
	for depth := 0; ; {
		switch r.peek() {
		case '[', '{':
			depth++
			r.at++
		case ']', '}':
			depth--
			r.at++
			if depth == 0 {
				return
			}
		case '"':
			r.skipString()
		case 0:
			r.fail()
			return
		default:
			r.at++
		}
	}
}

func (r *reader) skipString() {
	if end := stringEnd(r.text, r.at+1); end > 0 {
		r.at = end
	} else {
		r.fail()
	}
}

// stringEnd returns where the string ends whose content begins at from, behind its last quote; 0 if it does not.
func stringEnd(text []byte, from int) int {
	for i := from; ; {
		n := bytes.IndexByte(text[i:], '"')
		if n < 0 {
			return 0
		}
		i += n + 1
		if text[i-2] != '\\' || !isEscaped(text[from:i-1]) {
			return i
		}
	}
}

// isEscaped reports whether what follows text in a string is escaped by a backslash at the end of text.
func isEscaped(text []byte) bool {
	n := 0
	for n < len(text) && text[len(text)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// skipScalar reads a number or a literal.
func (r *reader) skipScalar() {
	start := r.at
	for r.at < len(r.text) {
		switch r.text[r.at] {
		case ',', '}', ']':
			if r.at == start {
				r.fail()
			}
			return
		}
		r.at++
	}
	r.fail() // a document does not end with a scalar
}
