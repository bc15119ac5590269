package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

// lockHub lets the writers of a hub's notifications go one after the other. Whoever takes "the oldest that nobody has"
// needs that: to lock the row that a query has found comes too late, when another writer has taken it meanwhile.
const lockHub = `SELECT name FROM hubs WHERE name = $1`

// BatchFeedback puts the oldest records that are in no notification into n.
func (s *Store) BatchFeedback(ctx context.Context, hubName string, n hub.Notification, least, most int) (taken, left int, err error) {
	err = s.update(ctx, "sqlstore.BatchFeedback", func(tx *writeTx) error {
		taken, left = 0, 0
		if err := s.lock(tx, lockHub, hubName); err != nil {
			return err
		}
		waiting, err := countRecords(tx, hubName, 2*most)
		if err != nil {
			return err
		}
		if waiting < max(least, 1) {
			left = min(waiting, most)
			return nil
		}
		taken, err = takeRecords(tx, hubName, n, most)
		left = waiting - taken
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	return taken, left, nil
}

// countRecords counts the records of a hub that are in no notification, up to limit.
func countRecords(tx *writeTx, hubName string, limit int) (n int, err error) {
	row, err := tx.row(`SELECT count(*) FROM
		(SELECT id FROM feedback_records WHERE hub = $1 AND notification IS NULL LIMIT $2) AS waiting`, hubName, limit)
	if err != nil {
		return 0, err
	}
	return n, row.Scan(&n)
}

func takeRecords(tx *writeTx, hubName string, n hub.Notification, most int) (taken int, err error) {
	row, err := tx.row(`INSERT INTO notifications (hub, kind, notification_id, enqueued, expires, delivery_count, lock_token, lock_until)
		VALUES ($1, $2, $3, $4, $5, 0, '', 0) RETURNING id`,
		hubName, string(hub.NotificationFeedback), n.ID, ticks(n.Enqueued), ticks(n.Expires))
	if err != nil {
		return 0, err
	}
	var id int64
	if err := row.Scan(&id); err != nil {
		return 0, err
	}
	rows, err := tx.change(`UPDATE feedback_records SET notification = $1 WHERE id IN
		(SELECT id FROM feedback_records WHERE hub = $2 AND notification IS NULL ORDER BY id LIMIT $3)`, id, hubName, most)
	return int(rows), err
}

// notificationColumns are what scanNotification reads.
const notificationColumns = `id, notification_id, enqueued, expires, delivery_count, lock_until`

// scanNotification returns nil when there is no row.
func scanNotification(row *sql.Row) (id int64, n *hub.Notification, err error) {
	n = new(hub.Notification)
	var enqueued, expires, until sql.NullInt64
	err = row.Scan(&id, &n.ID, &enqueued, &expires, &n.DeliveryCount, &until)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil, nil
	}
	until.Valid = until.Int64 != 0
	n.Enqueued, n.Expires, n.LockUntil = timeOf(enqueued), timeOf(expires), timeOf(until)
	return id, n, err
}

// LockNotification locks the oldest notification of a hub and kind that is neither locked nor expired, and returns it with
// its content. One whose identities were all deleted has none, and goes.
func (s *Store) LockNotification(ctx context.Context, hubName string, kind hub.NotificationKind, token string, now, until time.Time) (n *hub.Notification, again time.Time, err error) {
	err = s.update(ctx, "sqlstore.LockNotification", func(tx *writeTx) error {
		n, again = nil, time.Time{}
		if err := s.lock(tx, lockHub, hubName); err != nil {
			return err
		}
		id, next, err := s.nextNotification(tx, hubName, kind, now)
		if err != nil {
			return err
		}
		if next == nil {
			again, err = nextUnlock(tx, hubName, kind, now)
			return err
		}
		n = next
		n.LockUntil = until
		_, err = tx.exec(`UPDATE notifications SET lock_token = $2, lock_until = $3 WHERE id = $1`, id, token, ticks(until))
		return err
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	return n, again, nil
}

// nextNotification returns the notification to be locked next, nil when there is none.
func (s *Store) nextNotification(tx *writeTx, hubName string, kind hub.NotificationKind, now time.Time) (id int64, n *hub.Notification, err error) {
	for {
		row, err := tx.row(`SELECT `+notificationColumns+` FROM notifications
			WHERE hub = $1 AND kind = $2 AND lock_until <= $3 AND expires > $3 ORDER BY id LIMIT 1`+s.dialect.forUpdate,
			hubName, string(kind), ticks(now))
		if err != nil {
			return 0, nil, err
		}
		id, n, err := scanNotification(row)
		if err != nil || n == nil {
			return 0, nil, err
		}
		n.Feedback, err = feedbackOf(tx, id)
		if err != nil || len(n.Feedback) > 0 {
			return id, n, err
		}
		if err := deleteNotification(tx, id); err != nil {
			return 0, nil, err
		}
	}
}

// nextUnlock returns when the next lock of a hub's notifications ends, zero when there is none.
func nextUnlock(tx *writeTx, hubName string, kind hub.NotificationKind, now time.Time) (time.Time, error) {
	row, err := tx.row(`SELECT min(lock_until) FROM notifications
		WHERE hub = $1 AND kind = $2 AND lock_until > $3 AND expires > lock_until`, hubName, string(kind), ticks(now))
	if err != nil {
		return time.Time{}, err
	}
	var at sql.NullInt64
	err = row.Scan(&at)
	return timeOf(at), err
}

// feedbackOf reads the records of a notification.
func feedbackOf(tx *writeTx, id int64) ([]c2dqueue.Record, error) {
	var records []c2dqueue.Record
	err := tx.each(func(row scanner) error {
		var r c2dqueue.Record
		var at sql.NullInt64
		if err := row.Scan(&r.Identity.Device, &r.Identity.Module, &r.Generation, &r.MessageID, &r.Status, &at); err != nil {
			return err
		}
		r.Time = timeOf(at)
		records = append(records, r)
		return nil
	}, `SELECT device_id, module_id, generation_id, message_id, status, at FROM feedback_records WHERE notification = $1 ORDER BY id`, id)
	return records, err
}

// deleteNotification removes a notification; the schema removes its records.
func deleteNotification(tx *writeTx, id int64) error {
	_, err := tx.exec(`DELETE FROM notifications WHERE id = $1`, id)
	return err
}

// EditNotification changes the notification that has the lock token.
func (s *Store) EditNotification(ctx context.Context, hubName string, kind hub.NotificationKind, token string, edit func(*hub.Notification) (*hub.Notification, error)) error {
	return s.update(ctx, "sqlstore.EditNotification", func(tx *writeTx) error {
		if err := s.lock(tx, lockHub, hubName); err != nil {
			return err
		}
		row, err := tx.row(`SELECT `+notificationColumns+` FROM notifications
			WHERE hub = $1 AND kind = $2 AND lock_token = $3 AND lock_token <> ''`+s.dialect.forUpdate, hubName, string(kind), token)
		if err != nil {
			return err
		}
		id, old, err := scanNotification(row)
		if err != nil {
			return err
		}
		exists := old != nil
		next, err := edit(old)
		switch {
		case err != nil, !exists:
			return err
		case next == nil:
			return deleteNotification(tx, id)
		}
		return saveLock(tx, id, token, next)
	})
}

// saveLock writes what an edit may change of a notification that token has locked.
func saveLock(tx *writeTx, id int64, token string, n *hub.Notification) error {
	until := int64(0)
	if n.LockUntil.IsZero() {
		token = ""
	} else {
		until = ticks(n.LockUntil)
	}
	_, err := tx.exec(`UPDATE notifications SET delivery_count = $2, lock_token = $3, lock_until = $4 WHERE id = $1`,
		id, n.DeliveryCount, token, until)
	return err
}

// DropNotifications deletes the notifications that have expired, those apart that are locked.
func (s *Store) DropNotifications(ctx context.Context, now time.Time) error {
	return s.update(ctx, "sqlstore.DropNotifications", func(tx *writeTx) error {
		err := s.lock(tx, `SELECT name FROM hubs WHERE name IN (SELECT hub FROM notifications WHERE expires <= $1) ORDER BY name`, ticks(now))
		if err != nil {
			return err
		}
		_, err = tx.exec(`DELETE FROM notifications WHERE expires <= $1 AND lock_until <= $1`, ticks(now))
		return err
	})
}
