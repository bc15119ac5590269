package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
)

// migrationFiles holds the schema's steps, NNNN_name.sql, in a folder per dialect. A step that has been released is
// never changed: the next one corrects it.
//
//go:embed migrations
var migrationFiles embed.FS

// migration is one step of a schema: it leads to its version from the one before.
type migration struct {
	version int
	name    string
	text    string
}

// loadMigrations returns the steps of a folder in order: version N is at index N-1.
func loadMigrations(files fs.FS, folder string) ([]migration, error) {
	entries, err := fs.ReadDir(files, folder) // sorted by name
	if err != nil {
		return nil, err
	}
	var steps []migration
	for _, e := range entries {
		number, _, ok := strings.Cut(e.Name(), "_")
		version, err := strconv.Atoi(number)
		if !ok || err != nil || len(number) != 4 || version != len(steps)+1 {
			return nil, fmt.Errorf("migration %s: want number %04d", e.Name(), len(steps)+1)
		}
		text, err := fs.ReadFile(files, path.Join(folder, e.Name()))
		if err != nil {
			return nil, err
		}
		steps = append(steps, migration{version, strings.TrimSuffix(e.Name(), ".sql"), string(text)})
	}
	return steps, nil
}

// migrate brings db to the newest schema that this program knows. Each step is a transaction, so that a crash between
// two of them loses nothing. Other programs of the same version may do so at the same time.
func migrate(ctx context.Context, db *sql.DB, d *dialect, now func() time.Time) error {
	steps, err := loadMigrations(migrationFiles, path.Join("migrations", d.migrations))
	if err != nil {
		return err
	}
	version, err := d.version(ctx, db)
	if err != nil {
		return err
	}
	if version > len(steps) {
		return fmt.Errorf("the data folder was written by a newer hubward (schema %d, this one knows %d); use that version or newer",
			version, len(steps))
	}
	for _, step := range steps[version:] {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step.apply(context.WithoutCancel(ctx), db, d, now()); err != nil {
			return fmt.Errorf("migration %s: %w", step.name, err)
		}
	}
	return nil
}

// apply makes the step unless another program has made it meanwhile. ctx does not end: a write that is broken off may
// take the transaction with it.
func (m migration) apply(ctx context.Context, db *sql.DB, d *dialect, now time.Time) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	version, err := d.version(ctx, tx)
	if err != nil || version >= m.version {
		return err
	}
	if _, err := tx.ExecContext(ctx, m.text); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO schema_migrations (version, name, applied) VALUES ($1, $2, $3)`,
		m.version, m.name, ticks(now))
	if err != nil {
		return err
	}
	return tx.Commit()
}
