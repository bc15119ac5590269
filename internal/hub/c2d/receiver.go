package c2d

import (
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

// maxTasks bounds what a receiver has settled and is not stored yet. A queue is not as deep.
const maxTasks = 1000

// Bounds of one run of a queue.
const (
	lockDuration = time.Minute
	maxPerRun    = 16 // messages of one queue, with their contents in memory
)

// ReceiverOptions say who receives.
type ReceiverOptions struct {
	Key        Key
	Fence      uint64 // of the claim by which the identity is connected; of two receivers the later one counts
	Generation string // of the identity at its log-in: the queue of a later one of that name is not touched. Empty: any
	Credit     int    // how many messages may come at first
	// Deliver is called with each message, in order of their sequence numbers, by one of the workers, one call at a time. It
	// must not block, and may call Settle and Credit.
	Deliver func(*Delivery)
	// Active is called when the identity settles something: a sign of life. It must not block.
	Active func()
}

// Receiver is a connected identity's interest in its messages. It is safe for concurrent use.
type Receiver struct {
	// Set by Receive, never changed after.
	queues     *Queues
	key        Key
	generation string
	holder     c2dqueue.Holder // of its locks
	deliver    func(*Delivery)
	active     func()

	// Guarded by Queues.mu.
	credit  int
	stopped bool
}

// task is one thing to do in a queue before its messages are looked at.
type task struct {
	token   string // whose lock to end; empty: those of holder
	outcome Outcome
	holder  c2dqueue.Holder
	done    func(error) // may be nil
}

// Receive hands messages to o.Deliver: at most o.Credit of them at first, and as many more as Credit grants. What earlier
// receivers of the queue hold comes first, at once. A second receiver replaces the first. Stop ends it.
//
// Run does the work: before it runs, and after, nothing comes.
func (q *Queues) Receive(o ReceiverOptions) *Receiver {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.receivers++
	r := &Receiver{
		queues: q, key: o.Key, generation: o.Generation, deliver: o.Deliver, active: o.Active, credit: max(o.Credit, 0),
		holder: c2dqueue.Holder{Fence: o.Fence, Receiver: q.receivers},
	}
	it := q.queueLocked(o.Key)
	if it.receiver != nil {
		if r.holder.Before(it.receiver.holder) { // its claim was displaced meanwhile
			r.stopped = true
			return r
		}
		q.stopLocked(it, it.receiver)
	}
	it.receiver, it.news = r, true
	q.scheduleLocked(it)
	return r
}

// Credit lets n more messages come. Settling a message does not.
func (r *Receiver) Credit(n int) { r.change(func() { r.credit += max(n, 0) }) }

// SetCredit replaces the credit, e.g. because the peer drains its link. A message whose delivery was under way may still
// come after it has returned.
func (r *Receiver) SetCredit(n int) { r.change(func() { r.credit = max(n, 0) }) }

func (r *Receiver) change(change func()) {
	q := r.queues
	q.mu.Lock()
	defer q.mu.Unlock()
	change()
	if it := q.queues[r.key]; it != nil && it.receiver == r {
		q.scheduleLocked(it)
	}
}

// Settle ends the lock of a delivery of this receiver. done is called once, by one of the workers, when the outcome is
// durable or has failed; it must not block, and may be nil. What can be refused at once, such as any settling after Run has
// ended, is refused before Settle returns.
//
// Errors: as Queues.Settle; CodeServiceUnavailable when Run has ended; CodeThrottled when too much is being settled.
func (r *Receiver) Settle(lockToken string, outcome Outcome, done func(error)) {
	err := r.settle(task{token: lockToken, outcome: outcome, done: done})
	if err != nil && done != nil {
		done(err)
	}
}

func (r *Receiver) settle(t task) error {
	r.active()
	q := r.queues
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return hubward.Errorf(hubward.CodeServiceUnavailable, "the hub is shutting down")
	}
	if t.token == "" {
		return hubward.Errorf(hubward.CodeDeviceMessageLockLost, "the message was not delivered to this connection")
	}
	it := q.queueLocked(r.key) // an identity that settles late has one again
	if len(it.tasks) >= maxTasks {
		return hubward.Errorf(hubward.CodeThrottled, "more than %d messages are being settled", maxTasks)
	}
	it.tasks = append(it.tasks, t)
	q.scheduleLocked(it)
	return nil
}

// Stop ends the receiver: what it holds goes back without a count. A message whose delivery was under way may still come
// after it has returned. It may be called more than once.
func (r *Receiver) Stop() {
	q := r.queues
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopLocked(q.queueLocked(r.key), r)
}

// stopLocked takes r from its queue, and has what it holds given back.
func (q *Queues) stopLocked(it *queue, r *Receiver) {
	if r.stopped {
		if !it.scheduled && it.receiver == nil {
			delete(q.queues, it.key) // it was made for this call
		}
		return
	}
	r.stopped, r.credit = true, 0
	if it.receiver == r {
		it.receiver = nil
	}
	it.tasks = append(it.tasks, task{holder: r.holder})
	q.scheduleLocked(it)
}

// run does a task. It is a part of a queue's rule.
func (t *task) run(stored *c2dqueue.Queue, r *run) error {
	if t.token == "" {
		stored.Return(t.holder)
		return nil
	}
	return stored.Settle(t.token, t.outcome, r.now, r.maxDeliveries)
}
