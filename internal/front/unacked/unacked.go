// Package unacked keeps what a client has sent, the hub has handed to its log, and the log has not confirmed yet: what is
// still to be acknowledged. It knows neither protocol nor log.
//
// A front end appends an entry for each packet or delivery before it hands the messages in it to hub.Ingest. The log
// confirms messages by their number alone, oldest first, so entries stand in the order of their messages:
//
//	reader     Append(id, size, 1)             one message, an MQTT packet
//	reader     Append(delivery, size, 10)      ten messages, an AMQP batch: acknowledged together
//	committer  Confirm(6, each)                all of the first, five of the second
//	reader     TakeBack(2, each)               two of the second were never handed over: the log refused them
//	committer  Confirm(3, each)                the rest: the second is over
//
// What is to be known of an entry when it is over, such as the first error of its messages, is a part of its value, which
// each may change. Len and Bytes are what the bounds of a connection are compared with; how its reader waits, and who wakes
// it, is the front end's business.
//
// A Queue has no lock: its front end calls it under one of its own, since reader and committer are two goroutines.
package unacked

// Queue holds the entries of one connection, oldest first, each with a value of the front end's. The zero Queue is empty.
// An empty one keeps room for a few entries and no more; nothing allocates while there is room.
type Queue[T any] struct {
	ring  []entry[T] // its length is a power of two, or zero
	first int        // index in ring of the oldest entry
	count int
	bytes int
}

type entry[T any] struct {
	size  int32
	left  int32 // messages that are neither confirmed nor taken back
	value T
}

const (
	minRing     = 4
	maxIdleRing = 64 // entries that an empty queue keeps room for
)

// Append adds the newest entry: bytes and messages in it, at least one, that are about to be handed to the log.
func (q *Queue[T]) Append(value T, bytes, messages int) {
	if q.count == len(q.ring) {
		q.grow()
	}
	*q.at(q.count) = entry[T]{value: value, size: int32(bytes), left: int32(messages)}
	q.count++
	q.bytes += bytes
}

// Confirm takes out the n oldest messages, as the log's callback reports them. each is called for every entry that had one
// of them, oldest first; over says that it was the entry's last one and the entry is leaving. value is good until each
// returns, and each does not call the queue.
func (q *Queue[T]) Confirm(n int, each func(value *T, over bool)) {
	over, bytes := 0, 0
	for n > 0 && over < q.count {
		e := q.at(over)
		taken := min(n, int(e.left))
		n -= taken
		e.left -= int32(taken)
		each(&e.value, e.left == 0)
		if e.left == 0 {
			over, bytes = over+1, bytes+int(e.size)
			*e = entry[T]{} // what its value points to is not kept
		}
	}
	q.count, q.bytes = q.count-over, q.bytes-bytes
	q.first = (q.first + over) & (len(q.ring) - 1)
	q.rest()
}

// TakeBack takes n messages out of the newest entry again, whose producer refused them: the log will not confirm them. each
// is called once, as by Confirm; the entry is over unless it has messages that the log has still to confirm.
func (q *Queue[T]) TakeBack(n int, each func(value *T, over bool)) {
	e := q.at(q.count - 1)
	e.left -= int32(n)
	each(&e.value, e.left == 0)
	if e.left == 0 {
		q.count, q.bytes = q.count-1, q.bytes-int(e.size)
		*e = entry[T]{}
	}
	q.rest()
}

// Len counts the entries.
func (q *Queue[T]) Len() int { return q.count }

// Bytes is the sum of the entries' bytes.
func (q *Queue[T]) Bytes() int { return q.bytes }

// at returns the entry that is i behind the oldest.
func (q *Queue[T]) at(i int) *entry[T] { return &q.ring[(q.first+i)&(len(q.ring)-1)] }

func (q *Queue[T]) grow() {
	next := make([]entry[T], max(minRing, 2*len(q.ring)))
	n := copy(next, q.ring[q.first:])
	copy(next[n:], q.ring[:q.first])
	q.ring, q.first = next, 0
}

// rest gives an empty queue's room back when a busy time has made it large.
func (q *Queue[T]) rest() {
	if q.count == 0 && len(q.ring) > maxIdleRing {
		q.ring, q.first = nil, 0
	}
}
