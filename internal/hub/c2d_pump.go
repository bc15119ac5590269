package hub

import (
	"context"
	"sync"
	"time"

	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

// Bounds of the delivery of messages.
const (
	c2dWorkers    = 4
	maxShots      = 64 // queues in one transaction of a worker
	maxPerShot    = 16 // messages of one queue, with their contents in memory
	c2dRetryAfter = time.Second
)

// c2dPumps knows which devices receive, and which queues have something to be done.
//
// A pump is what a queue has in memory while its device receives or settles. It is idle, ready or running; a worker
// takes the ready ones, makes one transaction of what is to be done in all of them, and hands out what it locked. One
// worker at a time runs a pump, so a receiver's deliveries are in order.
type c2dPumps struct {
	epoch   string        // of this process: locks of connections of earlier ones are void
	alarm   *alarm        // of sweepC2DUntil
	work    chan struct{} // pumps are ready; holds one
	closing chan struct{} // closed with closed

	mu        sync.Mutex // guards the fields below and those of pumps and receivers
	receivers uint64     // that there ever were
	pumps     map[queueKey]*c2dPump
	ready     []*c2dPump
	closed    bool
}

// c2dPump is guarded by c2dPumps.mu.
type c2dPump struct {
	key      queueKey
	receiver *C2DReceiver // nil: nobody receives
	live     string       // whose locks count: the holder that the latest run worked for; empty: nobody's
	tasks    []c2dTask    // in order
	more     bool         // there may be visible messages
	busy     bool         // it is ready or running
}

func newC2DPumps(epoch string) *c2dPumps {
	return &c2dPumps{
		epoch: epoch, alarm: newAlarm(), work: make(chan struct{}, 1), closing: make(chan struct{}),
		pumps: make(map[queueKey]*c2dPump),
	}
}

// holder returns the name in its locks of a device's live receiver, empty without one. A receiver that has stopped is live
// until what it settled before is seen to.
func (c *c2dPumps) holder(key queueKey) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.pumps[key]; p != nil {
		return p.live
	}
	return ""
}

// turnTo makes the receiver of a run the live one, inside the run's change and behind its tasks: no other change comes
// between. wanted says whether it still receives.
func (c *c2dPumps) turnTo(s *c2dShot) (live string, wanted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.receiver != nil {
		live = s.receiver.holder
	}
	s.pump.live = live
	return live, s.receiver != nil && s.pump.receiver == s.receiver
}

// wake is called when messages may have become visible.
func (c *c2dPumps) wake(key queueKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.pumps[key]; p != nil {
		p.more = true
		c.kickLocked(p)
	}
}

func (c *c2dPumps) pumpLocked(key queueKey) *c2dPump {
	p := c.pumps[key]
	if p == nil {
		p = &c2dPump{key: key}
		c.pumps[key] = p
	}
	return p
}

// kickLocked makes p ready if it has something to do.
func (c *c2dPumps) kickLocked(p *c2dPump) {
	receives := p.receiver != nil && p.receiver.credit > 0 && p.more && !c.closed
	if p.busy || len(p.tasks) == 0 && !receives {
		return
	}
	p.busy = true
	c.ready = append(c.ready, p)
	c.signal()
}

func (c *c2dPumps) signal() {
	select {
	case c.work <- struct{}{}:
	default: // a signal that waits is for this pump too
	}
}

// finish makes pumps idle again, or ready, and forgets those of which nothing is left to know.
func (c *c2dPumps) finish(shots []*c2dShot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range shots {
		p := s.pump
		p.busy = false
		p.more = p.more || s.more
		c.kickLocked(p)
		if !p.busy && p.receiver == nil {
			delete(c.pumps, p.key)
		}
	}
}

// close ends deliveries. What was settled before is still seen to.
func (c *c2dPumps) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	close(c.closing)
}

// c2dShot is one run of a pump: what was to be done when it began, and what came of it.
type c2dShot struct {
	*queueChange
	pump     *c2dPump
	receiver *C2DReceiver // nil: nobody receives
	credit   int
	tasks    []c2dTask

	maxDeliveries int

	// Set by the change.
	now    time.Time
	errs   []error // of tasks
	locked []c2dqueue.Message
	more   bool
}

// take returns runs of ready pumps, none when there are none.
func (c *c2dPumps) take() (shots []*c2dShot, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.ready), maxShots)
	for _, p := range c.ready[:n] {
		s := &c2dShot{pump: p, receiver: p.receiver, tasks: p.tasks}
		if s.receiver != nil && !c.closed {
			s.credit = min(s.receiver.credit, maxPerShot)
		}
		p.tasks, p.more = nil, false // from here on, what others make visible is news
		shots = append(shots, s)
	}
	clear(c.ready[:n])
	if c.ready = c.ready[n:]; len(c.ready) == 0 {
		c.ready = nil
	} else {
		c.signal()
	}
	return shots, c.closed
}

// pumpC2DUntil delivers messages to connected devices and settles what they settle, until ctx ends and all is settled.
func (h *Hub) pumpC2DUntil(ctx context.Context) {
	var wg sync.WaitGroup
	for range c2dWorkers {
		wg.Go(func() { h.pumpC2D(context.WithoutCancel(ctx)) })
	}
	<-ctx.Done()
	h.c2d.close()
	wg.Wait()
}

// pumpC2D is one worker.
func (h *Hub) pumpC2D(ctx context.Context) {
	for {
		shots, closed := h.c2d.take()
		switch {
		case len(shots) > 0:
			h.shoot(ctx, shots)
		case closed:
			return
		default:
			select {
			case <-h.c2d.work:
			case <-h.c2d.closing:
			}
		}
	}
}

// shoot runs pumps: one transaction, then the deliveries.
func (h *Hub) shoot(ctx context.Context, shots []*c2dShot) {
	changes := make([]*queueChange, len(shots))
	for i, s := range shots {
		changes[i] = h.prepare(s)
	}
	err := h.changeQueues(ctx, changes)
	for _, s := range shots {
		s.settled(h, err)
	}
	if err != nil {
		h.logger.Error("messages to devices: the store failed", "queues", len(shots), "error", err)
		h.waitToRetry()
		for _, s := range shots {
			s.more = true
		}
	}
	for _, s := range shots {
		if len(s.locked) > 0 {
			h.handOut(ctx, s)
		}
	}
	h.c2d.finish(shots)
}

// waitToRetry keeps a worker from asking a failing store again and again.
func (h *Hub) waitToRetry() {
	t := time.NewTimer(c2dRetryAfter)
	defer t.Stop()
	select {
	case <-t.C:
	case <-h.c2d.closing:
	}
}

// prepare makes the change of a run: tasks first, since they were there first; then, if the device still receives, as
// many locks as it has credit.
func (h *Hub) prepare(s *c2dShot) *queueChange {
	if _, config, err := h.find(s.pump.key.hub); err == nil {
		s.maxDeliveries = config.C2D.MaxDeliveryCount
	}
	s.errs = make([]error, len(s.tasks))
	s.queueChange = h.changeQueue(s.pump.key.hub, s.pump.key.device, func(q *c2dqueue.Queue, _ string) (err error) {
		s.now, s.locked, s.more = h.now().UTC(), nil, false
		for i := range s.tasks {
			s.errs[i] = s.tasks[i].run(q, s)
		}
		live, wanted := h.c2d.turnTo(s)
		q.Tidy(s.now, live)
		r := s.receiver
		if !wanted {
			s.more = true // for a receiver that came meanwhile
			return nil
		}
		if !r.mayHave(q) {
			return nil
		}
		s.locked, err = q.Lock(s.credit, s.now.Add(c2dLock), r.holder, h.newGUID)
		s.more = q.Visible() && err == nil
		return err
	})
	return s.queueChange
}

// mayHave guards against a queue that belongs to the next device of that name.
func (r *C2DReceiver) mayHave(q *c2dqueue.Queue) bool {
	g := r.link.Principal.Generation
	return !q.Disabled && (g == "" || g == q.Generation)
}

// settled tells the tasks' callers. err is that of the transaction.
func (s *c2dShot) settled(h *Hub, err error) {
	if err == nil {
		err = s.Err // of the queue: there is no such device, or no randomness
	}
	if err != nil {
		s.locked = nil
	}
	abandoned := 0
	for i, t := range s.tasks {
		outcome := err
		if err == nil {
			outcome = s.errs[i]
		}
		if outcome == nil && t.token != "" && t.outcome == C2DAbandon {
			abandoned++
		}
		if t.done != nil {
			t.done(outcome)
		}
	}
	if abandoned > 0 {
		h.observer.CloudToDevice(s.Hub, C2DAbandoned, abandoned)
	}
}

// handOut delivers what was locked, as far as the receiver still wants it. Messages that cannot be read stay locked: they
// come back when the lock ends, which is soon enough for a failing disk.
func (h *Hub) handOut(ctx context.Context, s *c2dShot) {
	deliveries, err := h.loadC2D(ctx, s.key(), s.locked)
	if err != nil {
		h.logger.Error("messages to a device could not be read", "hub", s.Hub, "device", s.Device, "error", err)
	}
	for _, d := range deliveries {
		if h.c2d.spend(s, d) {
			h.handedOut(s.Hub, d)
			s.receiver.deliver(d)
		}
	}
}

// spend takes one credit for d. Without credit, or when the receiver was stopped meanwhile, d goes back.
func (c *c2dPumps) spend(s *c2dShot, d *C2DDelivery) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, r := s.pump, s.receiver
	if p.receiver == r && r.credit > 0 && !c.closed {
		r.credit--
		return true
	}
	t := c2dTask{token: d.LockToken, outcome: c2dqueue.Unsent}
	if d.Redelivered {
		t.outcome = C2DReturn
	}
	p.tasks = append(p.tasks, t)
	return false
}
