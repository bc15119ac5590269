package sqlstore

import (
	"context"
	"database/sql"
	"slices"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

// EditQueues runs edits in order, in one job of the writer. It writes what differs from what was read.
func (s *Store) EditQueues(ctx context.Context, edits []*hub.QueueEdit) error {
	if len(edits) == 0 {
		return nil
	}
	return s.update(ctx, "sqlstore.EditQueues", func(tx *writeTx) error {
		for _, e := range edits {
			if err := editQueue(tx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// editQueue sets e.Err to what e's function says, before anything is written; an error of its own fails the whole job.
func editQueue(tx *writeTx, e *hub.QueueEdit) error {
	old, err := readQueue(tx, e.Hub, e.Device)
	if err != nil {
		return err
	}
	if old == nil {
		e.Err = e.Edit(nil)
		return nil
	}
	next := old.Queue
	next.Messages = slices.Clone(old.Messages)
	if e.Err = e.Edit(&next); e.Err != nil {
		return nil
	}
	return saveQueue(tx, e.Hub, old, &next)
}

// storedQueue is a queue with what only the store knows of it.
type storedQueue struct {
	c2dqueue.Queue
	ids    []int64 // of the rows of Messages
	exists bool    // it has a row
	due    sql.NullInt64
}

// selectQueue has one row per message, and one without when there is none. An engine with several writers
// has to lock the identity's row before it: that is what a queue belongs to.
const selectQueue = `SELECT devices.generation_id, devices.status, q.next_sequence, q.due,
		m.id, m.sequence, m.message_id, m.ack, m.enqueued, m.expires, m.delivery_count, m.handed_out,
		m.lock_token, m.lock_until, m.lock_holder
	FROM devices
	LEFT JOIN c2d_queues q ON q.hub = devices.hub AND q.device_id = devices.device_id AND q.module_id = devices.module_id
	LEFT JOIN c2d_messages m ON m.hub = q.hub AND m.device_id = q.device_id AND m.module_id = q.module_id
	WHERE devices.hub = $1 AND devices.device_id = $2 AND devices.module_id = ''
	ORDER BY m.sequence`

// readQueue returns nil when there is no such device.
func readQueue(tx *writeTx, hubName, device string) (*storedQueue, error) {
	var q *storedQueue
	err := tx.each(func(row scanner) error {
		if q == nil {
			q = &storedQueue{Queue: c2dqueue.Queue{Device: device}}
		}
		return q.scan(row)
	}, selectQueue, hubName, device)
	return q, err
}

func (q *storedQueue) scan(row scanner) error {
	var (
		status                            hubward.Status
		next, id, sequence                sql.NullInt64
		enqueued, expires, count, handed  sql.NullInt64
		lockUntil                         sql.NullInt64
		messageID, ack, lockToken, holder sql.NullString
	)
	err := row.Scan(&q.Generation, &status, &next, &q.due,
		&id, &sequence, &messageID, &ack, &enqueued, &expires, &count, &handed, &lockToken, &lockUntil, &holder)
	if err != nil {
		return err
	}
	q.Disabled = status != hubward.StatusEnabled
	q.Next, q.exists = 1, next.Valid
	if next.Valid {
		q.Next = next.Int64
	}
	if !id.Valid {
		return nil
	}
	q.ids = append(q.ids, id.Int64)
	q.Messages = append(q.Messages, c2dqueue.Message{
		Sequence: sequence.Int64, ID: messageID.String, Ack: hubward.Ack(ack.String),
		Enqueued: timeOf(enqueued), Expires: timeOf(expires),
		DeliveryCount: int(count.Int64), HandedOut: handed.Int64 != 0,
		Lock: c2dqueue.Lock{Token: lockToken.String, Until: timeOf(lockUntil), Holder: holder.String},
	})
	return nil
}

// saveQueue writes what next has that old has not, and the other way round. Both are in order of sequence numbers.
func saveQueue(tx *writeTx, hubName string, old *storedQueue, next *c2dqueue.Queue) error {
	due := nullTicks(next.Due())
	if !old.exists && len(next.Messages) == 0 && next.Next == old.Next {
		return saveRecords(tx, hubName, next.Records)
	}
	if !old.exists || old.Next != next.Next || len(old.Messages) != len(next.Messages) || old.due != due {
		_, err := tx.exec(`INSERT INTO c2d_queues (hub, device_id, next_sequence, pending, due) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (hub, device_id, module_id) DO UPDATE SET
				next_sequence = excluded.next_sequence, pending = excluded.pending, due = excluded.due`,
			hubName, next.Device, next.Next, len(next.Messages), due)
		if err != nil {
			return err
		}
	}
	i := 0
	for j := range next.Messages {
		m := &next.Messages[j]
		for ; i < len(old.Messages) && old.Messages[i].Sequence < m.Sequence; i++ {
			if err := deleteMessage(tx, old.ids[i]); err != nil {
				return err
			}
		}
		var err error
		switch {
		case i == len(old.Messages) || old.Messages[i].Sequence != m.Sequence:
			err = insertMessage(tx, hubName, next, m)
		case old.Messages[i] != *m:
			err = updateMessage(tx, old.ids[i], m)
			i++
		default:
			i++
		}
		if err != nil {
			return err
		}
	}
	for ; i < len(old.Messages); i++ {
		if err := deleteMessage(tx, old.ids[i]); err != nil {
			return err
		}
	}
	return saveRecords(tx, hubName, next.Records)
}

func insertMessage(tx *writeTx, hubName string, q *c2dqueue.Queue, m *c2dqueue.Message) error {
	row, err := tx.row(`INSERT INTO c2d_messages (hub, device_id, sequence, message_id, ack, enqueued, expires,
			delivery_count, handed_out, lock_token, lock_until, lock_holder)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id`,
		hubName, q.Device, m.Sequence, m.ID, string(m.Ack), ticks(m.Enqueued), ticks(m.Expires),
		m.DeliveryCount, flag(m.HandedOut), m.Lock.Token, nullTicks(m.Lock.Until), m.Lock.Holder)
	if err != nil {
		return err
	}
	var id int64
	if err := row.Scan(&id); err != nil {
		return err
	}
	content := q.Contents[m.Sequence]
	if content == nil {
		content = []byte{}
	}
	_, err = tx.exec(`INSERT INTO c2d_contents (id, content) VALUES ($1, $2)`, id, content)
	return err
}

// updateMessage writes what a rule may change.
func updateMessage(tx *writeTx, id int64, m *c2dqueue.Message) error {
	_, err := tx.exec(`UPDATE c2d_messages SET delivery_count = $2, handed_out = $3, lock_token = $4, lock_until = $5, lock_holder = $6
		WHERE id = $1`,
		id, m.DeliveryCount, flag(m.HandedOut), m.Lock.Token, nullTicks(m.Lock.Until), m.Lock.Holder)
	return err
}

// deleteMessage removes a message; the schema removes its content.
func deleteMessage(tx *writeTx, id int64) error {
	_, err := tx.exec(`DELETE FROM c2d_messages WHERE id = $1`, id)
	return err
}

func saveRecords(tx *writeTx, hubName string, records []c2dqueue.Record) error {
	for i := range records {
		r := &records[i]
		_, err := tx.exec(`INSERT INTO feedback_records (hub, device_id, generation_id, message_id, status, at)
			VALUES ($1, $2, $3, $4, $5, $6)`,
			hubName, r.Device, r.Generation, r.MessageID, string(r.Status), ticks(r.Time))
		if err != nil {
			return err
		}
	}
	return nil
}

// QueuedContents reads the contents of a device's messages from first to last.
func (s *Store) QueuedContents(ctx context.Context, hubName, device string, first, last int64, visit func(sequence int64, content []byte)) error {
	err := s.read.each(ctx, func(row scanner) error {
		var sequence int64
		var content []byte
		if err := row.Scan(&sequence, &content); err != nil {
			return err
		}
		visit(sequence, content)
		return nil
	}, `SELECT m.sequence, c.content FROM c2d_messages m JOIN c2d_contents c ON c.id = m.id
		WHERE m.hub = $1 AND m.device_id = $2 AND m.module_id = '' AND m.sequence BETWEEN $3 AND $4 ORDER BY m.sequence`,
		hubName, device, first, last)
	return s.fail("sqlstore.QueuedContents", err)
}

// DueQueues returns the queues that are due first.
func (s *Store) DueQueues(ctx context.Context, limit int) ([]hub.DueQueue, error) {
	var due []hub.DueQueue
	err := s.read.each(ctx, func(row scanner) error {
		var d hub.DueQueue
		var at sql.NullInt64
		if err := row.Scan(&d.Hub, &d.Device, &at); err != nil {
			return err
		}
		d.Due = timeOf(at)
		due = append(due, d)
		return nil
	}, `SELECT hub, device_id, due FROM c2d_queues WHERE due IS NOT NULL ORDER BY due LIMIT $1`, max(limit, 0))
	if err != nil {
		return nil, s.fail("sqlstore.DueQueues", err)
	}
	return due, nil
}
