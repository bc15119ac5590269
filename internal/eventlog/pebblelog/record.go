package pebblelog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/hubward/hubward/internal/hub"
)

const (
	formatVersion = 1 // of the whole folder; raised when older programs could misread it
	recordVersion = 1
	markerVersion = 1

	eventSpace = 'e'
	metaSpace  = 'm'

	suffixLen    = 2 + 8 // partition and sequence number, after the hub name's end
	recordHeader = 8 + 1 // enqueued time and version, before the event
	markerLen    = 1 + 8 + 8 + 8

	// maxPartition is the largest partition number that a key can hold.
	maxPartition = 1<<16 - 1
	// maxHubName bounds the part of a key that callers choose, in bytes.
	maxHubName = 255
)

var (
	formatKey = []byte{metaSpace, 'f'}
	probeKey  = []byte{metaSpace, 'p'}
)

// appendPartition appends the prefix that all events of p share.
func appendPartition(key []byte, p hub.Partition) []byte {
	key = append(key, eventSpace)
	key = append(key, p.Hub...)
	key = append(key, 0)
	return binary.BigEndian.AppendUint16(key, uint16(p.ID))
}

// appendPartitionEnd appends the first key behind all events of p.
func appendPartitionEnd(key []byte, p hub.Partition) []byte {
	if p.ID < maxPartition {
		return appendPartition(key, hub.Partition{Hub: p.Hub, ID: p.ID + 1})
	}
	key = append(key, eventSpace)
	key = append(key, p.Hub...)
	return append(key, 1)
}

// eventKey returns the key of one event, given its partition's prefix.
func eventKey(prefix []byte, sequence int64) []byte {
	key := make([]byte, 0, len(prefix)+8)
	return binary.BigEndian.AppendUint64(append(key, prefix...), uint64(sequence))
}

// sequenceOf returns the sequence number in the key of an event whose partition is known.
func sequenceOf(prefix, key []byte) (int64, error) {
	if len(key) != len(prefix)+8 {
		return 0, fmt.Errorf("pebblelog: key %.64x is not that of an event", key)
	}
	return int64(binary.BigEndian.Uint64(key[len(prefix):])), nil
}

// parseEventKey takes an event's key apart.
func parseEventKey(key []byte) (p hub.Partition, sequence int64, err error) {
	end := bytes.IndexByte(key, 0)
	if len(key) == 0 || key[0] != eventSpace || end < 0 || len(key) != end+1+suffixLen {
		return p, 0, fmt.Errorf("pebblelog: key %.64x is not that of an event", key)
	}
	p.Hub = string(key[1:end])
	p.ID = int(binary.BigEndian.Uint16(key[end+1:]))
	number := binary.BigEndian.Uint64(key[end+3:])
	if number > 1<<62 {
		return p, 0, fmt.Errorf("pebblelog: partition %s/%d: sequence number %d is out of range", p.Hub, p.ID, number)
	}
	return p, int64(number), nil
}

// putRecord fills value, which has recordHeader+len(data) bytes.
func putRecord(value []byte, ms int64, data []byte) {
	binary.BigEndian.PutUint64(value, uint64(ms))
	value[8] = recordVersion
	copy(value[recordHeader:], data)
}

// decodeRecord reads an event's value. The record's Data aliases value. A value that cannot be read gives an error that
// names p and sequence.
func decodeRecord(p hub.Partition, sequence int64, value []byte) (hub.Record, error) {
	ms, err := recordTime(p, sequence, value)
	if err != nil {
		return hub.Record{}, err
	}
	return hub.Record{
		SequenceNumber: sequence,
		Enqueued:       time.UnixMilli(ms).UTC(),
		Data:           value[recordHeader:len(value):len(value)],
	}, nil
}

// recordTime reads the enqueued time of an event's value, in ms.
func recordTime(p hub.Partition, sequence int64, value []byte) (int64, error) {
	if len(value) < recordHeader {
		return 0, fmt.Errorf("pebblelog: partition %s/%d, sequence number %d: record has %d bytes, fewer than %d",
			p.Hub, p.ID, sequence, len(value), recordHeader)
	}
	if value[8] != recordVersion {
		return 0, fmt.Errorf("pebblelog: partition %s/%d, sequence number %d: record version %d is unknown",
			p.Hub, p.ID, sequence, value[8])
	}
	return int64(binary.BigEndian.Uint64(value)), nil
}

// marker is what a head marker says about a partition at the moment of a trim.
type marker struct {
	first, next int64
	lastMS      int64
}

// appendMarkerKey appends the key of p's head marker.
func appendMarkerKey(key []byte, p hub.Partition) []byte {
	key = append(key, metaSpace, 'h')
	key = append(key, p.Hub...)
	key = append(key, 0)
	return binary.BigEndian.AppendUint16(key, uint16(p.ID))
}

func parseMarkerKey(key []byte) (hub.Partition, error) {
	end := bytes.IndexByte(key, 0)
	if len(key) < 2 || key[0] != metaSpace || key[1] != 'h' || end < 2 || len(key) != end+3 {
		return hub.Partition{}, fmt.Errorf("pebblelog: key %.64x is not that of a head marker", key)
	}
	return hub.Partition{Hub: string(key[2:end]), ID: int(binary.BigEndian.Uint16(key[end+1:]))}, nil
}

func (m marker) encode() []byte {
	b := make([]byte, 0, markerLen)
	b = append(b, markerVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(m.first))
	b = binary.BigEndian.AppendUint64(b, uint64(m.next))
	return binary.BigEndian.AppendUint64(b, uint64(m.lastMS))
}

func decodeMarker(p hub.Partition, value []byte) (marker, error) {
	if len(value) != markerLen || value[0] != markerVersion {
		return marker{}, fmt.Errorf("pebblelog: partition %s/%d: head marker cannot be read", p.Hub, p.ID)
	}
	m := marker{
		first:  int64(binary.BigEndian.Uint64(value[1:])),
		next:   int64(binary.BigEndian.Uint64(value[9:])),
		lastMS: int64(binary.BigEndian.Uint64(value[17:])),
	}
	if m.first < 0 || m.next < m.first {
		return marker{}, fmt.Errorf("pebblelog: partition %s/%d: head marker says %d to %d", p.Hub, p.ID, m.first, m.next)
	}
	return m, nil
}
