package pebblelog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hubward/hubward/internal/hub"
)

// Checkpoint makes a copy of the log in a folder that does not exist, with all that was acknowledged before the call. On one
// file system it costs no space at first: tables never change, and are linked. It takes appends no time to speak of. A copy that
// fails is no failure of the log.
func (l *Log) Checkpoint(dir string) error {
	l.mu.Lock()
	if err := l.group.RefusalLocked(); err != nil {
		l.mu.Unlock()
		return err
	}
	l.readers.Add(1)
	l.mu.Unlock()
	defer l.readers.Done()
	if err := l.db.Checkpoint(dir); err != nil {
		return plain(err)
	}
	return l.refusal() // then what was acknowledged last may be in files that were not written
}

// Report is what Check has found in a log.
type Report struct {
	Problems []string // what is damaged; none: all is well
	Owner    Owner
	Hubs     []string // of which there are events, or remembered numbers
	Events   int64    // not counted when there are problems
}

// Check reads a whole log that no process has open: the checksums of all tables, and whether each partition is whole. It changes
// nothing. Its error says that the log cannot be read at all.
func Check(ctx context.Context, dir string) (r Report, err error) {
	fs := unlocked{vfs.Default}
	o := &pebble.Options{
		FS: fs, ReadOnly: true, ErrorIfNotExists: true, Logger: quiet{},
		EventListener: &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {}}, // its default ends the process
	}
	db, err := pebble.Open(dir, o)
	if err != nil {
		return r, plain(err)
	}
	c := &checker{report: &r, db: db, dir: dir, fs: fs, options: o, holds: map[hub.Partition]*held{}}
	err = c.run(ctx)
	if closeErr := db.Close(); err == nil && closeErr != nil {
		err = plain(closeErr)
	}
	return r, err
}

type checker struct {
	report  *Report
	db      *pebble.DB
	dir     string
	fs      vfs.FS
	options *pebble.Options
	holds   map[hub.Partition]*held
}

// held is what is in a partition.
type held struct{ first, next, lastMS int64 }

func (c *checker) problem(format string, args ...any) {
	c.report.Problems = append(c.report.Problems, fmt.Sprintf(format, args...))
}

func (c *checker) run(ctx context.Context) error {
	if err := c.tables(ctx); err != nil || len(c.report.Problems) > 0 {
		return err
	}
	l := &Log{db: c.db}
	version, err := l.format()
	if err != nil {
		return plain(err)
	}
	if version > formatVersion {
		return fmt.Errorf("it has format version %d, this program knows version %d", version, formatVersion)
	}
	if c.report.Owner, err = l.Owner(); err != nil {
		return err
	}
	if err := c.events(ctx); err != nil {
		return err
	}
	return c.markers()
}

// tables verifies the checksum of every block of every table.
func (c *checker) tables(ctx context.Context) error {
	levels, err := c.db.SSTables()
	if err != nil {
		return plain(err)
	}
	seen := map[string]bool{}
	for _, level := range levels {
		for _, t := range level {
			if err := ctx.Err(); err != nil {
				return err
			}
			name := c.fs.PathJoin(c.dir, fmt.Sprintf("%s.sst", t.BackingSSTNum))
			if seen[name] {
				continue
			}
			seen[name] = true
			if err := c.table(ctx, name); err != nil {
				c.problem("%s, with events of %s: %v", name, rangeOf(t.Smallest.UserKey, t.Largest.UserKey), err)
			}
		}
	}
	return nil
}

func (c *checker) table(ctx context.Context, name string) error {
	f, err := c.fs.Open(name)
	if err != nil {
		return err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r, err := sstable.NewReader(ctx, readable, c.options.MakeReaderOptions()) // closes readable if it fails
	if err != nil {
		return plain(err)
	}
	err = r.ValidateBlockChecksums()
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return plain(err)
	}
	return nil
}

// rangeOf tells an operator what lies between two keys.
func rangeOf(from, to []byte) string {
	p, first, err := parseEventKey(from)
	q, last, err2 := parseEventKey(to)
	switch {
	case err != nil || err2 != nil:
		return "the log's own records"
	case p == q:
		return fmt.Sprintf("partition %v, sequence numbers %d to %d", p, first, last)
	}
	return fmt.Sprintf("partitions %v to %v", p, q)
}

// events reads every event, and whether numbers are dense and times never go back.
func (c *checker) events(ctx context.Context) error {
	it, err := c.db.NewIter(&pebble.IterOptions{LowerBound: []byte{eventSpace}, UpperBound: []byte{eventSpace + 1}})
	if err != nil {
		return plain(err)
	}
	for ok := it.First(); ok && ctx.Err() == nil && len(c.report.Problems) < maxCheckProblems; ok = it.Next() {
		if err := c.event(it); err != nil {
			c.problem("%v", err)
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		c.problem("%v", plain(err))
	}
	return ctx.Err()
}

// maxCheckProblems bounds what is found before nobody looks any further.
const maxCheckProblems = 100

func (c *checker) event(it *pebble.Iterator) error {
	p, sequence, err := parseEventKey(it.Key())
	if err != nil {
		return err
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return plain(err)
	}
	ms, err := recordTime(p, sequence, value)
	if err != nil {
		return err
	}
	c.report.Events++
	h := c.holds[p]
	if h == nil {
		h = &held{first: sequence, next: sequence, lastMS: ms}
		c.holds[p] = h
		c.noteHub(p)
	}
	was := *h
	h.next, h.lastMS = sequence+1, ms
	switch {
	case sequence != was.next:
		return missingError(p, was.next, sequence)
	case ms < was.lastMS:
		return fmt.Errorf("partition %v: event %d is older than the one before it", p, sequence)
	}
	return nil
}

func (c *checker) noteHub(p hub.Partition) {
	if !slices.Contains(c.report.Hubs, p.Hub) {
		c.report.Hubs = append(c.report.Hubs, p.Hub)
	}
}

// markers compares what retention has noted with what is there.
func (c *checker) markers() error {
	it, err := c.db.NewIter(&pebble.IterOptions{LowerBound: []byte{metaSpace, 'h'}, UpperBound: []byte{metaSpace, 'h' + 1}})
	if err != nil {
		return plain(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		p, err := parseMarkerKey(it.Key())
		if err != nil {
			c.problem("%v", err)
			continue
		}
		value, err := it.ValueAndErr()
		if err != nil {
			c.problem("%v", plain(err))
			continue
		}
		m, err := decodeMarker(p, value)
		if err != nil {
			c.problem("%v", err)
			continue
		}
		c.noteHub(p)
		if h := c.holds[p]; h != nil && h.next < m.next {
			c.problem("%v", missingError(p, h.next, m.next))
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return plain(err)
	}
	return nil
}

// unlocked is a file system in which reading a log leaves no lock file behind.
type unlocked struct{ vfs.FS }

func (unlocked) Lock(string) (io.Closer, error) { return nopCloser{}, nil }
func (u unlocked) Unwrap() vfs.FS               { return u.FS }

type nopCloser struct{}

func (nopCloser) Close() error { return nil }

// quiet drops what Pebble says while a log is checked: what it finds comes as errors.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {} // of writes that fail, and it makes none
