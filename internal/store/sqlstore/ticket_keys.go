package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/hubward/hubward/internal/hub"
)

// TicketKeys returns the keys of TLS session tickets, the newest first.
func (s *Store) TicketKeys(ctx context.Context) ([]hub.TicketKey, error) {
	var keys []hub.TicketKey
	err := s.read.each(ctx, func(row scanner) error {
		var k hub.TicketKey
		var created sql.NullInt64
		if err := row.Scan(&k.ID, &created, &k.Sealed); err != nil {
			return err
		}
		k.Created = timeOf(created)
		keys = append(keys, k)
		return nil
	}, `SELECT id, created, sealed FROM ticket_keys ORDER BY id DESC`)
	if err != nil {
		return nil, s.fail("sqlstore.TicketKeys", err)
	}
	return keys, nil
}

// AddTicketKey adds a key and deletes old ones, unless there is a newer one than the caller knows.
func (s *Store) AddTicketKey(ctx context.Context, newest int64, key hub.TicketKey, oldest time.Time) error {
	return s.update(ctx, "sqlstore.AddTicketKey", func(tx *writeTx) error {
		n, err := tx.change(`INSERT INTO ticket_keys (created, sealed)
			SELECT $2, $3 WHERE $1 = coalesce((SELECT max(id) FROM ticket_keys), 0)`, newest, ticks(key.Created), key.Sealed)
		if err != nil || n == 0 {
			return err
		}
		_, err = tx.exec(`DELETE FROM ticket_keys WHERE created < $1`, ticks(oldest))
		return err
	})
}
