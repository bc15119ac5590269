package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/hubward/hubward/internal/hub"
)

// RecordActivity stores the connection fields of devices, in one job of the writer.
func (s *Store) RecordActivity(ctx context.Context, hubName string, activity []hub.Activity) error {
	if len(activity) == 0 {
		return nil
	}
	return s.update(ctx, "sqlstore.RecordActivity", func(tx *writeTx) error {
		for i := range activity {
			if err := recordActivity(tx, hubName, &activity[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func recordActivity(tx *writeTx, hubName string, a *hub.Activity) error {
	state := sql.NullString{String: string(a.State), Valid: !a.StateUpdated.IsZero()}
	_, err := tx.exec(`UPDATE devices SET connection_state = coalesce($3, connection_state),
			connection_state_updated = coalesce($4, connection_state_updated),
			last_activity = coalesce($5, last_activity)
		WHERE hub = $1 AND device_id = $2 AND module_id = ''`,
		hubName, a.ID, state, nullTicks(a.StateUpdated), nullTicks(a.LastActivity))
	return err
}

// disconnectAll corrects what a crash left behind.
func disconnectAll(ctx context.Context, db *sql.DB, now time.Time) error {
	_, err := db.ExecContext(ctx, `UPDATE devices SET connection_state = 'Disconnected', connection_state_updated = $1
		WHERE connection_state = 'Connected'`, ticks(now))
	return err
}
