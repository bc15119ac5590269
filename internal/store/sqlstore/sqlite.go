package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// applicationID is what the first migration writes into the file's header.
	applicationID = 0x48627764 // "Hbwd"
	// readerLimit bounds the connections that read, and with them memory: each has a page cache of 2 MB.
	readerLimit = 4
	// writerCache is the page cache of the connection that writes, in KiB: pages that are not there are read to be written back.
	// Large twins that change all the time have ten each.
	writerCache = 16 << 10
	// fileMode is that of the file; SQLite gives it to the -wal and -shm files too.
	fileMode = 0o600
	// readerWait is for the rare moments in which a reader has to wait: while somebody recovers or removes the
	// write-ahead log.
	//
	// Source: sqlite.org/wal.html, "Sometimes Queries Return SQLITE_BUSY In WAL Mode".
	readerWait = 5 * time.Second
	// writerWait leaves waiting to dialect.insist. SQLite's own pauses get longer, up to 100 ms, and a writer that sleeps
	// so long beside one that is always busy waits for seconds.
	writerWait = 0
)

var errNotOurs = errors.New("the file is an SQLite database of another program")

// sqliteDialect is the embedded engine. A transaction that writes begins with BEGIN IMMEDIATE, which locks the file for
// all other writers of this process and others, so that rows need no lock.
var sqliteDialect = dialect{
	migrations:      "sqlite",
	wholeStatements: true,
	changes:         `PRAGMA data_version`,
	version:         sqliteVersion,
	configure:       sqliteConfigure,
	isForeignKey:    func(err error) bool { return sqliteCode(err) == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY },
	isConflict:      func(err error) bool { return sqliteCode(err)&0xff == sqlite3.SQLITE_BUSY },
	isDamage: func(err error) bool {
		code := sqliteCode(err) & 0xff
		return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
	},
}

// openSQLite returns the database to write to, of one connection, and the one to read from. In memory they are the
// same: there, a connection is the database.
func openSQLite(path string) (writeDB, readDB *sql.DB, err error) {
	if path == "" {
		return nil, nil, errors.New("no path is given")
	}
	if path == Memory {
		db, err := openPool("file::memory:?"+sqliteQuery(writerWait, "_txlock", "immediate"), 1)
		return db, db, err
	}
	if err := createFile(path); err != nil {
		return nil, nil, err
	}
	cache := fmt.Sprintf("cache_size(-%d)", writerCache)
	writeDB, err = openPool(sqliteURL(path, sqliteQuery(writerWait, "_txlock", "immediate", cache)), 1)
	if err != nil {
		return nil, nil, err
	}
	readDB, err = openPool(sqliteURL(path, sqliteQuery(readerWait, "_query_only", "1")), readerLimit)
	if err != nil {
		return nil, nil, errors.Join(err, writeDB.Close())
	}
	return writeDB, readDB, nil
}

// openPool opens up to n connections as they are needed, and keeps them.
func openPool(dsn string, n int) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// createFile makes sure that the file exists with the right mode before SQLite opens it: SQLite would leave the mode to
// the umask. An existing file is not opened here, because closing it would drop the locks that this process has on it.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err == nil {
		return f.Close()
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("the path is not a file")
	}
	if info.Mode().Perm()&^fileMode != 0 {
		return os.Chmod(path, fileMode)
	}
	return nil
}

// sqliteURL writes path as a URL, in which it may hold any character.
func sqliteURL(path, query string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive letter
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: query}
	return u.String()
}

// sqliteQuery lists the settings of one connection. synchronous FULL syncs the write-ahead log in each commit; the limit
// makes it shrink again after a burst; the rest is SQLite's own advice for safety. pragmas are more of them.
//
// Source: sqlite.org/pragma.html, sqlite.org/security.html.
func sqliteQuery(wait time.Duration, key, value string, pragmas ...string) string {
	q := url.Values{
		"_pragma": append(pragmas, fmt.Sprintf("busy_timeout(%d)", wait.Milliseconds()), "foreign_keys(1)", "synchronous(FULL)",
			"journal_size_limit(67108864)", "trusted_schema(0)"),
		"_defensive": {"1"},
		"_dqs":       {"0"},
		"_error_rc":  {"1"},
		key:          {value},
	}
	return q.Encode()
}

// sqliteVersion is the first to read the file, so it tells what is wrong with it.
func sqliteVersion(ctx context.Context, db querier) (int, error) {
	var id, tables int
	if err := db.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&id); err != nil {
		if sqliteCode(err) == sqlite3.SQLITE_NOTADB {
			return 0, fmt.Errorf("the file is not a database, or it is damaged: %w", err)
		}
		return 0, err
	}
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema`).Scan(&tables); err != nil {
		return 0, err
	}
	if id == 0 && tables == 0 {
		return 0, nil
	}
	if id != applicationID {
		return 0, errNotOurs
	}
	var version int
	err := db.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM schema_migrations`).Scan(&version)
	return version, err
}

// sqliteConfigure turns on the write-ahead log, which stays on in the file. It is not a setting of the connection
// because it must not change a file that is not ours.
func sqliteConfigure(ctx context.Context, db *sql.DB) error {
	var mode string
	if err := db.QueryRowContext(ctx, `PRAGMA journal_mode = WAL`).Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" && mode != "memory" {
		return fmt.Errorf("the file system does not allow a write-ahead log (journal mode %q); use a local disk", mode)
	}
	return nil
}

// sqliteCode returns SQLite's extended result code, 0 when err is not SQLite's.
func sqliteCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}
