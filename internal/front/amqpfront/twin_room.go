package amqpfront

import (
	"context"
	"sync"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// twinCredit is how many requests of a link to a twin may be on their way: so many patches of the largest size that reported
// properties may have, 32 KiB, as there is room for. Who keeps to that is never refused.
const twinCredit = 8

// twinRoom bounds what of one identity's requests is under way in the hub, so that no request waits for room there: the reader
// serves the other identities of the connection, too. The zero value works.
type twinRoom struct {
	mu       sync.Mutex // guards the fields below; a leaf
	requests int
	bytes    int           // of patches
	idle     chan struct{} // closed when nothing is under way; nil: nobody waits for that
}

// enter makes room for a request, or returns the error of one that comes beyond all credit. leave follows.
//
// Errors: CodeThrottled.
func (r *twinRoom) enter(size int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	// A patch that is larger than all may be is taken when there is no other one.
	if r.requests >= hub.MaxTwinRequests || r.bytes > 0 && r.bytes+size > hub.MaxTwinRequestBytes {
		return hubward.Errorf(hubward.CodeThrottled, "Too many requests to the twin are not answered yet.")
	}
	r.requests++
	r.bytes += size
	return nil
}

func (r *twinRoom) leave(size int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests--
	r.bytes -= size
	if r.requests == 0 && r.idle != nil {
		close(r.idle)
		r.idle = nil
	}
}

// await returns when nothing is under way, or ctx ends. It is called once, when nothing enters any more.
func (r *twinRoom) await(ctx context.Context) {
	r.mu.Lock()
	if r.requests == 0 {
		r.mu.Unlock()
		return
	}
	idle := make(chan struct{})
	r.idle = idle
	r.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}
