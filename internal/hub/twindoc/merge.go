package twindoc

import "time"

// Merge returns s with p merged into it at a time. The version grows by one, that of tags stays 0. Without a patch it is s.
//
// Errors: CodeArgumentInvalid when the section would be larger than it may be, and than it was. An error without a code: what
// is stored is damaged, or of a newer program.
func (s Section) Merge(p *Patch, at time.Time) (Section, error) {
	switch {
	case p == nil:
		return s, nil
	case p.doc == nil:
		return s.Replace(&Patch{kind: p.kind, doc: []byte(`{}`)}, at)
	}
	next := s.next(p.kind)
	m := merger{old: reader{text: s.document()}, patch: reader{text: p.doc}, size: s.Size}
	if p.kind != Tags {
		old, err := s.metadata(p.kind)
		if err == nil && old.width != stampWidth(p.kind) {
			err = errDamaged
		}
		if err != nil {
			return Section{}, err
		}
		m.meta, m.now = old.begin(stampOf(at, next.Version), len(p.doc)/minMember) // may number the stamps anew
		m.firstNode = len(m.meta)
		m.oldNodes, m.oldCount, m.oldIndex = old.nodes, len(old.nodes)/nodeWidth, old.index
	}
	m.out = make([]byte, 0, len(m.old.text)+len(p.doc))
	m.index.index = make([]byte, 0, cap(m.out)/indexGap*indexWidth)
	m.section()
	if m.old.failed || m.patch.failed {
		return Section{}, errDamaged
	}
	next.Document, next.Size = m.out, m.size
	if p.kind != Tags {
		next.Metadata = appendIndex(m.meta, m.index.index)
	}
	if err := checkGrowth(p.kind, &s, &next); err != nil {
		return Section{}, err
	}
	return next, nil
}

// Replace returns s with p in its place. Errors are as for Merge.
func (s Section) Replace(p *Patch, at time.Time) (Section, error) {
	next := s.next(p.kind)
	next.Document = p.doc
	if p.doc == nil {
		next.Document = []byte(`{}`)
	}
	next.Size = sizeOf(next.Document)
	if p.kind != Tags {
		next.Metadata = uniformMetadata(next.Document, p.kind, stampOf(at, next.Version)).encoded()
	}
	if err := checkGrowth(p.kind, &s, &next); err != nil {
		return Section{}, err
	}
	return next, nil
}

// next returns an empty section with the version that follows that of s.
func (s Section) next(k Kind) Section {
	if k == Tags {
		return Section{}
	}
	return Section{Version: s.Version + 1}
}

func (s Section) document() []byte {
	if len(s.Document) < len(`{}`) {
		return []byte(`{}`)
	}
	return s.Document
}

// merger merges a patch into a document, as two sorted lists are merged: RFC 7396.
type merger struct {
	old   reader
	patch reader
	out   []byte
	size  int

	// The metadata, in step with the document. Tags have none, and leave all of it empty.
	meta      []byte // as far as it is written, with the nodes at firstNode
	firstNode int
	now       []byte // the node of what is written now; nil: no metadata
	oldNodes  []byte // the nodes of what old has still to read
	oldCount  int    // of all nodes of old
	index     indexWriter
	oldIndex  sparseIndex // of what old has still to read, or more

	nested int // objects in which the patch is read, below the section
}

// section merges the whole.
func (m *merger) section() {
	m.old.open()
	m.patch.open()
	m.dropNodes(1)
	m.stamp()
	first := m.begin()
	rest := m.members(first)
	if !rest.ok {
		m.out = append(m.out, '}')
		return
	}
	m.separate(first)
	m.copy(rest.start, len(m.old.text), len(m.oldNodes)/nodeWidth) // to the end of the section, unread
	m.old.at = len(m.old.text)
}

// object merges two objects that are members.
func (m *merger) object() {
	m.old.open()
	m.patch.open()
	m.dropNodes(1)
	m.stamp()
	m.nested++
	first := m.begin()
	if rest := m.members(first); rest.ok {
		nodes := m.old.skip() + m.old.skipMembers()
		m.separate(first)
		m.copy(rest.start, m.old.at, nodes) // with its end
	} else {
		m.out = append(m.out, '}')
	}
	m.nested--
}

// begin writes the beginning of an object, and returns where its first member is to stand.
func (m *merger) begin() (first int) {
	m.out = append(m.out, '{')
	return len(m.out)
}

// separate goes before a member, with a comma if it is not the first one.
func (m *merger) separate(first int) {
	if len(m.out) > first {
		m.out = append(m.out, ',')
	}
	m.indexMember()
}

// members merges the members of two objects until the patch has no more of them, and returns the member of the old one that
// comes next, of which the name is read.
func (m *merger) members(first int) entry {
	old := m.old.entry()
	for p := m.patch.entry(); p.ok; p = m.patch.entry() {
		// Members that the patch does not name stay as they are.
		old = m.jump(first, old, p.name)
		order := -1
		for old.ok && order < 0 {
			var next entry
			var nodes int
			next, order, nodes = m.old.pass(old, p.name, old.start+indexGap)
			m.keep(first, old.start, next, nodes)
			old = next
		}
		if order == 0 {
			m.change(first, old, p)
			old = m.old.entry()
		} else {
			m.add(first, p)
		}
	}
	return old
}

// keep copies the members of the old document from an offset up to the next entry, with their nodes.
func (m *merger) keep(first, from int, next entry, nodes int) {
	if next.start <= from {
		return
	}
	end := next.start
	if next.ok {
		end-- // the comma
	}
	m.separate(first)
	m.copy(from, end, nodes)
}

// copy copies a range of the old document, with its nodes and what the index has of it.
func (m *merger) copy(from, end, nodes int) {
	m.keepIndex(from, end)
	m.out = append(m.out, m.old.text[from:end]...)
	m.keepNodes(nodes)
}

// change merges one member of the patch into the old one of the same name.
func (m *merger) change(first int, old, p entry) {
	if m.old.peek() == '{' && m.patch.peek() == '{' {
		m.separate(first)
		m.out = append(m.out, m.patch.text[p.start:m.patch.at]...)
		m.object()
		return
	}
	m.dropNodes(m.old.skip())
	m.size -= sizeOf(m.old.text[old.start:m.old.at])
	m.add(first, p)
}

// add adds a member of the patch that the old document does not have, or no longer has; not so if it is null.
func (m *merger) add(first int, p entry) {
	if m.patch.peek() == 'n' {
		m.patch.skip()
		return
	}
	m.separate(first)
	from := len(m.out)
	m.out = append(m.out, m.patch.text[p.start:m.patch.at]...)
	m.set()
	m.size += sizeOf(m.out[from:])
}

// set copies a value of the patch without the members that are null.
func (m *merger) set() {
	m.stamp()
	if m.patch.peek() != '{' {
		from := m.patch.at
		m.patch.skip()
		m.out = append(m.out, m.patch.text[from:m.patch.at]...)
		return
	}
	m.patch.open()
	m.nested++
	first := m.begin()
	for p := m.patch.entry(); p.ok; p = m.patch.entry() {
		if m.patch.peek() == 'n' {
			m.patch.skip()
			continue
		}
		m.separate(first)
		m.out = append(m.out, m.patch.text[p.start:m.patch.at]...)
		m.set()
	}
	m.out = append(m.out, '}')
	m.nested--
}

// stamp writes the node of something that is written now.
func (m *merger) stamp() { m.meta = append(m.meta, m.now...) }

// keepNodes copies n nodes of the old metadata, dropNodes passes over them.
func (m *merger) keepNodes(n int) { m.meta = append(m.meta, m.dropNodes(n)...) }

func (m *merger) dropNodes(n int) []byte {
	if m.now == nil {
		return nil
	}
	if n*nodeWidth > len(m.oldNodes) {
		m.old.fail()
		return nil
	}
	nodes := m.oldNodes[:n*nodeWidth]
	m.oldNodes = m.oldNodes[n*nodeWidth:]
	return nodes
}
