package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hubward/hubward/internal/hub"
)

// maxOutbox bounds what one call of Outbox returns, in bytes of data: the batch that reaches it is the last.
const maxOutbox = 1 << 20

// toldEvent is an event of a transaction that is under way.
type toldEvent struct {
	hub   string
	event *hub.HubEvent
}

// tell stores events with what the transaction changes. Whoever changes an identity has its row locked until the end, and
// all events get their place at the end: so those of one identity stand in the order of its changes, whichever
// transactions they come from.
func (t *writeTx) tell(hubName string, events []hub.HubEvent) {
	for i := range events {
		t.told = append(t.told, toldEvent{hubName, &events[i]})
	}
}

// forgetEvents drops what was told of a hub that goes: a new one of its name must not tell it.
func (t *writeTx) forgetEvents(hubName string) {
	t.told = slices.DeleteFunc(t.told, func(e toldEvent) bool { return e.hub == hubName })
}

// storeEvents stores what was told in batches, those of each hub apart.
func (t *writeTx) storeEvents() error {
	for len(t.told) > 0 {
		hubName := t.told[0].hub
		var others []toldEvent
		batch, n, size := t.w.batch[:0], 0, 0
		for _, e := range t.told {
			if e.hub != hubName {
				others = append(others, e)
				continue
			}
			if n == hub.MaxEventBatch || n > 0 && size+len(e.event.Data) > hub.MaxEventBatchBytes {
				if err := t.storeBatch(hubName, batch); err != nil {
					return err
				}
				batch, n, size = batch[:0], 0, 0
			}
			batch = appendEvent(batch, e.event)
			n, size = n+1, size+len(e.event.Data)
		}
		if err := t.storeBatch(hubName, batch); err != nil {
			return err
		}
		t.told = others
		if t.w.batch = batch; cap(batch) > mostCompressed {
			t.w.batch = nil // there was one of unusual size
		}
	}
	return nil
}

// storeBatch leaves out the events of a hub that is gone by now: they would go with it.
func (t *writeTx) storeBatch(hubName string, batch []byte) error {
	column, compressed := compressBatch(t.w.compressed, batch)
	t.w.compressed = compressed
	_, err := t.exec(`INSERT INTO outbox (hub, events) SELECT name, $2 FROM hubs WHERE name = $1`, hubName, column)
	return err
}

// errEnough ends a query.
var errEnough = errors.New("enough")

// Outbox returns batches of events that are not moved yet; none when limit is not positive. With an engine of several writers
// ids say nothing of the order in which batches are committed: one with a lower id may come later, but with events of
// other identities.
func (s *Store) Outbox(ctx context.Context, hubName string, limit int) ([]hub.HubEventBatch, error) {
	var batches []hub.HubEventBatch
	events, size := 0, 0
	err := s.read.each(ctx, func(row scanner) error {
		var b hub.HubEventBatch
		var column []byte
		if err := row.Scan(&b.ID, &column); err != nil {
			return err
		}
		var err error
		if b.Events, err = eventsOf(column); err != nil {
			return fmt.Errorf("outbox, row %d: %w", b.ID, err)
		}
		batches = append(batches, b)
		events += len(b.Events)
		for i := range b.Events {
			size += len(b.Events[i].Data)
		}
		if events >= limit || size >= maxOutbox {
			return errEnough
		}
		return nil
	}, `SELECT id, events FROM outbox WHERE hub = $1 ORDER BY id LIMIT $2`, hubName, max(limit, 0))
	if err != nil && !errors.Is(err, errEnough) {
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
			if _, err := tx.exec(`DELETE FROM outbox WHERE id = $1 AND hub = $2`, id, hubName); err != nil {
				return err
			}
		}
		return nil
	})
}
