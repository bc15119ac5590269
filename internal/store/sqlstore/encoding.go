package sqlstore

import (
	"encoding/binary"
	"errors"

	"github.com/hubward/hubward/internal/hub"
)

// What is stored as a list in one column begins with the number of its encoding.
const encodingVersion = 1

var errEncoding = errors.New("the encoding of a column is not one of this program")

// appendField appends content behind its length.
func appendField[C ~string | ~[]byte](dst []byte, content C) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(content))), content...)
}

// fields takes apart what begins with encodingVersion and goes on with fields. The first error sticks.
type fields struct {
	rest []byte
	err  error
}

// fieldsOf reads a column; an empty one has none.
func fieldsOf(column []byte) *fields {
	switch {
	case len(column) == 0:
		return &fields{}
	case column[0] != encodingVersion:
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
		batch = append(batch, encodingVersion)
	}
	batch = appendField(batch, e.Identity.Device)
	batch = appendField(batch, e.Identity.Module)
	batch = appendField(batch, e.ID)
	return appendField(batch, e.Data)
}

// eventsOf returns the events of a batch. Their Data are parts of it.
func eventsOf(batch []byte) (events []hub.HubEvent, err error) {
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
			column = append(column, encodingVersion)
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
