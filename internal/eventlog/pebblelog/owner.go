package pebblelog

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

const ownerVersion = 1

var (
	ownerKey = []byte{metaSpace, 'o'}
	startKey = []byte{metaSpace, 's'}
)

// Owner says which registry a log belongs to. The zero value is none.
type Owner struct {
	Registry string // its id
	Start    uint64 // the number of the last start with both
}

// IsNew reports whether Open has made the log.
func (l *Log) IsNew() bool { return l.isNew }

// Owner returns what SetOwner has stored.
func (l *Log) Owner() (Owner, error) {
	value, err := l.meta(ownerKey)
	if err != nil || value == nil {
		return Owner{}, err
	}
	if len(value) < 1+8 || value[0] != ownerVersion {
		return Owner{}, errors.New("pebblelog: whom the log belongs to cannot be read")
	}
	return Owner{Registry: string(value[9:]), Start: binary.BigEndian.Uint64(value[1:])}, nil
}

// SetOwner returns when o is durable.
func (l *Log) SetOwner(ctx context.Context, o Owner) error {
	value := binary.BigEndian.AppendUint64([]byte{ownerVersion}, o.Start)
	return l.setMeta(ctx, ownerKey, append(value, o.Registry...))
}

// StartAt has all partitions of which there is nothing begin with a sequence number, 0 or more, and returns when that is
// durable. It is for a log in the place of one that is lost, before anything is appended: no number stands for two events then.
func (l *Log) StartAt(ctx context.Context, sequence int64) error {
	if err := l.setMeta(ctx, startKey, binary.BigEndian.AppendUint64(nil, uint64(sequence))); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.group.StartLocked(sequence)
	return nil
}

// loadStart reads what StartAt has stored.
func (l *Log) loadStart() error {
	value, err := l.meta(startKey)
	if err != nil || value == nil {
		return err
	}
	if len(value) != 8 || binary.BigEndian.Uint64(value) > 1<<62 {
		return errors.New("pebblelog: the number to start at cannot be read")
	}
	l.group.StartLocked(int64(binary.BigEndian.Uint64(value)))
	return nil
}

// meta returns a value of the log's own, nil when there is none.
func (l *Log) meta(key []byte) ([]byte, error) {
	value, closer, err := l.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, plain(err)
	}
	return append([]byte{}, value...), closer.Close()
}

func (l *Log) setMeta(ctx context.Context, key, value []byte) error {
	l.mu.Lock()
	if err := l.group.RefusalLocked(); err != nil {
		l.mu.Unlock()
		return err
	}
	o := l.addOpLocked(func(b *pebble.Batch) error { return b.Set(key, value, nil) })
	l.mu.Unlock()
	return o.wait(ctx)
}
