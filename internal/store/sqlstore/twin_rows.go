package sqlstore

import (
	"bytes"
	"database/sql"
	"slices"
	"unsafe"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/twindoc"
)

// twinColumns are what twinRows.columns reads, of a query with joinTwin. An identity whose twin nobody has written to has
// no rows in these tables.
const twinColumns = `t.id, coalesce(t.etag, 1), coalesce(t.desired_version, 1), coalesce(t.desired_size, 0), coalesce(t.tags_size, 0),
	t.desired_changes, t.desired_metadata, t.desired, t.tags,
	r.id, coalesce(r.version, 1), coalesce(r.size, 0), r.metadata, r.document`

const (
	joinTwins = `
		LEFT JOIN twins t ON t.hub = devices.hub AND t.device_id = devices.device_id AND t.module_id = devices.module_id`
	joinTwin = joinTwins + `
		LEFT JOIN twin_reported r ON r.hub = devices.hub AND r.device_id = devices.device_id AND r.module_id = devices.module_id`
	// whoseTwin ends such a query of one identity.
	whoseTwin = ` WHERE devices.hub = $1 AND devices.device_id = $2 AND devices.module_id = $3`
)

// twinRows is a twin as it was read from its rows.
type twinRows struct {
	hub.StoredTwin
	id         sql.NullInt64 // of the row in twins
	reportedID sql.NullInt64 // of the row in twin_reported
	changes    []byte        // DesiredChanges as they are stored
}

// columns returns where a query's twinColumns go. complete comes next.
func (t *twinRows) columns() []any {
	return []any{
		&t.id, &t.ETag, &t.Desired.Version, &t.Desired.Size, &t.Tags.Size,
		&t.changes, &t.Desired.Metadata, &t.Desired.Document, &t.Tags.Document,
		&t.reportedID, &t.Reported.Version, &t.Reported.Size, &t.Reported.Metadata, &t.Reported.Document,
	}
}

// complete makes of columns what they stand for.
func (t *twinRows) complete() (err error) {
	t.Tags.Document = documentOf(t.Tags.Document)
	t.Desired.Document = documentOf(t.Desired.Document)
	t.Reported.Document = documentOf(t.Reported.Document)
	t.DesiredChanges, err = changesOf(t.changes)
	return err
}

// copy returns a twin that may be changed.
func (t *twinRows) copy() *hub.StoredTwin {
	twin := t.StoredTwin
	twin.DesiredChanges = slices.Clone(t.DesiredChanges)
	return &twin
}

// emptyDocument is how a document without members is stored.
const emptyDocument = "{}"

// documentOf reads a document, an empty one as nil.
func documentOf(column []byte) []byte {
	if string(column) == emptyDocument {
		return nil
	}
	return column
}

// documentText stores a document. It is no copy: nobody changes the bytes of a document, and a large one costs more to copy
// than all else that is done to store it.
func documentText(document []byte) string {
	if len(document) == 0 {
		return emptyDocument
	}
	return unsafe.String(unsafe.SliceData(document), len(document))
}

// readTwin reads the twin of an identity that is locked.
func readTwin(tx *writeTx, hubName string, id hubward.Identity) (*twinRows, error) {
	row, err := tx.row(`SELECT `+twinColumns+` FROM devices`+joinTwin+whoseTwin, hubName, id.Device, id.Module)
	if err != nil {
		return nil, err
	}
	t := new(twinRows)
	if err := row.Scan(t.columns()...); err != nil {
		return nil, err
	}
	return t, t.complete()
}

// replaceTwin stores the twin of an identity that is locked. old is what is stored, nil if that was not read yet.
func (s *Store) replaceTwin(tx *writeTx, hubName string, id hubward.Identity, old *twinRows, next *hub.StoredTwin) (err error) {
	if old == nil {
		if old, err = readTwin(tx, hubName, id); err != nil {
			return err
		}
	}
	return saveTwin(tx, hubName, id, old, next)
}

// saveTwin writes what next has that old has not.
func saveTwin(tx *writeTx, hubName string, id hubward.Identity, old *twinRows, next *hub.StoredTwin) error {
	if err := saveWritten(tx, hubName, id, old, next); err != nil {
		return err
	}
	k := reportedKey{hubName, id}
	if err := saveReported(tx, k, &reportedRow{id: old.reportedID, section: old.Reported}, 0, &next.Reported); err != nil {
		return err
	}
	tx.forgetReported(k) // and the ETag with it
	return nil
}

// saveWritten saves what back ends write: tags and desired properties.
func saveWritten(tx *writeTx, hubName string, id hubward.Identity, old *twinRows, next *hub.StoredTwin) error {
	changes := encodeChanges(next.DesiredChanges)
	if next.ETag == old.ETag && sameSection(&next.Tags, &old.Tags) && sameSection(&next.Desired, &old.Desired) &&
		bytes.Equal(changes, old.changes) {
		return nil
	}
	d := &next.Desired
	if old.id.Valid {
		_, err := tx.exec(`UPDATE twins SET etag = $2, desired_version = $3, desired_size = $4, tags_size = $5,
				desired_changes = $6, desired_metadata = $7, desired = $8, tags = $9
			WHERE id = $1`,
			old.id.Int64, next.ETag, d.Version, d.Size, next.Tags.Size,
			changes, d.Metadata, documentText(d.Document), documentText(next.Tags.Document))
		return err
	}
	_, err := tx.exec(`INSERT INTO twins (hub, device_id, module_id, etag, desired_version, desired_size, tags_size,
			desired_changes, desired_metadata, desired, tags)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		hubName, id.Device, id.Module, next.ETag, d.Version, d.Size, next.Tags.Size,
		changes, d.Metadata, documentText(d.Document), documentText(next.Tags.Document))
	return err
}

// saveReported saves what the identity writes: reported properties. fence is that of its connection, 0 for what comes by none.
func saveReported(tx *writeTx, k reportedKey, old *reportedRow, fence uint64, next *twindoc.Section) error {
	if sameSection(next, &old.section) {
		return nil
	}
	padding := paddingOf(old.room, len(next.Metadata)+len(next.Document))
	if !old.id.Valid {
		tx.forgetReported(k) // the id is not known yet
		_, err := tx.exec(`INSERT INTO twin_reported (hub, device_id, module_id, version, size, metadata, document, padding, fence)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			k.hub, k.id.Device, k.id.Module, next.Version, next.Size, next.Metadata, documentText(next.Document), padding, int64(fence))
		return err
	}
	_, err := tx.exec(`UPDATE twin_reported SET version = $2, size = $3, metadata = $4, document = $5, padding = $6,
			fence = CASE WHEN fence < $7 THEN $7 ELSE fence END WHERE id = $1`,
		old.id.Int64, next.Version, next.Size, next.Metadata, documentText(next.Document), padding, int64(fence))
	if err != nil {
		return err
	}
	stored := &reportedRow{id: old.id, etag: old.etag, fence: fence, section: *next}
	stored.section.Document = documentOf(next.Document)
	if padding != nil {
		stored.room = len(next.Metadata) + len(next.Document) + len(padding)
	}
	tx.cacheReported(k, stored)
	return nil
}

// Bounds of padding, in bytes. Less than leastPadding would cost one byte less in front of the row.
const (
	leastPadded  = 4000 // metadata and document; rows of less have one page
	leastPadding = 64
	newPadding   = 512
	mostPadding  = 2048
)

var zeros [mostPadding]byte

// paddingOf returns what a row of size bytes is padded with. SQLite writes those pages of a row that are not as they were, and
// no others, if its size is as it was: so a large document that changes a little costs a page or two and not all of its
// pages twice.
//
// Source: sqlite.org/src/file/src/btree.c, btreeOverwriteCell.
func paddingOf(room, size int) []byte {
	if size < leastPadded {
		return nil
	}
	padding := room - size
	if padding < leastPadding || padding > mostPadding {
		padding = newPadding
	}
	return zeros[:padding]
}

func sameSection(a, b *twindoc.Section) bool {
	return a.Version == b.Version && a.Size == b.Size && bytes.Equal(a.Document, b.Document) && bytes.Equal(a.Metadata, b.Metadata)
}
