package amqpfront

import (
	"sync"

	"github.com/hubward/hubward/internal/front/amqpengine"
)

// outlet is the sending end of a link whose messages the peer does not settle. What the peer has credit for leaves at once, the
// rest waits in the link's queue. Anybody may post.
type outlet struct {
	sender *amqpengine.Sender // set before there is credit, never changed after

	mu      sync.Mutex // guards the fields below; a leaf
	limit   uint32     // how many messages the peer takes in all; it grows modulo 2^32
	posted  uint32     // how many were posted in all
	waiting []waiting  // the oldest first
}

// waiting is a message that has not left, and whoever wants to know when it does.
type waiting struct {
	number uint32 // which one of all that were posted
	left   func()
}

// post sends a message, settled. left, if given, is called once when it has left; never, if the link ends before that.
func (o *outlet) post(payload []byte, left func()) {
	o.mu.Lock()
	o.posted++
	number := o.posted
	gone := int32(o.limit-number) >= 0
	if left != nil && !gone {
		o.waiting = append(o.waiting, waiting{number, left})
	}
	o.mu.Unlock()
	o.sender.Post(amqpengine.Outgoing{Payload: payload, Settled: true})
	if left != nil && gone {
		left()
	}
}

// credit is told where the peer's credit ends.
func (o *outlet) credit(limit uint32) {
	o.mu.Lock()
	o.limit = limit
	var gone []waiting
	for len(o.waiting) > 0 && int32(limit-o.waiting[0].number) >= 0 {
		gone = append(gone, o.waiting[0])
		o.waiting = o.waiting[1:]
	}
	o.mu.Unlock()
	for _, w := range gone {
		w.left()
	}
}

// hasCredit reports whether another message would leave at once.
func (o *outlet) hasCredit() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return int32(o.limit-o.posted) > 0
}
