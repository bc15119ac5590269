package pebblelog

import (
	"encoding/binary"

	"github.com/hubward/hubward/internal/hub"
)

// chunk holds consecutive events of one partition in memory: first while they gather, then while they are committed,
// then as part of the partition's tail. Each event is
//
//	length of the record uint32 | the record as it is stored
//
// A gathering chunk is guarded by Log.mu. From the moment the committer takes it, buf and count do not change until the
// chunk is recycled, so readers that hold a reference need no lock.
type chunk struct {
	first  int64 // sequence number of the oldest event, from the moment the committer takes the chunk
	count  int
	buf    []byte
	lastMS int64 // enqueued time of the newest event

	refs int // guarded by Log.mu: the tail and each reader hold one
}

const frameHeader = 4

// add appends one event.
func (c *chunk) add(ms int64, data []byte) {
	size := recordHeader + len(data)
	var header [frameHeader + recordHeader]byte
	binary.BigEndian.PutUint32(header[:], uint32(size))
	putRecord(header[frameHeader:], ms, nil)
	c.buf = append(c.buf, header[:]...)
	c.buf = append(c.buf, data...)
	c.count++
	c.lastMS = ms
}

// next is the sequence number behind the newest event.
func (c *chunk) next() int64 { return c.first + int64(c.count) }

// cutFrame splits the first event's record off b.
func cutFrame(b []byte) (record, rest []byte) {
	size := frameHeader + int(binary.BigEndian.Uint32(b))
	return b[frameHeader:size], b[size:]
}

// visit hands the events with sequence numbers in [from, end) to v and returns the number to go on from.
func (c *chunk) visit(v *visitor, from, end int64) (next int64, err error) {
	rest := c.buf
	var record []byte
	for sequence := c.first; sequence < min(end, c.next()); sequence++ {
		record, rest = cutFrame(rest)
		if sequence < from {
			continue
		}
		r, err := decodeRecord(v.part, sequence, record)
		if err != nil {
			return sequence, err
		}
		if !v.visit(r) {
			return sequence + 1, nil
		}
	}
	return min(end, c.next()), nil
}

// visitor counts what a Read has handed out.
type visitor struct {
	part     hub.Partition
	fn       func(hub.Record) bool
	maxBytes int
	seen     int
	stopped  bool
}

// visit says whether to go on.
func (v *visitor) visit(r hub.Record) bool {
	v.seen += len(r.Data)
	v.stopped = !v.fn(r) || v.seen >= v.maxBytes
	return !v.stopped
}

// chunkPool keeps chunks for reuse, up to a number of bytes. It is guarded by Log.mu.
type chunkPool struct {
	free     [2][]*chunk // those of up to smallChunk bytes, and larger ones
	bytes    int
	maxBytes int
}

const (
	smallChunk = 32 << 10
	// maxFreeChunks bounds each list of the pool: there is a chunk per partition in each of two batches.
	maxFreeChunks = 512
)

func sizeClass(bytes int) int {
	if bytes <= smallChunk {
		return 0
	}
	return 1
}

// get returns an empty chunk that may come to hold some number of bytes. After a burst, small commits do not occupy
// the large buffers.
func (p *chunkPool) get(bytes int) *chunk {
	class := sizeClass(bytes)
	for _, free := range []*[]*chunk{&p.free[class], &p.free[1-class]} {
		last := len(*free) - 1
		if last < 0 || cap((*free)[last].buf) > 8*max(bytes, 1<<10) {
			continue
		}
		c := (*free)[last]
		(*free)[last] = nil
		*free = (*free)[:last]
		p.bytes -= cap(c.buf)
		return c
	}
	return &chunk{buf: make([]byte, 0, bytes)}
}

// put takes a chunk that nobody refers to any more.
func (p *chunkPool) put(c *chunk) {
	free := &p.free[sizeClass(cap(c.buf))]
	if p.bytes+cap(c.buf) > p.maxBytes || len(*free) >= maxFreeChunks {
		return // to the garbage collector
	}
	*c = chunk{buf: c.buf[:0]}
	p.bytes += cap(c.buf)
	*free = append(*free, c)
}
