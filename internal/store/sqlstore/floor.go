package sqlstore

import (
	"context"
	"strings"
)

// Floor is a scratch store whose rows are written, by one statement each, and nothing else: what a durable write of that size
// costs at least, beside which what a hub does with it can be measured. Its writes go the way of all writes of a Store.
type Floor struct {
	store *Store
	text  []string // of each row, of which two are written in turn
}

// OpenFloor makes a new store at a path, with rows of size bytes, 1 or more.
func OpenFloor(ctx context.Context, path string, rows, size int) (*Floor, error) {
	s, err := Open(ctx, Options{Path: path})
	if err != nil {
		return nil, err
	}
	f := &Floor{store: s, text: []string{strings.Repeat("x", size), strings.Repeat("x", size-1) + "y"}}
	err = s.update(ctx, "sqlstore.OpenFloor", func(tx *writeTx) error {
		if _, err := tx.exec(`CREATE TABLE floor (id INTEGER NOT NULL PRIMARY KEY, document TEXT NOT NULL) STRICT`); err != nil {
			return err
		}
		for i := range rows {
			if _, err := tx.exec(`INSERT INTO floor (id, document) VALUES ($1, $2)`, i, f.text[0]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.Close() // what is wrong has been said
		return nil, err
	}
	return f, nil
}

// Update writes a row, from 0 on, and returns when that is durable. n is the number of the write: each is to be another one
// than the one before. It is safe for concurrent use, for many rows at once.
func (f *Floor) Update(ctx context.Context, row, n int) error {
	return f.store.updateOne(ctx, "sqlstore.Floor", func(tx *writeTx) error {
		_, err := tx.exec(`UPDATE floor SET document = $2 WHERE id = $1`, row, f.text[n%len(f.text)])
		return err
	})
}

// Close ends it. The file stays.
func (f *Floor) Close() error { return f.store.Close() }
