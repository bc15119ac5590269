package pebblelog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/hubward/hubward/internal/eventlog/groupcommit"
	"github.com/hubward/hubward/internal/hub"
)

const (
	// formatVersion is that of the whole folder; raised when older programs could misread it. In version 1 there is no
	// endpoint but hub.EndpointEvents.
	formatVersion = 2
	recordVersion = 1
	markerVersion = 1

	eventSpace = 'e'
	metaSpace  = 'm'

	endOfHub  = 1 // stands between hub and endpoint
	endOfName = 0 // stands behind the endpoint, or behind the hub for hub.EndpointEvents

	recordHeader = 8 + 1 // enqueued time and version, before the event
	markerLen    = 1 + 8 + 8 + 8
)

var (
	formatKey = []byte{metaSpace, 'f'}
	probeKey  = []byte{metaSpace, 'p'}
)

// appendName appends hub and endpoint, without the byte that ends them.
func appendName(key []byte, p hub.Partition) []byte {
	key = append(key, p.Hub...)
	if p.Endpoint == hub.EndpointEvents {
		return key
	}
	key = append(key, endOfHub)
	return append(key, p.Endpoint...)
}

// appendID appends hub, endpoint and number of p.
func appendID(key []byte, p hub.Partition) []byte {
	key = append(appendName(key, p), endOfName)
	return binary.BigEndian.AppendUint16(key, uint16(p.ID))
}

// parseID reads what appendID has written, and returns what follows it.
func parseID(key []byte) (p hub.Partition, rest []byte, ok bool) {
	name, rest, ok := bytes.Cut(key, []byte{endOfName})
	if !ok || len(rest) < 2 {
		return p, nil, false
	}
	hubName, endpoint, other := bytes.Cut(name, []byte{endOfHub})
	p = hub.Partition{Hub: string(hubName), Endpoint: hub.EndpointEvents, ID: int(binary.BigEndian.Uint16(rest))}
	if other {
		p.Endpoint = hub.Endpoint(endpoint)
		ok = p.Endpoint != hub.EndpointEvents
	}
	return p, rest[2:], ok
}

// appendPartition appends the prefix that all events of p share.
func appendPartition(key []byte, p hub.Partition) []byte {
	return appendID(append(key, eventSpace), p)
}

// appendPartitionEnd appends the first key behind all events of p.
func appendPartitionEnd(key []byte, p hub.Partition) []byte {
	if p.ID < groupcommit.MaxPartition {
		p.ID++
		return appendPartition(key, p)
	}
	return append(appendName(append(key, eventSpace), p), endOfName+1)
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
	id, space := bytes.CutPrefix(key, []byte{eventSpace})
	p, rest, ok := parseID(id)
	if !space || !ok || len(rest) != 8 {
		return p, 0, fmt.Errorf("pebblelog: key %.64x is not that of an event", key)
	}
	number := binary.BigEndian.Uint64(rest)
	if number > 1<<62 {
		return p, 0, fmt.Errorf("pebblelog: partition %v: sequence number %d is out of range", p, number)
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
		return 0, fmt.Errorf("pebblelog: partition %v, sequence number %d: record has %d bytes, fewer than %d",
			p, sequence, len(value), recordHeader)
	}
	if value[8] != recordVersion {
		return 0, fmt.Errorf("pebblelog: partition %v, sequence number %d: record version %d is unknown",
			p, sequence, value[8])
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
	return appendID(append(key, metaSpace, 'h'), p)
}

func parseMarkerKey(key []byte) (hub.Partition, error) {
	id, space := bytes.CutPrefix(key, []byte{metaSpace, 'h'})
	p, rest, ok := parseID(id)
	if !space || !ok || len(rest) > 0 {
		return p, fmt.Errorf("pebblelog: key %.64x is not that of a head marker", key)
	}
	return p, nil
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
		return marker{}, fmt.Errorf("pebblelog: partition %v: head marker cannot be read", p)
	}
	m := marker{
		first:  int64(binary.BigEndian.Uint64(value[1:])),
		next:   int64(binary.BigEndian.Uint64(value[9:])),
		lastMS: int64(binary.BigEndian.Uint64(value[17:])),
	}
	if m.first < 0 || m.next < m.first {
		return marker{}, fmt.Errorf("pebblelog: partition %v: head marker says %d to %d", p, m.first, m.next)
	}
	return m, nil
}
