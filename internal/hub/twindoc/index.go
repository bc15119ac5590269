package twindoc

import (
	"bytes"
	"encoding/binary"
	"sort"
)

// A sparse index says for about every KiB of a section's text where one of its members begins, and which of the nodes of the
// metadata is that member's first. With it a small patch does not read a large section, but copies it. It is made on the way: a
// merge carries over what it was given, and adds what it comes by. A section of less than 1 KiB has none.
const (
	indexGap   = 1 << 10
	indexWidth = 4 + 2
)

// sparseIndex is a row of entries: a uint32, the offset of a member's first quote, and a uint16, the number of its node.
type sparseIndex []byte

func (x sparseIndex) len() int { return len(x) / indexWidth }

func (x sparseIndex) entry(i int) (start, node int) {
	data := x[i*indexWidth:]
	return int(binary.BigEndian.Uint32(data)), int(binary.BigEndian.Uint16(data[4:]))
}

// indexWriter makes the index of what a merge writes.
type indexWriter struct {
	index sparseIndex
	last  int // offset of the newest entry
}

// add adds an entry, unless it is too near to the one before.
func (w *indexWriter) add(start, node int) {
	if start-w.last < indexGap {
		return
	}
	w.index = binary.BigEndian.AppendUint32(w.index, uint32(start))
	w.index = binary.BigEndian.AppendUint16(w.index, uint16(node))
	w.last = start
}

// indexMember notes a member of the section that is to be written now.
func (m *merger) indexMember() {
	if m.nested == 0 && m.now != nil {
		m.index.add(len(m.out), m.node())
	}
}

// keepIndex carries over the entries of a range of the old section that is to be copied now.
func (m *merger) keepIndex(from, end int) {
	if m.nested > 0 {
		return
	}
	moved, renumbered := len(m.out)-from, m.node()-m.oldNode()
	for ; m.oldIndex.len() > 0; m.oldIndex = m.oldIndex[indexWidth:] {
		start, node := m.oldIndex.entry(0)
		if start >= end {
			break
		}
		if start >= from {
			m.index.add(start+moved, node+renumbered)
		}
	}
}

// jump moves from old, a member of the section, to the last member in the index whose name is not larger than name, if that
// lies further on, and copies what is between.
func (m *merger) jump(first int, old entry, name []byte) entry {
	if m.nested > 0 || !old.ok {
		return old
	}
	i := sort.Search(m.oldIndex.len(), func(i int) bool {
		start, _ := m.oldIndex.entry(i)
		e := m.old.entryAt(start)
		return !e.ok || bytes.Compare(e.name, name) > 0
	}) - 1
	if i < 0 {
		return old
	}
	start, node := m.oldIndex.entry(i)
	nodes := node - m.oldNode()
	if start <= old.start || nodes <= 0 {
		return old
	}
	next := m.old.entryAt(start)
	m.keep(first, old.start, next, nodes)
	m.old.at = next.value
	return next
}

// node and oldNode are the numbers of the nodes that are written and read next.
func (m *merger) node() int    { return (len(m.meta) - m.firstNode) / nodeWidth }
func (m *merger) oldNode() int { return m.oldCount - len(m.oldNodes)/nodeWidth }
