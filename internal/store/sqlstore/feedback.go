package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

// BatchFeedback puts the oldest records that are in no batch into a new one.
func (s *Store) BatchFeedback(ctx context.Context, hubName string, b hub.FeedbackBatchStart, least, most int) (taken, left int, err error) {
	err = s.update(ctx, "sqlstore.BatchFeedback", func(tx *writeTx) error {
		waiting, err := countRecords(tx, hubName, 2*most)
		if taken, left = 0, min(waiting, most); err != nil || waiting < max(least, 1) {
			return err
		}
		row, err := tx.row(`INSERT INTO feedback_batches (hub, batch_id, enqueued, expires, delivery_count, lock_token, lock_until)
			VALUES ($1, $2, $3, $4, 0, '', 0) RETURNING id`, hubName, b.ID, ticks(b.Enqueued), ticks(b.Expires))
		if err != nil {
			return err
		}
		var id int64
		if err := row.Scan(&id); err != nil {
			return err
		}
		taken = min(waiting, most)
		left = waiting - taken
		_, err = tx.exec(`UPDATE feedback_records SET batch = $1 WHERE id IN
			(SELECT id FROM feedback_records WHERE hub = $2 AND batch IS NULL ORDER BY id LIMIT $3)`, id, hubName, taken)
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	return taken, left, nil
}

// countRecords counts the records of a hub that are in no batch, up to limit.
func countRecords(tx *writeTx, hubName string, limit int) (n int, err error) {
	row, err := tx.row(`SELECT count(*) FROM (SELECT id FROM feedback_records WHERE hub = $1 AND batch IS NULL LIMIT $2)`, hubName, limit)
	if err != nil {
		return 0, err
	}
	return n, row.Scan(&n)
}

// LockFeedback locks the oldest batch of a hub that is neither locked nor expired, and returns it with its records. A
// batch whose devices were all deleted has none, and goes.
func (s *Store) LockFeedback(ctx context.Context, hubName, token string, now, until time.Time) (*hub.StoredFeedback, time.Time, error) {
	var batch *hub.StoredFeedback
	var again time.Time
	err := s.update(ctx, "sqlstore.LockFeedback", func(tx *writeTx) error {
		batch, again = nil, time.Time{}
		for {
			id, b, err := nextFeedback(tx, hubName, now)
			if err != nil {
				return err
			}
			if b == nil {
				again, err = nextUnlock(tx, hubName, now)
				return err
			}
			if b.Records, err = batchRecords(tx, id); err != nil {
				return err
			}
			if len(b.Records) == 0 {
				if err := deleteBatch(tx, id); err != nil {
					return err
				}
				continue
			}
			b.LockUntil = until
			batch = b
			_, err = tx.exec(`UPDATE feedback_batches SET lock_token = $2, lock_until = $3 WHERE id = $1`, id, token, ticks(until))
			return err
		}
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	return batch, again, nil
}

func nextFeedback(tx *writeTx, hubName string, now time.Time) (id int64, b *hub.StoredFeedback, err error) {
	row, err := tx.row(`SELECT id, batch_id, enqueued, expires, delivery_count, lock_until FROM feedback_batches
		WHERE hub = $1 AND lock_until <= $2 AND expires > $2 ORDER BY id LIMIT 1`, hubName, ticks(now))
	if err != nil {
		return 0, nil, err
	}
	return scanBatch(row)
}

// nextUnlock returns when the next lock of a hub's batches ends, zero when there is none.
func nextUnlock(tx *writeTx, hubName string, now time.Time) (time.Time, error) {
	row, err := tx.row(`SELECT min(lock_until) FROM feedback_batches WHERE hub = $1 AND lock_until > $2 AND expires > lock_until`,
		hubName, ticks(now))
	if err != nil {
		return time.Time{}, err
	}
	var at sql.NullInt64
	err = row.Scan(&at)
	return timeOf(at), err
}

// scanBatch returns nil when there is no row.
func scanBatch(row *sql.Row) (id int64, b *hub.StoredFeedback, err error) {
	b = new(hub.StoredFeedback)
	var enqueued, expires, until sql.NullInt64
	err = row.Scan(&id, &b.ID, &enqueued, &expires, &b.DeliveryCount, &until)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil, nil
	}
	if until.Int64 == 0 {
		until.Valid = false
	}
	b.Enqueued, b.Expires, b.LockUntil = timeOf(enqueued), timeOf(expires), timeOf(until)
	return id, b, err
}

func batchRecords(tx *writeTx, id int64) ([]c2dqueue.Record, error) {
	var records []c2dqueue.Record
	err := tx.each(func(row scanner) error {
		var r c2dqueue.Record
		var at sql.NullInt64
		if err := row.Scan(&r.Device, &r.Generation, &r.MessageID, &r.Status, &at); err != nil {
			return err
		}
		r.Time = timeOf(at)
		records = append(records, r)
		return nil
	}, `SELECT device_id, generation_id, message_id, status, at FROM feedback_records WHERE batch = $1 ORDER BY id`, id)
	return records, err
}

// deleteBatch removes a batch; the schema removes its records.
func deleteBatch(tx *writeTx, id int64) error {
	_, err := tx.exec(`DELETE FROM feedback_batches WHERE id = $1`, id)
	return err
}

// EditFeedback changes the batch that has the lock token.
func (s *Store) EditFeedback(ctx context.Context, hubName, token string, edit func(*hub.StoredFeedback) (*hub.StoredFeedback, error)) error {
	return s.update(ctx, "sqlstore.EditFeedback", func(tx *writeTx) error {
		row, err := tx.row(`SELECT id, batch_id, enqueued, expires, delivery_count, lock_until FROM feedback_batches
			WHERE hub = $1 AND lock_token = $2 AND lock_token <> ''`, hubName, token)
		if err != nil {
			return err
		}
		id, old, err := scanBatch(row)
		if err != nil {
			return err
		}
		next, err := edit(old)
		switch {
		case err != nil, old == nil:
			return err
		case next == nil:
			return deleteBatch(tx, id)
		case next.LockUntil.IsZero():
			_, err = tx.exec(`UPDATE feedback_batches SET delivery_count = $2, lock_token = '', lock_until = 0 WHERE id = $1`,
				id, next.DeliveryCount)
			return err
		}
		_, err = tx.exec(`UPDATE feedback_batches SET delivery_count = $2, lock_until = $3 WHERE id = $1`,
			id, next.DeliveryCount, ticks(next.LockUntil))
		return err
	})
}

// DropFeedback deletes the batches that have expired, those apart that are locked.
func (s *Store) DropFeedback(ctx context.Context, now time.Time) error {
	return s.update(ctx, "sqlstore.DropFeedback", func(tx *writeTx) error {
		_, err := tx.exec(`DELETE FROM feedback_batches WHERE expires <= $1 AND lock_until <= $1`, ticks(now))
		return err
	})
}
