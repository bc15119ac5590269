package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
)

// Backup writes a copy of the database, as it is at some moment of the call, into a file that does not exist. Writers go on
// meanwhile. The file is whole and synced when Backup returns nil; it has mode 0600.
//
// Source: sqlite.org/lang_vacuum.html, VACUUM INTO.
func (s *Store) Backup(ctx context.Context, path string) error {
	if s.path == Memory {
		return errors.New("sqlstore: a database in memory has no backup")
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	db, err := openPool(sqliteURL(s.path, sqliteQuery(readerWait, "_txlock", "deferred")), 1)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO $1`, path)
	return s.fail("sqlstore.Backup", errors.Join(err, db.Close()))
}

// maxProblems bounds what Check finds before it stops looking.
const maxProblems = 100

// Report is what Check has found in a database.
type Report struct {
	Problems []string // what is damaged; none: all is well
	Pairing  Pairing  // zero for a database of an older version
	Logs     []string // what the event log calls the hubs, those included whose deletion is not finished
	Hubs     int
	Devices  int
}

// Check reads a whole database that no process has open, and changes nothing. Its error says that it cannot be read at all.
func Check(ctx context.Context, path string) (Report, error) {
	if _, err := os.Stat(path); err != nil {
		return Report{}, err
	}
	query := url.Values{"mode": {"ro"}, "_pragma": {"trusted_schema(0)"}, "_error_rc": {"1"}}
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() == 0 {
		query.Set("immutable", "1") // it leaves no files behind
	}
	db, err := openPool(sqliteURL(path, query.Encode()), 1)
	if err != nil {
		return Report{}, err
	}
	r, err := check(ctx, db)
	return r, errors.Join(err, db.Close())
}

func check(ctx context.Context, db *sql.DB) (r Report, err error) {
	version, err := sqliteVersion(ctx, db)
	switch {
	case err != nil:
		return r, err
	case version == 0:
		return r, errors.New("it is empty")
	}
	if err := r.integrity(ctx, db); err != nil || len(r.Problems) > 0 {
		return r, err
	}
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM hubs`).Scan(&r.Hubs); err != nil {
		return r, err
	}
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM devices WHERE module_id = ''`).Scan(&r.Devices); err != nil {
		return r, err
	}
	if version < 5 {
		return r, texts(ctx, db, &r.Logs, `SELECT name FROM hubs`)
	}
	if version >= firstTwins {
		if err := r.twins(ctx, db); err != nil {
			return r, err
		}
	}
	if err := db.QueryRowContext(ctx, `SELECT id, opened FROM registry`).Scan(&r.Pairing.ID, &r.Pairing.Opened); err != nil {
		return r, err
	}
	return r, texts(ctx, db, &r.Logs, `SELECT CASE log_name WHEN '' THEN name ELSE log_name END FROM hubs UNION SELECT name FROM deleted_logs`)
}

// integrity runs SQLite's own checks.
func (r *Report) integrity(ctx context.Context, db *sql.DB) error {
	var found []string
	if err := texts(ctx, db, &found, fmt.Sprintf(`PRAGMA integrity_check(%d)`, maxProblems)); err != nil {
		return err
	}
	if len(found) != 1 || found[0] != "ok" {
		r.Problems = found
		return nil
	}
	return texts(ctx, db, &r.Problems, fmt.Sprintf(
		`SELECT 'a row of ' || "table" || ' refers to one of ' || parent || ' that is not there' FROM pragma_foreign_key_check LIMIT %d`, maxProblems))
}

// texts appends the texts that a query finds.
func texts(ctx context.Context, db *sql.DB, to *[]string, query string) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return err
		}
		*to = append(*to, text)
	}
	return rows.Err()
}
