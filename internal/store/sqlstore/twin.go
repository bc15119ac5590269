package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/twindoc"
)

// Twin returns an identity with its twin. It is one query, so that both are of the same moment.
func (s *Store) Twin(ctx context.Context, hubName string, id hubward.Identity) (*hub.Registration, error) {
	const op = "sqlstore.Twin"
	row, err := s.read.row(ctx, `SELECT `+twinColumns+`, `+identityColumns+` FROM devices`+joinTwin+whoseTwin,
		hubName, id.Device, id.Module)
	if err != nil {
		return nil, s.fail(op, err)
	}
	var twin twinRows
	r := withID(id)
	err = scanIdentity(row, r, twin.columns()...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, notFound(op, id)
	}
	if err == nil {
		err = twin.complete()
	}
	if err != nil {
		return nil, s.fail(op, err)
	}
	r.Twin = &twin.StoredTwin
	return r, nil
}

// Twins returns up to limit devices behind after with their twins, ordered by id; none when limit is not positive.
func (s *Store) Twins(ctx context.Context, hubName, after string, limit int) ([]hub.Registration, error) {
	var devices []hub.Registration
	err := s.read.each(ctx, func(row scanner) error {
		var r hub.Registration
		var twin twinRows
		if err := scanIdentity(row, &r, append(twin.columns(), &r.DeviceID)...); err != nil {
			return err
		}
		r.Twin = &twin.StoredTwin
		devices = append(devices, r)
		return twin.complete()
	}, `SELECT `+twinColumns+`, devices.device_id, `+identityColumns+` FROM devices`+joinTwin+`
		WHERE devices.hub = $1 AND devices.device_id > $2 AND devices.module_id = ''
		ORDER BY devices.device_id LIMIT $3`, hubName, after, max(limit, 0))
	if err != nil {
		return nil, s.fail("sqlstore.Twins", err)
	}
	return devices, nil
}

// DesiredProperties returns the desired properties of an identity, and their newest changes.
func (s *Store) DesiredProperties(ctx context.Context, hubName string, id hubward.Identity) (twindoc.Section, []hub.DesiredChange, error) {
	const op = "sqlstore.DesiredProperties"
	row, err := s.read.row(ctx, `SELECT coalesce(t.desired_version, 1), coalesce(t.desired_size, 0), t.desired_changes, t.desired_metadata, t.desired
		FROM devices`+joinTwins+whoseTwin, hubName, id.Device, id.Module)
	if err != nil {
		return twindoc.Section{}, nil, s.fail(op, err)
	}
	var twin twinRows
	d := &twin.Desired
	err = row.Scan(&d.Version, &d.Size, &twin.changes, &d.Metadata, &d.Document)
	if errors.Is(err, sql.ErrNoRows) {
		return twindoc.Section{}, nil, notFound(op, id)
	}
	if err == nil {
		err = twin.complete()
	}
	if err != nil {
		return twindoc.Section{}, nil, s.fail(op, err)
	}
	return twin.Desired, twin.DesiredChanges, nil
}

// EditTwins runs edits in order, in one job of the writer. It writes what differs from what was read.
func (s *Store) EditTwins(ctx context.Context, hubName string, edits []*hub.TwinEdit) error {
	if len(edits) == 0 {
		return nil
	}
	const op = "sqlstore.EditTwins"
	return s.update(ctx, op, func(tx *writeTx) error {
		for _, e := range edits {
			if err := s.editTwin(op, tx, hubName, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// editTwin sets e.Err to what e's function says, before anything is written; an error of its own fails the whole job.
func (s *Store) editTwin(op string, tx *writeTx, hubName string, e *hub.TwinEdit) error {
	r, err := s.lockIdentity(tx, hubName, e.ID)
	if err != nil {
		return err
	}
	if r == nil {
		e.Err = notFound(op, e.ID)
		return nil
	}
	old, err := readTwin(tx, hubName, e.ID)
	if err != nil {
		return err
	}
	r.Twin = old.copy()
	events, err := e.Edit(r)
	if e.Err = err; err != nil {
		return nil
	}
	if err := saveTwin(tx, hubName, e.ID, old, r.Twin); err != nil {
		return err
	}
	tx.tell(hubName, events)
	return nil
}

// EditReported runs edits in order, in one job of the writer. Each writes one row, if what it stores differs, and reads it
// unless it is known from the time before.
func (s *Store) EditReported(ctx context.Context, hubName string, edits []*hub.ReportedEdit, done func(err error)) {
	const op = "sqlstore.EditReported"
	if len(edits) == 0 {
		done(nil)
		return
	}
	j := &job{one: len(edits) == 1, done: func(err error) { done(s.fail(op, err)) }}
	j.run = func(tx *writeTx) error {
		for _, e := range edits {
			if err := s.editReported(op, tx, hubName, e); err != nil {
				return err
			}
		}
		return nil
	}
	s.write.submitSoon(ctx, j)
}

func (s *Store) editReported(op string, tx *writeTx, hubName string, e *hub.ReportedEdit) error {
	k := reportedKey{hubName, e.ID}
	old, err := s.lockReported(tx, k)
	if err != nil {
		return err
	}
	if old == nil {
		e.Err = notFound(op, e.ID)
		return nil
	}
	if e.Fence < old.fence {
		e.Err = hubward.Errorf(hubward.CodeConnectionClosedOnNewOne, "a newer connection of the device has reported")
		return nil
	}
	next, events, err := e.Edit(old.etag, old.section)
	if e.Err = err; err != nil {
		return nil
	}
	if err := saveReported(tx, k, old, e.Fence, &next); err != nil {
		return err
	}
	tx.tell(hubName, events)
	return nil
}

// lockReported finds a row that is written back, nil when there is no such identity. It locks the identity's: the twin has no
// row before it is written to, and an outer join cannot be locked.
func (s *Store) lockReported(tx *writeTx, k reportedKey) (*reportedRow, error) {
	if r, err := tx.cachedReported(k); r != nil || err != nil {
		return r, err
	}
	if err := s.lock(tx, lockIdentity, k.hub, k.id.Device, k.id.Module); err != nil {
		return nil, err
	}
	r, err := readReported(tx, k)
	if err == nil && r != nil {
		tx.cacheReported(k, r)
	}
	return r, err
}
