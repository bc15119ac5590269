package twindoc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Check says what of a section is not as this package writes it: the document, its size, the version, or metadata that do not fit the
// document. It reads all of it. It is for who looks for damage: what reads and merges sections trusts them.
func (s Section) Check(k Kind) error {
	if err := s.checkDocument(k); err != nil {
		return fmt.Errorf("%s: %w", k, err)
	}
	if err := s.checkMetadata(k); err != nil {
		return fmt.Errorf("%s: metadata: %w", k, err)
	}
	return nil
}

func (s Section) checkDocument(k Kind) error {
	document := s.document()
	p := parser{text: document, dropNulls: true, maxDepth: maxDepth}
	f := p.value(place{})
	if f == nil {
		f = p.end()
	}
	switch {
	case f != nil:
		return errors.New(f.text)
	case document[0] != '{' || !bytes.Equal(p.out, document):
		return errors.New("the document is not canonical")
	case s.Size != sizeOf(document):
		return fmt.Errorf("the size is %d, of a document of %d", s.Size, sizeOf(document))
	case k == Tags && s.Version != 0 || k != Tags && s.Version < 1:
		return fmt.Errorf("the version is %d", s.Version)
	}
	return nil
}

// checkMetadata looks at the metadata of a section whose document is sound.
func (s Section) checkMetadata(k Kind) error {
	document := s.document()
	if len(s.Metadata) == 0 {
		if k != Tags && len(document) > len(`{}`) {
			return errors.New("there are none")
		}
		return nil
	}
	m, err := decodeMetadata(s.Metadata)
	if err != nil {
		return err
	}
	r := reader{text: document}
	nodes := r.skip()
	switch {
	case k == Tags || m.width != stampWidth(k):
		return errors.New("they are not of this section")
	case len(m.nodes) != nodes*nodeWidth:
		return fmt.Errorf("they are of %d properties, there are %d", len(m.nodes)/nodeWidth, nodes)
	}
	for i := 0; i < len(m.nodes); i += nodeWidth {
		stamp, ok := m.stamp(int(binary.BigEndian.Uint16(m.nodes[i:])))
		if !ok || k == Desired && (stamp.version < 0 || stamp.version > s.Version) {
			return fmt.Errorf("number %d is of no time, or of a version to come", i/nodeWidth)
		}
	}
	return m.checkIndex(document)
}

// checkIndex sees that each entry of the index is the beginning of a member of the section, with the number of its node.
func (m metadata) checkIndex(document []byte) error {
	r := reader{text: document}
	r.open()
	node, seen := 1, 0
	for e := r.entry(); e.ok && seen < m.index.len(); e = r.entry() {
		if start, number := m.index.entry(seen); start == e.start && number == node {
			seen++
		}
		node += r.skip()
	}
	if seen < m.index.len() {
		start, number := m.index.entry(seen)
		return fmt.Errorf("entry %d of %d of the index, offset %d, node %d, is no member", seen, m.index.len(), start, number)
	}
	return nil
}
