package c2d

import (
	"context"
	"sync"
	"time"

	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

// Bounds of the workers.
const (
	workers    = 4
	maxRuns    = 64 // queues in one transaction of a worker
	retryAfter = time.Second
)

// run is one run of a queue: what was to be done when it began, and what came of it.
type run struct {
	*change
	queue    *queue
	receiver *Receiver // nil: nobody receives
	credit   int
	tasks    []task

	maxDeliveries int

	// Set by the change.
	now     time.Time
	errs    []error // of tasks
	locked  []c2dqueue.Message
	more    bool // there may be visible messages that the receiver did not get
	deposed bool // a newer receiver of another process has locked messages
}

// Run delivers messages to receivers and stores what they settle, until ctx ends and all that was settled is stored.
func (q *Queues) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() { q.worker(context.WithoutCancel(ctx)) })
	}
	<-ctx.Done()
	q.mu.Lock()
	q.closed = true
	close(q.closing)
	q.mu.Unlock()
	wg.Wait()
}

func (q *Queues) worker(ctx context.Context) {
	for {
		runs, closed := q.begin()
		switch {
		case len(runs) > 0:
			q.run(ctx, runs)
		case closed:
			return
		default:
			select {
			case <-q.work:
			case <-q.closing:
			}
		}
	}
}

// begin returns runs of ready queues, none when there are none.
func (q *Queues) begin() (runs []*run, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.ready), maxRuns)
	for _, it := range q.ready[:n] {
		r := &run{queue: it, receiver: it.receiver, tasks: it.tasks}
		if r.receiver != nil && !q.closed {
			r.credit = min(r.receiver.credit, maxPerRun)
		}
		it.tasks, it.news = nil, false // from here on, what others make visible is news
		runs = append(runs, r)
	}
	clear(q.ready[:n])
	if q.ready = q.ready[n:]; len(q.ready) == 0 {
		q.ready = nil
	} else {
		q.signal()
	}
	return runs, q.closed
}

// run runs queues: one transaction, then the deliveries.
func (q *Queues) run(ctx context.Context, runs []*run) {
	changes := make([]*change, len(runs))
	for i, r := range runs {
		changes[i] = q.prepare(r)
	}
	err := q.make(ctx, changes)
	for _, r := range runs {
		q.tellTasks(r, err)
	}
	if err != nil {
		q.o.Logger.Error("messages to devices: the store failed", "queues", len(runs), "error", err)
		q.waitToRetry()
		for _, r := range runs {
			r.more = true
		}
	}
	for _, r := range runs {
		if len(r.locked) > 0 {
			q.handOut(ctx, r)
		}
	}
	q.finish(runs)
}

// waitToRetry keeps a worker from asking a failing store again and again.
func (q *Queues) waitToRetry() {
	t := time.NewTimer(retryAfter)
	defer t.Stop()
	select {
	case <-t.C:
	case <-q.closing:
	}
}

// prepare makes the change of a run: tasks first, since they were there first; then, if somebody receives, as many locks
// as there is credit. A receiver that was stopped meanwhile gets them too: they go back in the next run, as what it held.
func (q *Queues) prepare(r *run) *change {
	r.maxDeliveries = q.o.MaxDeliveries(r.queue.key.Hub)
	r.errs = make([]error, len(r.tasks))
	r.change = q.newChange(r.queue.key, func(stored *c2dqueue.Queue, now time.Time) (err error) {
		r.now, r.locked, r.more, r.deposed = now, nil, false, false
		for i := range r.tasks {
			r.errs[i] = r.tasks[i].run(stored, r)
		}
		if r.receiver == nil || !r.receiver.mayHave(stored) {
			stored.Expire(now)
			return nil
		}
		if !stored.TakeOver(r.receiver.holder) {
			r.deposed = true
			return nil
		}
		stored.Expire(now)
		if r.credit == 0 {
			r.more = stored.Visible()
			return nil
		}
		r.locked, err = stored.Lock(r.credit, now.Add(lockDuration), r.receiver.holder, q.o.NewGUID)
		r.more = err == nil && stored.Visible()
		return err
	})
	return r.change
}

// mayHave guards against a queue that belongs to the next identity of that name.
func (r *Receiver) mayHave(stored *c2dqueue.Queue) bool {
	return !stored.Disabled && (r.generation == "" || r.generation == stored.Generation)
}

// tellTasks tells the tasks' callers. err is that of the transaction.
func (q *Queues) tellTasks(r *run, err error) {
	if err == nil {
		err = r.Err // of the queue: there is no such identity, or no randomness
	}
	if err != nil {
		r.locked = nil
	}
	abandoned := 0
	for i, t := range r.tasks {
		outcome := err
		if err == nil {
			outcome = r.errs[i]
		}
		if outcome == nil && t.token != "" && t.outcome == Abandon {
			abandoned++
		}
		if t.done != nil {
			t.done(outcome)
		}
	}
	if abandoned > 0 {
		q.o.Observer.CloudToDevice(r.queue.key.Hub, Abandoned, abandoned)
	}
}

// handOut delivers what was locked, as far as the receiver still wants it. Messages that cannot be read stay locked: they
// come back when the lock ends, which is soon enough for a failing disk.
func (q *Queues) handOut(ctx context.Context, r *run) {
	deliveries, err := q.load(ctx, r.queue.key, r.locked)
	if err != nil {
		q.o.Logger.Error("messages to a device could not be read", "hub", r.queue.key.Hub, "device", r.queue.key.Identity.String(), "error", err)
	}
	for _, d := range deliveries {
		if q.useCredit(r, d) {
			q.countDelivered(r.queue.key.Hub, d)
			d.Receiver = r.receiver
			r.receiver.deliver(d)
		}
	}
}

// useCredit takes one credit for d. Without credit, or when the receiver was stopped meanwhile, d goes back.
func (q *Queues) useCredit(r *run, d *Delivery) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !r.receiver.stopped && r.receiver.credit > 0 && !q.closed {
		r.receiver.credit--
		return true
	}
	t := task{token: d.LockToken, outcome: c2dqueue.Unsent}
	if d.Redelivered {
		t.outcome = Return
	}
	r.queue.tasks = append(r.queue.tasks, t)
	return false
}

// finish makes queues idle again, or ready, and forgets those of which nothing is left to know.
func (q *Queues) finish(runs []*run) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range runs {
		it := r.queue
		it.scheduled = false
		it.news = it.news || r.more
		if r.deposed && it.receiver == r.receiver {
			it.receiver = nil
			r.receiver.stopped, r.receiver.credit = true, 0
		}
		q.scheduleLocked(it)
		if !it.scheduled && it.receiver == nil {
			delete(q.queues, it.key)
		}
	}
}
