package sqlstore

import (
	"context"
	"database/sql"

	"github.com/hubward/hubward/internal/hub"
)

// DeleteHub removes a hub, and notes its log; the schema removes every row that belongs to it.
func (s *Store) DeleteHub(ctx context.Context, name string) error {
	return s.update(ctx, "sqlstore.DeleteHub", func(tx *writeTx) error {
		_, err := tx.exec(`INSERT INTO deleted_logs (name, deleted)
			SELECT CASE log_name WHEN '' THEN name ELSE log_name END, $2 FROM hubs WHERE name = $1
			ON CONFLICT (name) DO UPDATE SET deleted = excluded.deleted`, name, ticks(s.now()))
		if err != nil {
			return err
		}
		tx.w.reported.clear()
		if _, err := tx.exec(`DELETE FROM hubs WHERE name = $1`, name); err != nil {
			return err
		}
		tx.forgetEvents(name)
		return nil
	})
}

// DeletedLogs returns the logs of deleted hubs that are not forgotten, by name.
func (s *Store) DeletedLogs(ctx context.Context) ([]hub.DeletedLog, error) {
	var logs []hub.DeletedLog
	err := s.read.each(ctx, func(row scanner) error {
		var l hub.DeletedLog
		var deleted sql.NullInt64
		if err := row.Scan(&l.Name, &deleted); err != nil {
			return err
		}
		l.Deleted = timeOf(deleted)
		logs = append(logs, l)
		return nil
	}, `SELECT name, deleted FROM deleted_logs ORDER BY name`)
	if err != nil {
		return nil, s.fail("sqlstore.DeletedLogs", err)
	}
	return logs, nil
}

// ForgetDeletedLog deletes the note of DeleteHub.
func (s *Store) ForgetDeletedLog(ctx context.Context, name string) error {
	return s.update(ctx, "sqlstore.ForgetDeletedLog", func(tx *writeTx) error {
		_, err := tx.exec(`DELETE FROM deleted_logs WHERE name = $1`, name)
		return err
	})
}
