package sqlstore

import (
	"context"
	"database/sql"
	"slices"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/c2d"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

// EditQueues runs edits in order, in one job of the writer. It writes what differs from what was read.
func (s *Store) EditQueues(ctx context.Context, edits []*c2d.Edit) error {
	if len(edits) == 0 {
		return nil
	}
	return s.update(ctx, "sqlstore.EditQueues", func(tx *writeTx) error {
		for _, e := range edits {
			if err := s.editQueue(tx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// editQueue sets e.Err to what e's function says, before anything is written; an error of its own fails the whole job.
func (s *Store) editQueue(tx *writeTx, e *c2d.Edit) error {
	old, err := s.readQueue(tx, e.Key)
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
	return saveQueue(tx, e.Key, old, &next)
}

// storedQueue is a queue with what only the store knows of it.
type storedQueue struct {
	c2dqueue.Queue
	ids []int64 // of the rows of Messages
	due sql.NullInt64
}

// readQueue reads a queue that is written back, nil when there is no such identity. What is locked is the identity's row:
// a queue has none before its first message, and an outer join cannot be locked.
func (s *Store) readQueue(tx *writeTx, key c2d.Key) (*storedQueue, error) {
	id := key.Identity
	err := s.lock(tx, lockIdentity, key.Hub, id.Device, id.Module)
	if err != nil {
		return nil, err
	}
	var q *storedQueue
	err = tx.each(func(row scanner) error {
		if q == nil {
			q = &storedQueue{Queue: c2dqueue.Queue{Identity: id}}
		}
		return q.scan(row)
	}, selectQueue, key.Hub, id.Device, id.Module)
	return q, err
}

// selectQueue has one row per message, and one without when there is none.
const selectQueue = `SELECT devices.generation_id, devices.status, q.next_sequence, q.due, q.newest_fence, q.newest_receiver,
		m.id, m.sequence, m.message_id, m.ack, m.enqueued, m.expires, m.delivery_count, m.handed_out,
		m.lock_token, m.lock_until, m.lock_fence, m.lock_receiver
	FROM devices
	LEFT JOIN c2d_queues q ON q.hub = devices.hub AND q.device_id = devices.device_id AND q.module_id = devices.module_id
	LEFT JOIN c2d_messages m ON m.hub = q.hub AND m.device_id = q.device_id AND m.module_id = q.module_id
	WHERE devices.hub = $1 AND devices.device_id = $2 AND devices.module_id = $3
	ORDER BY m.sequence`

func (q *storedQueue) scan(row scanner) error {
	var (
		status                                hubward.Status
		next, id, sequence, enqueued, expires sql.NullInt64
		count, handed, lockUntil              sql.NullInt64
		messageID, ack, lockToken             sql.NullString
		fence, receiver                       sql.Null[uint64]
		lockFence, lockReceiver               sql.Null[uint64]
	)
	err := row.Scan(&q.Generation, &status, &next, &q.due, &fence, &receiver,
		&id, &sequence, &messageID, &ack, &enqueued, &expires, &count, &handed,
		&lockToken, &lockUntil, &lockFence, &lockReceiver)
	if err != nil {
		return err
	}
	q.Disabled = status != hubward.StatusEnabled
	q.Newest = c2dqueue.Holder{Fence: fence.V, Receiver: receiver.V}
	if q.Next = 1; next.Valid {
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
		Lock: c2dqueue.Lock{
			Token: lockToken.String, Until: timeOf(lockUntil),
			Holder: c2dqueue.Holder{Fence: lockFence.V, Receiver: lockReceiver.V},
		},
	})
	return nil
}

// saveQueue writes what next has that old has not, and the other way round. Both are in order of sequence numbers.
func saveQueue(tx *writeTx, key c2d.Key, old *storedQueue, next *c2dqueue.Queue) error {
	if err := saveQueueRow(tx, key, old, next); err != nil {
		return err
	}
	if err := saveMessages(tx, key, old, next); err != nil {
		return err
	}
	return saveRecords(tx, key, next.Records)
}

// saveQueueRow writes the queue's row if anything in it differs: a queue that never had a message has none.
func saveQueueRow(tx *writeTx, key c2d.Key, old *storedQueue, next *c2dqueue.Queue) error {
	due := nullTicks(next.Due())
	if old.Next == next.Next && old.Newest == next.Newest && len(old.Messages) == len(next.Messages) && old.due == due {
		return nil
	}
	_, err := tx.exec(`INSERT INTO c2d_queues (hub, device_id, module_id, next_sequence, pending, due, newest_fence, newest_receiver)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (hub, device_id, module_id) DO UPDATE SET
			next_sequence = excluded.next_sequence, pending = excluded.pending, due = excluded.due,
			newest_fence = excluded.newest_fence, newest_receiver = excluded.newest_receiver`,
		key.Hub, key.Identity.Device, key.Identity.Module, next.Next, len(next.Messages), due, next.Newest.Fence, next.Newest.Receiver)
	return err
}

func saveMessages(tx *writeTx, key c2d.Key, old *storedQueue, next *c2dqueue.Queue) error {
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
			err = insertMessage(tx, key, m, next.Contents[m.Sequence])
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
	return nil
}

func insertMessage(tx *writeTx, key c2d.Key, m *c2dqueue.Message, content []byte) error {
	row, err := tx.row(`INSERT INTO c2d_messages (hub, device_id, module_id, sequence, message_id, ack, enqueued, expires,
			delivery_count, handed_out, lock_token, lock_until, lock_fence, lock_receiver)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING id`,
		key.Hub, key.Identity.Device, key.Identity.Module, m.Sequence, m.ID, string(m.Ack), ticks(m.Enqueued), ticks(m.Expires),
		m.DeliveryCount, flag(m.HandedOut), m.Lock.Token, nullTicks(m.Lock.Until), m.Lock.Holder.Fence, m.Lock.Holder.Receiver)
	if err != nil {
		return err
	}
	var id int64
	if err := row.Scan(&id); err != nil {
		return err
	}
	_, err = tx.exec(`INSERT INTO c2d_contents (id, content) VALUES ($1, $2)`, id, notNull(content))
	return err
}

// updateMessage writes what a rule may change.
func updateMessage(tx *writeTx, id int64, m *c2dqueue.Message) error {
	_, err := tx.exec(`UPDATE c2d_messages SET delivery_count = $2, handed_out = $3, lock_token = $4, lock_until = $5,
			lock_fence = $6, lock_receiver = $7
		WHERE id = $1`,
		id, m.DeliveryCount, flag(m.HandedOut), m.Lock.Token, nullTicks(m.Lock.Until), m.Lock.Holder.Fence, m.Lock.Holder.Receiver)
	return err
}

// deleteMessage removes a message; the schema removes its content.
func deleteMessage(tx *writeTx, id int64) error {
	_, err := tx.exec(`DELETE FROM c2d_messages WHERE id = $1`, id)
	return err
}

func saveRecords(tx *writeTx, key c2d.Key, records []c2dqueue.Record) error {
	for i := range records {
		r := &records[i]
		_, err := tx.exec(`INSERT INTO feedback_records (hub, device_id, module_id, generation_id, message_id, status, at)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			key.Hub, key.Identity.Device, key.Identity.Module, r.Generation, r.MessageID, string(r.Status), ticks(r.Time))
		if err != nil {
			return err
		}
	}
	return nil
}

// QueuedContents reads the contents of a queue's messages from first to last.
func (s *Store) QueuedContents(ctx context.Context, key c2d.Key, first, last int64, visit func(sequence int64, content []byte)) error {
	err := s.read.each(ctx, func(row scanner) error {
		var sequence int64
		var content []byte
		if err := row.Scan(&sequence, &content); err != nil {
			return err
		}
		visit(sequence, content)
		return nil
	}, `SELECT m.sequence, c.content FROM c2d_messages m JOIN c2d_contents c ON c.id = m.id
		WHERE m.hub = $1 AND m.device_id = $2 AND m.module_id = $3 AND m.sequence BETWEEN $4 AND $5 ORDER BY m.sequence`,
		key.Hub, key.Identity.Device, key.Identity.Module, first, last)
	return s.fail("sqlstore.QueuedContents", err)
}

// DueQueues returns the queues that are due first.
func (s *Store) DueQueues(ctx context.Context, limit int) ([]c2d.Due, error) {
	var due []c2d.Due
	err := s.read.each(ctx, func(row scanner) error {
		var d c2d.Due
		var at sql.NullInt64
		if err := row.Scan(&d.Key.Hub, &d.Key.Identity.Device, &d.Key.Identity.Module, &at); err != nil {
			return err
		}
		d.At = timeOf(at)
		due = append(due, d)
		return nil
	}, `SELECT hub, device_id, module_id, due FROM c2d_queues WHERE due IS NOT NULL ORDER BY due LIMIT $1`, max(limit, 0))
	if err != nil {
		return nil, s.fail("sqlstore.DueQueues", err)
	}
	return due, nil
}
