package sqlstore

import (
	"context"

	"github.com/hubward/hubward/internal/hub"
)

// saveEvents appends events to the outbox, in the transaction of the change that they tell of. Whoever changes an
// identity has its row locked, so that its events get their numbers in the order of its changes.
func saveEvents(tx *writeTx, hubName string, events []hub.HubEvent) error {
	for i := range events {
		e := &events[i]
		_, err := tx.exec(`INSERT INTO outbox (hub, device_id, module_id, event_id, data) VALUES ($1, $2, $3, $4, $5)`,
			hubName, e.Identity.Device, e.Identity.Module, e.ID, notNull(e.Data))
		if err != nil {
			return err
		}
	}
	return nil
}

// Outbox returns the oldest events that are not moved yet; none when limit is not positive.
func (s *Store) Outbox(ctx context.Context, hubName string, limit int) ([]hub.HubEventBatch, error) {
	var batches []hub.HubEventBatch
	err := s.read.each(ctx, func(row scanner) error {
		var e hub.HubEvent
		var id int64
		if err := row.Scan(&id, &e.Identity.Device, &e.Identity.Module, &e.ID, &e.Data); err != nil {
			return err
		}
		batches = append(batches, hub.HubEventBatch{ID: id, Events: []hub.HubEvent{e}})
		return nil
	}, `SELECT id, device_id, module_id, event_id, data FROM outbox WHERE hub = $1 ORDER BY id LIMIT $2`, hubName, max(limit, 0))
	if err != nil {
		return nil, s.fail("sqlstore.Outbox", err)
	}
	return batches, nil
}

// DeleteOutbox deletes batches, in one job of the writer.
func (s *Store) DeleteOutbox(ctx context.Context, hubName string, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	return s.update(ctx, "sqlstore.DeleteOutbox", func(tx *writeTx) error {
		for _, id := range ids {
			if _, err := tx.exec(`DELETE FROM outbox WHERE hub = $1 AND id = $2`, hubName, id); err != nil {
				return err
			}
		}
		return nil
	})
}
