package c2d

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

// Key names a queue.
type Key struct {
	Hub      string
	Identity hubward.Identity
}

// Store keeps the queues. A queue goes with its identity.
type Store interface {
	// EditQueues runs edits in order, in one write transaction that may be shared with other callers, and returns when
	// it is durable: messages, and the feedback records that the edits add. An edit whose function fails leaves its own
	// queue as it was and says so in its Err; the other edits stand. The returned error is that of the transaction as a
	// whole: then nothing was changed.
	EditQueues(ctx context.Context, edits []*Edit) error
	// QueuedContents hands the contents of a queue's messages with sequence numbers from first to last to visit, in
	// order. A message that is gone is left out. visit keeps what it likes.
	QueuedContents(ctx context.Context, key Key, first, last int64, visit func(sequence int64, content []byte)) error
	// DueQueues returns up to limit queues of all hubs in which a lock or a message ends, the earliest first.
	DueQueues(ctx context.Context, limit int) ([]Due, error)
}

// Edit is one read-modify-write of a queue.
type Edit struct {
	Key Key
	// Edit gets the stored queue, nil when there is no such identity, and changes it. It has no side effects beyond its
	// edit, calls no store, and may run more than once.
	Edit func(q *c2dqueue.Queue) error
	// Err is the outcome, set by EditQueues.
	Err error
}

// Due says when something ends in a queue.
type Due struct {
	Key Key
	At  time.Time // as c2dqueue.Queue.Due, to 100 ns
}

// Outcome is what an identity makes of a message.
type Outcome = c2dqueue.Outcome

// The outcomes that an identity may give. Return is for the end of a connection: the message goes back without a count.
const (
	Complete = c2dqueue.Complete // done: it leaves the queue
	Reject   = c2dqueue.Reject   // never again: it leaves the queue
	Abandon  = c2dqueue.Abandon  // give it back, and count that
	Return   = c2dqueue.Return
)

// Counted is something that happened to a message.
type Counted int

// What is counted. A message that leaves its queue does so by exactly one of those from Completed on, unless its identity
// is deleted; Abandoned comes besides Exceeded.
const (
	Sent      Counted = iota // it was stored
	Delivered                // it was handed out, not for the first time perhaps
	Abandoned                // it was given back
	Completed
	Rejected
	Expired
	Exceeded // it was abandoned as often as may be
	Purged
	CountedKinds // how many there are
)

var countedEndings = map[hubward.FeedbackStatus]Counted{
	hubward.FeedbackSuccess: Completed, hubward.FeedbackRejected: Rejected, hubward.FeedbackExpired: Expired,
	hubward.FeedbackDeliveryCountExceeded: Exceeded, hubward.FeedbackPurged: Purged,
}

// Observer is told what happens. Its methods must not block.
type Observer interface {
	// CloudToDevice counts what happened to messages.
	CloudToDevice(hub string, what Counted, n int)
	// DeviceBytes counts payload bytes to identities.
	DeviceBytes(hub string, n int)
}

// Options are what Queues are made of. All are required.
type Options struct {
	Store    Store
	Observer Observer
	Logger   *slog.Logger
	Now      func() time.Time
	NewGUID  func() (string, error)
	// MaxDeliveries returns a hub's bound of deliveries of a message; 0 when the hub is gone.
	MaxDeliveries func(hub string) int
	// ConnectedBy returns the fence of the claim by which an identity is connected; 0 when it is not.
	ConnectedBy func(ctx context.Context, key Key) (uint64, error)
	// Visible is told that messages may have become visible: whoever holds the identity's receiver must be woken.
	Visible func(Key)
	// Due is told when something will end in a queue. It must not block.
	Due func(time.Time)
	// Feedback is told that records were stored. It must not block.
	Feedback func(hub string, records int)
}

// Queues hands out messages. It is safe for concurrent use.
type Queues struct {
	o Options

	work    chan struct{} // queues are ready; holds one
	closing chan struct{} // closed with closed

	mu        sync.Mutex // guards the fields below and those of queues and receivers; a leaf
	receivers uint64     // that there ever were
	queues    map[Key]*queue
	ready     []*queue
	closed    bool
}

// queue is what a queue has in memory while it has a receiver or outcomes to store. It is guarded by Queues.mu.
type queue struct {
	key       Key
	receiver  *Receiver // nil: nobody receives
	tasks     []task    // in order
	news      bool      // there may be visible messages
	scheduled bool      // it is ready or running
}

// New makes Queues. The caller runs Run.
func New(o Options) *Queues {
	return &Queues{
		o: o, work: make(chan struct{}, 1), closing: make(chan struct{}), queues: make(map[Key]*queue),
	}
}

// Wake is called when messages may have become visible for a receiver of this process.
func (q *Queues) Wake(key Key) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if it := q.queues[key]; it != nil {
		it.news = true
		q.scheduleLocked(it)
	}
}

func (q *Queues) queueLocked(key Key) *queue {
	it := q.queues[key]
	if it == nil {
		it = &queue{key: key}
		q.queues[key] = it
	}
	return it
}

// scheduleLocked makes it ready if there is something to do.
func (q *Queues) scheduleLocked(it *queue) {
	receives := it.receiver != nil && it.receiver.credit > 0 && it.news && !q.closed
	if it.scheduled || len(it.tasks) == 0 && !receives {
		return
	}
	it.scheduled = true
	q.ready = append(q.ready, it)
	q.signal()
}

func (q *Queues) signal() {
	select {
	case q.work <- struct{}{}:
	default: // a signal that waits is for this queue too
	}
}
