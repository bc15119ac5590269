package restwire

import (
	"bytes"
	"slices"
	"strings"
	"sync"
)

// MaxHeader bounds what Names remembers of one header, in bytes.
const MaxHeader = 80 << 10

// Names remembers how the header of a request or an answer is spelt, from the bytes that are read of its connection:
// net/http changes the case of names. The zero value is ready. It is safe for concurrent use.
//
//	remembering → (empty line, or more than MaxHeader) done → (Reset) remembering → …
type Names struct {
	mu     sync.Mutex // guards the fields below
	header []byte     // what was read, at most up to the end of the header
	done   bool
}

// Read takes what was read. Bodies are not kept.
func (n *Names) Read(p []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.done {
		return
	}
	from := max(0, len(n.header)-len("\n\r"))
	n.header = append(n.header, p[:min(len(p), MaxHeader-len(n.header))]...)
	if end := headerEnd(n.header[from:]); end >= 0 {
		n.header, n.done = n.header[:from+end], true
	} else if len(n.header) == MaxHeader {
		n.header, n.done = nil, true
	}
}

// headerEnd returns the index behind the last line feed before the first empty line of b, or -1.
func headerEnd(b []byte) int {
	end := -1
	for _, empty := range []string{"\n\r\n", "\n\n"} {
		if i := bytes.Index(b, []byte(empty)); i >= 0 && (end < 0 || i < end) {
			end = i
		}
	}
	if end < 0 {
		return -1
	}
	return end + 1
}

// maxKept bounds the memory for headers that a connection keeps between them, in bytes: most fit, with a small body.
const maxKept = 2 << 10

// Reset forgets the header: what is read next is another one.
func (n *Names) Reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.header, n.done = n.header[:0], false; cap(n.header) > maxKept {
		n.header = nil
	}
}

// Stop forgets the header and remembers no other.
func (n *Names) Stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.header, n.done = nil, true
}

// Lines returns the first line of the header and the names of the others, one for each line, in order. It reports false
// when there is no whole header.
func (n *Names) Lines() (first string, names []string, ok bool) {
	n.mu.Lock()
	text, ok := string(n.header), n.done && len(n.header) > 0
	n.mu.Unlock()
	if !ok {
		return "", nil, false
	}
	first, rest, _ := strings.Cut(text, "\n")
	for line := range strings.Lines(rest) {
		if name, _, ok := strings.Cut(line, ":"); ok && line[0] != ' ' && line[0] != '\t' {
			names = append(names, name)
		}
	}
	return strings.TrimSuffix(first, "\r"), names, true
}

// Match returns the lines of header, a http.Header, spelt like names, in their order. nil names stand for a spelling that
// is not known: then all come in lower case, sorted by name.
func Match(names []string, header map[string][]string, canonical func(string) string) []Field {
	if names == nil {
		for name, values := range header {
			for range values {
				names = append(names, strings.ToLower(name))
			}
		}
		slices.Sort(names)
	}
	seen := make(map[string]int)
	var out []Field
	for _, name := range names {
		key := canonical(name)
		if i := seen[key]; i < len(header[key]) {
			out = append(out, Field{Name: name, Value: header[key][i]})
			seen[key] = i + 1
		}
	}
	return out
}
