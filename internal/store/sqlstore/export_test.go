package sqlstore

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/twindoc"
)

// Bounds, for tests that stand at them.
const (
	QueueLimit = queueLimit
	GroupLimit = groupLimit
)

// Exec runs SQL on the writer's connection, between two groups.
func (s *Store) Exec(t testing.TB, text string, args ...any) {
	t.Helper()
	if _, err := s.write.db.ExecContext(t.Context(), text, args...); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// Value reads one value through the readers' connections.
func Value[T any](t testing.TB, s *Store, text string, args ...any) T {
	t.Helper()
	var v T
	if err := s.read.db.QueryRowContext(t.Context(), text, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// RowLock ends the SELECTs of a store that OpenLocking has opened. To SQLite it is a comment.
const RowLock = " /* locks rows */"

// OpenLocking opens a store in memory that locks rows, as with an engine of several writers.
func OpenLocking(t testing.TB) *Store {
	t.Helper()
	d := sqliteDialect
	d.forUpdate, d.wholeStatements, d.changes = RowLock, false, ""
	s, err := open(t.Context(), Options{Path: Memory}, &d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Written returns the texts of all statements that the writer of a closed store has run.
func Written(s *Store) []string {
	return append(slices.Collect(maps.Keys(s.write.prepared)), slices.Collect(maps.Keys(s.write.direct.stmts))...)
}

// Migrations returns the texts of the SQLite schema's steps.
func Migrations(t testing.TB) []string {
	t.Helper()
	steps, err := loadMigrations(migrationFiles, path.Join("migrations", sqliteDialect.migrations))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, step := range steps {
		texts = append(texts, step.text)
	}
	return texts
}

// LoadMigrations is loadMigrations.
var LoadMigrations = loadMigrations

// CreateAt makes a file as the program of schema version left it, with the rows that script adds.
func CreateAt(t testing.TB, file string, version int, script string) {
	t.Helper()
	writeDB, readDB, err := openSQLite(file)
	if err != nil {
		t.Fatal(err)
	}
	steps, err := loadMigrations(migrationFiles, path.Join("migrations", sqliteDialect.migrations))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range steps[:version] {
		if err := step.apply(t.Context(), writeDB, &sqliteDialect, time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := writeDB.ExecContext(t.Context(), script); err != nil {
		t.Fatal(err)
	}
	if err := closeBoth(readDB, writeDB); err != nil {
		t.Fatal(err)
	}
}

// Gather fills a queue with n jobs, every third of which its caller has left, and returns the sizes of the groups that
// the writer makes of them.
func Gather(n int) (sizes []int) {
	w := &writer{queue: make(chan *job, n)}
	for i := range n {
		j := &job{}
		j.taken.Store(i%3 == 2)
		w.queue <- j
	}
	for {
		select {
		case j := <-w.queue:
			if group := w.gather(j); len(group) > 0 {
				sizes = append(sizes, len(group))
			}
		default:
			return sizes
		}
	}
}

// Plan returns the first step of SQLite's plan for a statement.
func Plan(t testing.TB, s *Store, text string) string {
	t.Helper()
	return Plans(t, s, text)[0]
}

// Plans returns the steps of SQLite's plan for a statement.
func Plans(t testing.TB, s *Store, text string) (steps []string) {
	t.Helper()
	rows, err := s.read.db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}

// Update runs one statement as a job of the writer.
func (s *Store) Update(ctx context.Context, text string, args ...any) error {
	return s.updateOne(ctx, "sqlstore.Update", func(tx *writeTx) error {
		_, err := tx.exec(text, args...)
		return err
	})
}

// EventsOf is eventsOf.
var EventsOf = eventsOf

// Column returns a batch as it is stored.
func Column(events []hub.HubEvent) []byte {
	var batch []byte
	for i := range events {
		batch = appendEvent(batch, &events[i])
	}
	column, _ := compressBatch(nil, batch)
	return column
}

// MaxReported is the bound of what is remembered of reported properties, in bytes.
const MaxReported = maxReported

// Remembered has n rows of size bytes come into a cache, and returns what it holds then, and whether the newest one is among it.
func Remembered(n, size int) (bytes int, newest bool) {
	var c reportedCache
	key := func(i int) reportedKey { return reportedKey{"h", hubward.Identity{Device: fmt.Sprint(i)}} }
	document := make([]byte, size)
	for i := range n {
		c.put(key(i), &reportedRow{section: twindoc.Section{Document: document}})
		c.get(key(i / 2))
	}
	for _, rows := range []map[reportedKey]*reportedRow{c.young, c.old} {
		for _, r := range rows {
			bytes += r.size()
		}
	}
	return bytes, c.get(key(n-1)) != nil
}
