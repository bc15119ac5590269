package twindoc

import "fmt"

// CheckIndex returns how many entries the index of a section has, and an error if one of them is not the beginning of a member
// of the section with the number of its node.
func CheckIndex(s Section) (entries int, err error) {
	if len(s.Metadata) == 0 {
		return 0, nil
	}
	m, err := decodeMetadata(s.Metadata)
	if err != nil {
		return 0, err
	}
	r := reader{text: s.document()}
	r.open()
	node, seen := 1, 0
	for e := r.entry(); e.ok; e = r.entry() {
		if seen < m.index.len() {
			if start, number := m.index.entry(seen); start == e.start && number == node {
				seen++
			}
		}
		node += r.skip()
	}
	if seen < m.index.len() {
		start, number := m.index.entry(seen)
		return 0, fmt.Errorf("entry %d of %d of the index, offset %d, node %d, is no member: %s", seen, m.index.len(), start, number, s.Document)
	}
	return seen, nil
}
