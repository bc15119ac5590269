package pebblelog

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/hubward/hubward/internal/hub"
)

// damages are the partitions in which something could not be read since the log was opened. Whoever reads finds them, and so
// do compactions. Each is logged once.
type damages struct {
	mu    sync.Mutex // a leaf
	found map[hub.Partition]*hub.DamageError
	last  map[hub.Partition]int64 // the highest sequence number that may be damaged
}

// note remembers a damage and reports whether the partition was whole until now. A partition keeps its first one.
func (d *damages) note(e *hub.DamageError, last int64) (first bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.found == nil {
		d.found, d.last = map[hub.Partition]*hub.DamageError{}, map[hub.Partition]int64{}
	}
	d.last[e.Partition] = max(last, d.last[e.Partition])
	if d.found[e.Partition] != nil {
		return false
	}
	d.found[e.Partition] = e
	return true
}

// any reports whether there is damage.
func (d *damages) any() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.found) > 0
}

// list returns the damages in the order of their partitions, without those of which gone says that they were deleted.
func (d *damages) list(gone func(p hub.Partition, last int64) bool) []*hub.DamageError {
	d.mu.Lock()
	defer d.mu.Unlock()
	for p := range d.found {
		if gone(p, d.last[p]) {
			delete(d.found, p)
			delete(d.last, p)
		}
	}
	return slices.SortedFunc(maps.Values(d.found), func(a, b *hub.DamageError) int {
		return strings.Compare(a.Partition.String(), b.Partition.String())
	})
}

// Damage implements hub.EventLog.
func (l *Log) Damage() []*hub.DamageError {
	firsts := map[hub.Partition]int64{}
	l.mu.Lock()
	for part := range l.group.PartitionsLocked() {
		firsts[part.Partition] = part.First
	}
	l.mu.Unlock()
	return l.damages.list(func(p hub.Partition, last int64) bool {
		first, known := firsts[p]
		return p.Hub != "" && (!known || first > last) // dropped, or trimmed
	})
}

// unreadable turns the error of a read at a sequence number of p into a DamageError, unless it says something else.
func (l *Log) unreadable(p hub.Partition, sequence int64, err error) error {
	var damage *hub.DamageError
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.As(err, &damage),
		errors.Is(err, pebble.ErrNotFound):
		return err
	}
	damage = &hub.DamageError{Partition: p, Sequence: sequence, Err: plain(err)}
	l.damaged(damage, sequence)
	return damage
}

// damaged notes a damage, and logs the first one of a partition.
func (l *Log) damaged(e *hub.DamageError, last int64) {
	if l.damages.note(e, last) {
		l.opts.Logger.Error("event log: a partition is damaged: restore a backup, or wait until retention has deleted the damaged events",
			"partition", e.Partition.String(), "sequence", e.Sequence, "error", e.Err)
	}
}

// corrupt hears of a table that Pebble cannot read, whoever wanted to: a reader, or a compaction.
func (l *Log) corrupt(info pebble.DataCorruptionInfo) {
	e := &hub.DamageError{Err: fileError{plain(info.Details), info.Path}}
	last := int64(0)
	if p, sequence, err := parseEventKey(info.Bounds.Start); err == nil {
		e.Partition, e.Sequence, last = p, sequence, sequence
	}
	if p, sequence, err := parseEventKey(info.Bounds.End.Key); err == nil && p == e.Partition {
		last = sequence
	}
	l.damaged(e, last)
}

// plain returns an error with the first line of err's text: Pebble's bring stack traces, which loggers print, and names of
// what they are wrapped in.
func plain(err error) error {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(text)
}

// fileError names the file of an error.
type fileError struct {
	err  error
	path string
}

func (e fileError) Error() string { return e.path + ": " + e.err.Error() }
