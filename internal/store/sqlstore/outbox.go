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

// Outbox returns up to limit events that are not moved yet, the oldest first; none when limit is not positive.
func (s *Store) Outbox(ctx context.Context, hubName string, limit int) ([]hub.HubEvent, error) {
	var events []hub.HubEvent
	err := s.read.each(ctx, func(row scanner) error {
		var e hub.HubEvent
		if err := row.Scan(&e.Identity.Device, &e.Identity.Module, &e.ID, &e.Data); err != nil {
			return err
		}
		events = append(events, e)
		return nil
	}, `SELECT device_id, module_id, event_id, data FROM outbox WHERE hub = $1 ORDER BY id LIMIT $2`, hubName, max(limit, 0))
	if err != nil {
		return nil, s.fail("sqlstore.Outbox", err)
	}
	return events, nil
}

// DeleteOutbox deletes events, in one job of the writer.
func (s *Store) DeleteOutbox(ctx context.Context, hubName string, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	return s.update(ctx, "sqlstore.DeleteOutbox", func(tx *writeTx) error {
		for _, id := range ids {
			if _, err := tx.exec(`DELETE FROM outbox WHERE hub = $1 AND event_id = $2`, hubName, id); err != nil {
				return err
			}
		}
		return nil
	})
}
