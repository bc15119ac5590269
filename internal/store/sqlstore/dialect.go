package sqlstore

import (
	"context"
	"database/sql"
)

// dialect is what differs between SQL engines. The statements themselves are shared: they take $1 placeholders, use ON
// CONFLICT for upserts, and keep times and flags as integers, which SQLite and PostgreSQL both understand.
type dialect struct {
	// migrations is the folder of the engine's schema under migrations/.
	migrations string
	// forUpdate ends a SELECT whose row is written back in the same transaction. An engine with one writer needs none.
	forUpdate string
	// version returns the schema version of a database, 0 for an empty one; an error when it is not one of ours.
	version func(ctx context.Context, db *sql.DB) (int, error)
	// configure sets what the engine keeps in the database and not in the schema. It comes after migrating.
	configure func(ctx context.Context, db *sql.DB) error
	// isForeignKey tells whether err says that a row would refer to one that does not exist.
	isForeignKey func(err error) bool
}
