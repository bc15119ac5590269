package sqlstore

import (
	"database/sql"
	"errors"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/twindoc"
)

// maxReported bounds the memory of a reportedCache, in bytes of documents and metadata.
const maxReported = 16 << 20

// reportedRow is a row of twin_reported as it is stored, with the ETag of its twin. What it holds is never changed.
type reportedRow struct {
	id      sql.NullInt64 // NULL: there is no row, and section is what nobody has written to
	etag    int64
	fence   uint64 // of the newest connection that has written
	room    int    // bytes of metadata, document and padding; 0 when there is no padding
	section twindoc.Section
}

func (r *reportedRow) size() int { return cap(r.section.Document) + cap(r.section.Metadata) + 200 }

type reportedKey struct {
	hub string
	id  hubward.Identity
}

// reportedCache holds rows of identities that have reported of late: whoever reports again has its row written, but not read.
// It belongs to the writer, which sees all changes of its own process; that no other one has written, the database says.
// What a transaction has put into it and not committed is forgotten. There are two generations: one that grows to half of the
// bound, and the one before it.
type reportedCache struct {
	changes    int64 // the database's count of changes by others when the rows were read
	young, old map[reportedKey]*reportedRow
	size       int // of young
}

func (c *reportedCache) get(k reportedKey) *reportedRow {
	if r := c.young[k]; r != nil {
		return r
	}
	r := c.old[k]
	if r != nil {
		delete(c.old, k)
		c.put(k, r)
	}
	return r
}

func (c *reportedCache) put(k reportedKey, r *reportedRow) {
	c.drop(k)
	if c.size += r.size(); c.size > maxReported/2 {
		c.old, c.young, c.size = c.young, nil, r.size()
	}
	if c.young == nil {
		c.young = make(map[reportedKey]*reportedRow)
	}
	c.young[k] = r
}

func (c *reportedCache) drop(k reportedKey) {
	if r := c.young[k]; r != nil {
		c.size -= r.size()
		delete(c.young, k)
	}
	delete(c.old, k)
}

func (c *reportedCache) clear() { c.young, c.old, c.size = nil, nil, 0 }

// cachedReported returns the row of an identity if it is known, nil otherwise.
func (t *writeTx) cachedReported(k reportedKey) (*reportedRow, error) {
	if t.w.dialect.changes == "" {
		return nil, nil
	}
	if !t.unchanged {
		row, err := t.row(t.w.dialect.changes)
		if err != nil {
			return nil, err
		}
		var changes int64
		if err := row.Scan(&changes); err != nil {
			return nil, err
		}
		if changes != t.w.reported.changes {
			t.w.reported.clear()
			t.w.reported.changes = changes
		}
		t.unchanged = true
	}
	return t.w.reported.get(k), nil
}

// cacheReported remembers the row of an identity as it is in the transaction.
func (t *writeTx) cacheReported(k reportedKey, r *reportedRow) {
	if t.w.dialect.changes != "" {
		t.w.reported.put(k, r)
		t.cached = append(t.cached, k)
	}
}

// forgetReported is called when a row was changed, or has gone, by other ways.
func (t *writeTx) forgetReported(k reportedKey) { t.w.reported.drop(k) }

// readReported reads the row of an identity that is locked, nil when there is no such identity.
func readReported(tx *writeTx, k reportedKey) (*reportedRow, error) {
	row, err := tx.row(`SELECT coalesce(t.etag, 1), r.id, coalesce(r.version, 1), coalesce(r.size, 0), r.metadata, r.document,
			coalesce(length(r.padding), 0), coalesce(r.fence, 0)
		FROM devices`+joinTwin+whoseTwin, k.hub, k.id.Device, k.id.Module)
	if err != nil {
		return nil, err
	}
	r := new(reportedRow)
	s := &r.section
	var padding int
	var fence int64
	err = row.Scan(&r.etag, &r.id, &s.Version, &s.Size, &s.Metadata, &s.Document, &padding, &fence)
	r.fence = uint64(fence)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if padding > 0 {
		r.room = len(s.Metadata) + len(s.Document) + padding
	}
	s.Document = documentOf(s.Document)
	return r, err
}
