package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// connectionColumns are what scanConnection reads of an identity whose ids are known.
const connectionColumns = `connection_fence, connection_state, connection_state_updated, last_activity, model_id`

// scanConnection reads connectionColumns into c, and the columns before them into first.
func scanConnection(row scanner, c *hub.Connection, first ...any) error {
	var updated, activity sql.NullInt64
	err := row.Scan(append(first, &c.Fence, &c.State, &updated, &activity, &c.ModelID)...)
	c.StateUpdated, c.LastActivity = timeOf(updated), timeOf(activity)
	return err
}

// EditConnections runs edits in order, in one job of the writer. It writes what differs from what was read.
func (s *Store) EditConnections(ctx context.Context, hubName string, edits []*hub.ConnectionEdit) error {
	const op = "sqlstore.EditConnections"
	switch len(edits) {
	case 0:
		return nil
	case 1:
		return s.updateOne(ctx, op, func(tx *writeTx) error { return s.editConnection(tx, hubName, edits[0]) })
	}
	return s.update(ctx, op, func(tx *writeTx) error {
		for _, e := range edits {
			if err := s.editConnection(tx, hubName, e); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) editConnection(tx *writeTx, hubName string, e *hub.ConnectionEdit) error {
	row, err := tx.row(`SELECT `+connectionColumns+` FROM devices WHERE hub = $1 AND device_id = $2 AND module_id = $3`+s.dialect.forUpdate,
		hubName, e.ID.Device, e.ID.Module)
	if err != nil {
		return err
	}
	old := hub.Connection{ID: e.ID}
	err = scanConnection(row, &old)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	next, events := e.Edit(old)
	if err := saveConnection(tx, hubName, e.ID, &old, &next); err != nil {
		return err
	}
	tx.tell(hubName, events)
	return nil
}

func saveConnection(tx *writeTx, hubName string, id hubward.Identity, old, next *hub.Connection) error {
	updated, activity, model := nullTicks(next.StateUpdated), nullTicks(next.LastActivity), cmp.Or(next.ModelID, old.ModelID)
	if next.Fence == old.Fence && next.State == old.State &&
		updated == nullTicks(old.StateUpdated) && activity == nullTicks(old.LastActivity) && model == old.ModelID {
		return nil
	}
	_, err := tx.exec(`UPDATE devices SET connection_fence = $4, connection_state = $5, connection_state_updated = $6, last_activity = $7,
			model_id = $8
		WHERE hub = $1 AND device_id = $2 AND module_id = $3`,
		hubName, id.Device, id.Module, next.Fence, string(next.State), updated, activity, model)
	return err
}

// Connected returns up to limit connected identities behind after; none when limit is not positive.
func (s *Store) Connected(ctx context.Context, hubName string, after hubward.Identity, limit int) ([]hub.Connection, error) {
	var connections []hub.Connection
	err := s.read.each(ctx, func(row scanner) error {
		var c hub.Connection
		if err := scanConnection(row, &c, &c.ID.Device, &c.ID.Module); err != nil {
			return err
		}
		connections = append(connections, c)
		return nil
	}, `SELECT device_id, module_id, `+connectionColumns+` FROM devices
		WHERE hub = $1 AND connection_state = 'Connected' AND (device_id, module_id) > ($2, $3)
		ORDER BY device_id, module_id LIMIT $4`,
		hubName, after.Device, after.Module, max(limit, 0))
	if err != nil {
		return nil, s.fail("sqlstore.Connected", err)
	}
	return connections, nil
}
