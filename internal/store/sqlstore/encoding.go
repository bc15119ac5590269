package sqlstore

import (
	"encoding/binary"
	"errors"

	"github.com/klauspost/compress/s2"

	"github.com/hubward/hubward/internal/hub"
)

// What is stored as a list in one column begins with the number of its encoding.
const (
	encodingPlain = 1
	encodingS2    = 2 // the rest of encodingPlain, as one S2 block
)

// Bounds of what is compressed: less costs one page anyway, more is one event that is too large for a batch.
const (
	leastCompressed = 2 << 10
	mostCompressed  = 2 * hub.MaxEventBatchBytes
)

var errEncoding = errors.New("the encoding of a column is not one of this program")

// appendField appends content behind its length.
func appendField[C ~string | ~[]byte](dst []byte, content C) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(content))), content...)
}

// fields takes apart what is encodingPlain. The first error sticks.
type fields struct {
	rest []byte
	err  error
}

// fieldsOf reads a column; an empty one has none.
func fieldsOf(column []byte) *fields {
	switch {
	case len(column) == 0:
		return &fields{}
	case column[0] != encodingPlain:
		return &fields{err: errEncoding}
	}
	return &fields{rest: column[1:]}
}

func (f *fields) more() bool { return f.err == nil && len(f.rest) > 0 }

func (f *fields) number() uint64 {
	n, size := binary.Uvarint(f.rest)
	if f.err != nil || size <= 0 {
		f.rest, f.err = nil, errEncoding
		return 0
	}
	f.rest = f.rest[size:]
	return n
}

// next returns a field, which is a part of the column.
func (f *fields) next() []byte {
	n := f.number()
	if f.err != nil || n > uint64(len(f.rest)) {
		f.rest, f.err = nil, errEncoding
		return nil
	}
	field := f.rest[:n:n]
	f.rest = f.rest[n:]
	return field
}

// appendEvent appends an event to a batch; the first one begins it.
func appendEvent(batch []byte, e *hub.HubEvent) []byte {
	if len(batch) == 0 {
		batch = append(batch, encodingPlain)
	}
	batch = appendField(batch, e.Identity.Device)
	batch = appendField(batch, e.Identity.Module)
	batch = appendField(batch, e.ID)
	return appendField(batch, e.Data)
}

// compressBatch returns a batch as it is stored, which may be a part of buffer, and buffer for the next one. Events are very
// much alike, and what is written to the disk is most of what storing them costs.
func compressBatch(buffer, batch []byte) (column, next []byte) {
	if len(batch) < leastCompressed || len(batch) > mostCompressed {
		return batch, buffer
	}
	rest := batch[1:]
	if most := 1 + s2.MaxEncodedLen(len(rest)); len(buffer) < most {
		buffer = make([]byte, most)
	}
	buffer[0] = encodingS2
	return buffer[:1+len(s2.Encode(buffer[1:], rest))], buffer
}

// decompressBatch undoes compressBatch.
func decompressBatch(column []byte) ([]byte, error) {
	if len(column) == 0 || column[0] != encodingS2 {
		return column, nil
	}
	n, err := s2.DecodedLen(column[1:])
	if err != nil || n > mostCompressed {
		return nil, errEncoding
	}
	batch := make([]byte, 1+n)
	batch[0] = encodingPlain
	if _, err := s2.Decode(batch[1:], column[1:]); err != nil {
		return nil, errEncoding
	}
	return batch, nil
}

// eventsOf returns the events of a batch. Their Data are parts of it, or of a copy.
func eventsOf(column []byte) (events []hub.HubEvent, err error) {
	batch, err := decompressBatch(column)
	if err != nil {
		return nil, err
	}
	f := fieldsOf(batch)
	for f.more() {
		var e hub.HubEvent
		e.Identity.Device, e.Identity.Module, e.ID = string(f.next()), string(f.next()), string(f.next())
		e.Data = f.next()
		events = append(events, e)
	}
	if f.err != nil {
		return nil, f.err
	}
	return events, nil
}

// encodeChanges returns the newest changes of desired properties as they are stored.
func encodeChanges(changes []hub.DesiredChange) []byte {
	column := []byte{}
	for i := range changes {
		if i == 0 {
			column = append(column, encodingPlain)
		}
		column = binary.AppendUvarint(column, uint64(changes[i].Version))
		column = appendField(column, changes[i].Patch)
	}
	return column
}

// changesOf reads what encodeChanges wrote.
func changesOf(column []byte) (changes []hub.DesiredChange, err error) {
	f := fieldsOf(column)
	for f.more() {
		c := hub.DesiredChange{Version: int64(f.number())}
		c.Patch = f.next()
		changes = append(changes, c)
	}
	if f.err != nil {
		return nil, f.err
	}
	return changes, nil
}
