package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// BareRows is a table of numbered rows on the engine and with the settings of a Store, and nothing else: the floor that the
// store's writes are measured by. Updates that have gathered share a transaction and its sync, as those of a Store do, and
// each is one statement. It is safe for concurrent use.
type BareRows struct {
	write, read *sql.DB
	set         *sql.Stmt
	queue       chan *bareUpdate
	closing     chan struct{}
	ended       chan struct{}
}

// bareUpdate is one caller's write.
type bareUpdate struct {
	row      int
	document []byte
	done     chan error // holds one
}

// OpenBareRows makes a database, in a file that is not there yet, of so many rows with a document.
func OpenBareRows(ctx context.Context, path string, rows int, document []byte) (*BareRows, error) {
	write, read, err := openSQLite(path)
	if err != nil {
		return nil, fmt.Errorf("bare rows %s: %w", path, err)
	}
	b := &BareRows{
		write: write, read: read, queue: make(chan *bareUpdate, queueLimit), closing: make(chan struct{}), ended: make(chan struct{}),
	}
	if err := b.prepare(ctx, rows, document); err != nil {
		return nil, fmt.Errorf("bare rows %s: %w", path, errors.Join(err, closeBoth(read, write)))
	}
	go b.serve()
	return b, nil
}

func (b *BareRows) prepare(ctx context.Context, rows int, document []byte) error {
	if err := sqliteConfigure(ctx, b.write); err != nil {
		return err
	}
	tx, err := b.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it does nothing
	if _, err := tx.ExecContext(ctx, `CREATE TABLE rows (id INTEGER PRIMARY KEY, document BLOB NOT NULL)`); err != nil {
		return err
	}
	for row := range rows {
		if _, err := tx.ExecContext(ctx, `INSERT INTO rows (id, document) VALUES ($1, $2)`, row, document); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	b.set, err = b.write.PrepareContext(ctx, `UPDATE rows SET document = $1 WHERE id = $2`)
	return err
}

// Update writes one row, numbered from 0, and returns when it is durable.
func (b *BareRows) Update(ctx context.Context, row int, document []byte) error {
	u := &bareUpdate{row: row, document: document, done: make(chan error, 1)}
	select {
	case b.queue <- u:
	case <-b.closing:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-u.done:
		return err
	case <-b.ended:
		return errClosed
	}
}

func (b *BareRows) serve() {
	defer close(b.ended)
	for {
		select {
		case u := <-b.queue:
			group := b.gather(u)
			err := b.commit(group)
			for _, u := range group {
				u.done <- err
			}
		case <-b.closing:
			return
		}
	}
}

func (b *BareRows) gather(first *bareUpdate) []*bareUpdate {
	group := []*bareUpdate{first}
	for len(group) < groupLimit {
		select {
		case u := <-b.queue:
			group = append(group, u)
		default:
			return group
		}
	}
	return group
}

func (b *BareRows) commit(group []*bareUpdate) error {
	tx, err := b.write.Begin()
	if err != nil {
		return err
	}
	set := tx.Stmt(b.set)
	for _, u := range group {
		if _, err := set.Exec(u.document, u.row); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

// Close waits for what is being written. It is called once, with no Update under way.
func (b *BareRows) Close() error {
	close(b.closing)
	<-b.ended
	return errors.Join(b.set.Close(), closeBoth(b.read, b.write))
}
