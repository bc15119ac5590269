package sqlstore

import (
	"context"
	"database/sql"
	"sync"
)

// readers runs queries on committed data, with statements that are prepared once.
type readers struct {
	db *sql.DB

	mu       sync.Mutex // guards prepared; not held while preparing
	prepared map[string]*sql.Stmt
}

func newReaders(db *sql.DB) *readers {
	return &readers{db: db, prepared: map[string]*sql.Stmt{}}
}

// row runs a query of at most one row. text is one of the program's constants: its statement is kept until the
// database is closed.
func (r *readers) row(ctx context.Context, text string, args ...any) (*sql.Row, error) {
	stmt, err := r.stmt(ctx, text)
	if err != nil {
		return nil, err
	}
	return stmt.QueryRowContext(ctx, args...), nil
}

// each runs a query and hands every row to visit. text is as for row.
func (r *readers) each(ctx context.Context, visit func(scanner) error, text string, args ...any) error {
	stmt, err := r.stmt(ctx, text)
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := visit(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (r *readers) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
	r.mu.Lock()
	stmt := r.prepared[text]
	r.mu.Unlock()
	if stmt != nil {
		return stmt, nil
	}
	stmt, err := r.db.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if first := r.prepared[text]; first != nil { // another reader was faster
		return first, stmt.Close()
	}
	r.prepared[text] = stmt
	return stmt, nil
}
