package sqlstore

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"time"
)

// dialect is what differs between SQL engines. The statements themselves are shared: they take $1 placeholders, use ON
// CONFLICT for upserts, and keep times and flags as integers, which SQLite and PostgreSQL both understand.
type dialect struct {
	// migrations is the folder of the engine's schema under migrations/.
	migrations string
	// forUpdate ends a SELECT whose rows are written back in the same transaction: it locks them, and waits for the one
	// that has them locked; inserting rows that refer to them must not wait (in PostgreSQL, FOR NO KEY UPDATE). Empty for
	// an engine whose transactions that write run one after the other.
	forUpdate string
	// wholeStatements says that a statement that fails leaves nothing behind, and the transaction as it was.
	wholeStatements bool
	// changes is a query for a number that is another one when others have changed the database; empty when there is none, or
	// when they may do so during a transaction.
	changes string
	// version returns the schema version of a database, 0 for an empty one; an error when it is not one of ours.
	version func(ctx context.Context, db querier) (int, error)
	// configure sets what the engine keeps in the database and not in the schema. It comes after migrating.
	configure func(ctx context.Context, db *sql.DB) error
	// isForeignKey tells whether err says that a row would refer to one that does not exist.
	isForeignKey func(err error) bool
	// isConflict tells whether err says that another writer was in the way. Nothing of the transaction was stored then, and
	// it may succeed when it is run again.
	isConflict func(err error) bool
	// isDamage tells whether err says that what is stored cannot be read as it was written.
	isDamage func(err error) bool
}

// querier is a database, or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row
}

// Bounds of waiting for other writers.
const (
	conflictPatience = 30 * time.Second
	conflictPause    = time.Millisecond // at most
)

// insist runs try again and again while other writers are in the way, for up to conflictPatience. It pauses between, for
// random times, so that two writers do not keep in step.
func (d *dialect) insist(try func() error) error {
	err := try()
	for began := time.Now(); err != nil && d.isConflict(err) && time.Since(began) < conflictPatience; {
		time.Sleep(rand.N(conflictPause))
		err = try()
	}
	return err
}
