package testnode

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
)

// maxQueued is how many messages a queue holds.
const maxQueued = 10_000

// maxBatch is how many messages a receiver gets at a time.
const maxBatch = 100

// queue is a bounded queue of encoded messages.
type queue struct {
	mu       sync.Mutex // guards the fields below
	messages [][]byte
	changed  chan struct{} // closed, and replaced, when a message comes
}

// deliver takes what a peer sends.
func (q *queue) deliver(d *amqpengine.Delivery) {
	message := slices.Clone(d.Payload)
	q.mu.Lock()
	full := len(q.messages) >= maxQueued
	if !full {
		q.messages = append(q.messages, message)
		q.signal()
	}
	q.mu.Unlock()
	if full {
		d.Settle(rejected(amqpwire.ResourceLimitExceeded))
		return
	}
	d.Settle(&amqpwire.Accepted{})
}

// giveBack puts a message at the front again.
func (q *queue) giveBack(message []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.messages = slices.Insert(q.messages, 0, message)
	q.signal()
}

// signal wakes the receivers. The caller holds mu.
func (q *queue) signal() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// take waits for messages and takes at most n.
func (q *queue) take(ctx context.Context, n int) ([][]byte, error) {
	for {
		q.mu.Lock()
		if len(q.messages) > 0 {
			n = min(n, len(q.messages))
			taken := slices.Clone(q.messages[:n])
			q.messages = q.messages[n:]
			q.mu.Unlock()
			return taken, nil
		}
		changed := q.changed
		q.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// run sends to one receiver. Messages leave settled if it asked for that.
func (q *queue) run(ctx context.Context, s *amqpengine.Sender) *amqpwire.Error {
	settled := s.Link().Attach().SenderSettleMode == amqpwire.SenderSettled
	for {
		credit, err := s.Wait(ctx)
		if err != nil {
			return nil
		}
		messages, err := q.take(ctx, min(credit, maxBatch))
		if err != nil {
			return nil
		}
		batch := make([]amqpengine.Outgoing, len(messages))
		for i, m := range messages {
			batch[i] = amqpengine.Outgoing{Payload: m, Settled: settled, OnSettle: q.settler(m, settled)}
		}
		n, err := s.Send(ctx, batch...)
		if err == nil {
			continue
		}
		for i := len(messages) - 1; i >= n; i-- {
			q.giveBack(messages[i])
		}
		return nil
	}
}

// settler returns what a peer's outcome does to a message.
func (q *queue) settler(message []byte, settled bool) func(amqpwire.DeliveryState) {
	if settled {
		return nil
	}
	return func(state amqpwire.DeliveryState) {
		switch state.(type) {
		case *amqpwire.Accepted, *amqpwire.Rejected:
		default:
			q.giveBack(message)
		}
	}
}

// slow returns a Deliver and a Closed: deliveries are settled one after another by a goroutine that ends with the link.
func (n *Node) slow() (deliver func(*amqpengine.Delivery), closed func()) {
	const pause = 2 * time.Millisecond
	deliveries := make(chan *amqpengine.Delivery, 1000) // more than the engine lets be in flight
	n.serving.Go(func() {
		for d := range deliveries {
			time.Sleep(pause)
			d.Settle(&amqpwire.Accepted{})
		}
	})
	return func(d *amqpengine.Delivery) { deliveries <- d }, func() { close(deliveries) }
}
