package twindoc

import (
	"encoding/binary"
	"fmt"
	"time"
)

// The form of stored metadata: names are not repeated, and a patch leaves most of it as it is.
//
//	byte     version of this form, 1
//	byte     width of a stamp: 8 or 16 bytes
//	uint16   number of stamps
//	uint16   number of entries of the index
//	stamps   a time, uint64, in units of 100 ns since the year 1; with the width 16 a $version, uint64, behind it
//	nodes    a uint16 for each, the number of its stamp: the section itself, and each member of an object that is not in an
//	         array, in the order of the document
//	index    the sparse index of the section
//
// All numbers are big-endian. A stamp that no node has is free: the next write takes its place. A document has fewer than 65,536
// nodes, since each takes five bytes of its text: {"":1} is the shortest object of one.
const (
	metadataVersion = 1
	metadataHeader  = 6
	nodeWidth       = 2
	minMember       = 5
)

// stamp is when something was written, and by which version of the section.
type stamp struct {
	ticks   uint64 // 100 ns since the year 1
	version int64  // of desired properties; not kept of others
}

const (
	ticksPerSecond = 10_000_000
	secondsTo1970  = 62_135_596_800 // from the year 1
)

func stampOf(at time.Time, version int64) stamp {
	return stamp{uint64((at.Unix()+secondsTo1970)*ticksPerSecond + int64(at.Nanosecond()/100)), version}
}

func (s stamp) time() time.Time {
	seconds := int64(s.ticks/ticksPerSecond) - secondsTo1970
	return time.Unix(seconds, int64(s.ticks%ticksPerSecond)*100).UTC()
}

// metadata is stored metadata, taken apart.
type metadata struct {
	width  int
	stamps []byte
	nodes  []byte
	index  sparseIndex
}

func stampWidth(k Kind) int {
	if k == Desired {
		return 16
	}
	return 8
}

// metadata takes the metadata of a section of properties apart. k matters only for one that was never written: then all has the
// time zero.
func (s Section) metadata(k Kind) (metadata, error) {
	if len(s.Metadata) == 0 {
		return uniformMetadata(s.document(), k, stamp{}), nil
	}
	return decodeMetadata(s.Metadata)
}

func decodeMetadata(data []byte) (metadata, error) {
	if len(data) < metadataHeader {
		return metadata{}, errDamaged
	}
	if data[0] != metadataVersion {
		return metadata{}, fmt.Errorf("twindoc: the stored metadata has version %d, this program knows %d", data[0], metadataVersion)
	}
	m := metadata{width: int(data[1])}
	if m.width != stampWidth(Desired) && m.width != stampWidth(Reported) {
		return metadata{}, errDamaged
	}
	stamps, index := int(binary.BigEndian.Uint16(data[2:]))*m.width, int(binary.BigEndian.Uint16(data[4:]))*indexWidth
	data = data[metadataHeader:]
	nodes := len(data) - stamps - index
	if stamps == 0 || nodes < nodeWidth || nodes%nodeWidth != 0 {
		return metadata{}, errDamaged
	}
	m.stamps, m.nodes, m.index = data[:stamps], data[stamps:][:nodes:nodes], data[stamps+nodes:]
	return m, nil
}

// uniformMetadata is that of a document of which everything has one stamp.
func uniformMetadata(document []byte, k Kind, s stamp) metadata {
	r := reader{text: document}
	m := metadata{width: stampWidth(k), nodes: make([]byte, r.skip()*nodeWidth)}
	m.stamps = appendStamp(nil, s, m.width)
	return m
}

// encoded returns the stored form.
func (m metadata) encoded() []byte {
	out := make([]byte, 0, metadataHeader+len(m.stamps)+len(m.nodes)+len(m.index))
	out = append(append(appendHeader(out, m.width, m.count()), m.stamps...), m.nodes...)
	return appendIndex(out, m.index)
}

// appendHeader appends the header of metadata that has no index yet.
func appendHeader(dst []byte, width, stamps int) []byte {
	dst = append(dst, metadataVersion, byte(width))
	return append(binary.BigEndian.AppendUint16(dst, uint16(stamps)), 0, 0)
}

// appendIndex appends the index to metadata that has none yet.
func appendIndex(meta []byte, x sparseIndex) []byte {
	binary.BigEndian.PutUint16(meta[metadataHeader-2:], uint16(x.len()))
	return append(meta, x...)
}

func appendStamp(dst []byte, s stamp, width int) []byte {
	dst = binary.BigEndian.AppendUint64(dst, s.ticks)
	if width == 16 {
		dst = binary.BigEndian.AppendUint64(dst, uint64(s.version))
	}
	return dst
}

func (m metadata) count() int { return len(m.stamps) / m.width }

// stamp returns the stamp of that number.
func (m metadata) stamp(number int) (stamp, bool) {
	if number >= m.count() {
		return stamp{}, false
	}
	data := m.stamps[number*m.width:]
	s := stamp{ticks: binary.BigEndian.Uint64(data)}
	if m.width == 16 {
		s.version = int64(binary.BigEndian.Uint64(data[8:]))
	}
	return s, true
}

// begin returns the beginning of the metadata that follows m, up to its nodes, with one more stamp, and the node of that. It
// has room for newNodes more nodes.
func (m *metadata) begin(now stamp, newNodes int) (meta, node []byte) {
	free, live := m.use()
	if m.count() > 2*live+16 {
		m.pack()
		free = m.count()
	}
	size := len(m.stamps)
	if free == m.count() {
		size += m.width
	}
	meta = make([]byte, 0, metadataHeader+size+len(m.nodes)+newNodes*nodeWidth+nodeWidth+len(m.index)+4*indexWidth)
	meta = append(appendHeader(meta, m.width, size/m.width), m.stamps...)
	at := metadataHeader + free*m.width
	if meta = appendStamp(meta[:at], now, m.width); len(meta) < metadataHeader+size {
		meta = meta[:metadataHeader+size]
	}
	return meta, binary.BigEndian.AppendUint16(nil, uint16(free))
}

// use returns the number of the first stamp that no node has, the count if all are in use, and how many are in use.
func (m *metadata) use() (free, live int) {
	count := m.count()
	var few [1024 / 64]uint64
	used := few[:]
	if count > 1024 {
		used = make([]uint64, (count+63)/64)
	}
	for i := 0; i < len(m.nodes); i += nodeWidth {
		number := int(binary.BigEndian.Uint16(m.nodes[i:]))
		bit := uint64(1) << (number % 64)
		if number < count && used[number/64]&bit == 0 {
			used[number/64] |= bit
			live++
		}
	}
	for free < count && used[free/64]&(1<<(free%64)) != 0 {
		free++
	}
	return free, live
}

// pack takes the stamps that no node has out of m.
func (m *metadata) pack() {
	numbers := make([]int, m.count()) // new ones from 1 on, by the old ones
	packed := metadata{width: m.width, nodes: make([]byte, 0, len(m.nodes)), index: m.index}
	for i := 0; i < len(m.nodes); i += nodeWidth {
		old := int(binary.BigEndian.Uint16(m.nodes[i:]))
		if old >= len(numbers) {
			return // damaged: let whoever shows it find out
		}
		if numbers[old] == 0 {
			packed.stamps = append(packed.stamps, m.stamps[old*m.width:][:m.width]...)
			numbers[old] = packed.count()
		}
		packed.nodes = binary.BigEndian.AppendUint16(packed.nodes, uint16(numbers[old]-1))
	}
	*m = packed
}
