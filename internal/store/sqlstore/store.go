package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// Memory is the path of a store that lives in memory and is gone after Close.
const Memory = ":memory:"

// Options says what to open.
type Options struct {
	// Path is the database file, which is created with mode 0600 if it is missing, in a folder that exists; or Memory.
	Path string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Committed is told after each shared transaction that was committed how long it took, retries included. It must not
	// block. Nil: nobody is told.
	Committed func(took time.Duration)
	// Logger is told of damage, once; nil: nothing is logged.
	Logger *slog.Logger
}

// Store is a hub.Store on SQL. It is safe for concurrent use. A function given to an edit must not call the store: in
// memory there is only one connection, and the call would wait for itself.
//
// Errors of its methods are hubward.Error: CodeServerError with the engine's error as cause when the disk is full or
// fails, or another program keeps the database locked; CodeServiceUnavailable after Close; CodeHubNotFound for a write to
// a hub that does not exist; or ctx's error.
type Store struct {
	// Set by Open, never changed after.
	dialect *dialect
	path    string
	now     func() time.Time
	logger  *slog.Logger
	write   *writer
	read    *readers

	damage atomic.Pointer[error] // the first error that says that the database is damaged; nil: none yet

	closeOnce sync.Once
	closeErr  error
}

var _ hub.Store = (*Store)(nil)

// Open opens the store and brings its schema up to date. Others may have the same file open: each sees what the others
// have written once they were told so, and they write one after the other.
//
// Errors are for the operator: they name the file, and what is wrong with it.
func Open(ctx context.Context, o Options) (*Store, error) {
	s, err := open(ctx, o, &sqliteDialect)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", o.Path, err)
	}
	return s, nil
}

func open(ctx context.Context, o Options, d *dialect) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Committed == nil {
		o.Committed = func(time.Duration) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	writeDB, readDB, err := openSQLite(o.Path)
	if err != nil {
		return nil, err
	}
	s := &Store{dialect: d, path: o.Path, now: o.Now, logger: o.Logger, read: newReaders(readDB)}
	if err := d.insist(func() error { return s.prepare(ctx, writeDB) }); err != nil {
		return nil, errors.Join(err, closeBoth(readDB, writeDB))
	}
	s.write = startWriter(writeDB, d, o.Committed)
	return s, nil
}

// prepare makes a database ready for this program before the writer owns it.
func (s *Store) prepare(ctx context.Context, db *sql.DB) error {
	if err := migrate(ctx, db, s.dialect, s.now); err != nil {
		return err
	}
	return s.dialect.configure(ctx, db)
}

// Close lets queued writes finish, refuses new ones and closes the database. It waits for running reads. Further calls
// return what the first one did.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.write.close()
		s.closeErr = closeBoth(s.read.db, s.write.db)
	})
	return s.closeErr
}

// closeBoth closes the writer's database last: the last one to leave merges the write-ahead log into the file.
func closeBoth(readDB, writeDB *sql.DB) error {
	return errors.Join(readDB.Close(), writeDB.Close())
}

// Ping makes one durable write. The value has to change: an update that changes nothing is not written. It also fails once
// something in the database was found to be damaged.
func (s *Store) Ping(ctx context.Context) error {
	if damage := s.damage.Load(); damage != nil {
		return fmt.Errorf("%s is damaged: %w", s.path, *damage)
	}
	return s.updateOne(ctx, "sqlstore.Ping", func(tx *writeTx) error {
		_, err := tx.exec(`UPDATE probe SET writes = writes + 1 WHERE id = 1`)
		return err
	})
}

// update runs one write job and gives its error the shape that callers are promised.
func (s *Store) update(ctx context.Context, op string, run func(*writeTx) error) error {
	return s.fail(op, s.write.do(ctx, &job{run: run}))
}

// updateOne is update for a job that makes one change at most, by one statement.
func (s *Store) updateOne(ctx context.Context, op string, run func(*writeTx) error) error {
	return s.fail(op, s.write.do(ctx, &job{run: run, one: true}))
}

// lock locks the rows that a SELECT finds, where rows are locked. It is for rows that are not themselves written back, or
// whose content is read by a statement of its own: one that begins when the lock is held sees what the last one to hold
// it has written.
func (s *Store) lock(tx *writeTx, text string, args ...any) error {
	if s.dialect.forUpdate == "" {
		return nil
	}
	return tx.each(func(scanner) error { return nil }, text+s.dialect.forUpdate, args...)
}

// fail dresses err, which may be nil, for a caller of op.
func (s *Store) fail(op string, err error) error {
	if err != nil && s.dialect.isDamage(err) && s.damage.CompareAndSwap(nil, &err) {
		s.logger.Error("the store is damaged: stop the hub, and restore a backup", "path", s.path, "op", op, "error", err)
	}
	var known *hubward.Error
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case s.dialect.isForeignKey(err):
		// Rows refer to their hub, or to an identity that their writer has locked; sessions tell for themselves.
		return noHub(op, err)
	case s.write.isClosing():
		return hubward.Wrap(hubward.CodeServiceUnavailable, op, err)
	}
	return hubward.Wrap(hubward.CodeServerError, op, err)
}

func noHub(op string, err error) error {
	return &hubward.Error{Code: hubward.CodeHubNotFound, Op: op, Message: "The hub does not exist.", Err: err}
}
