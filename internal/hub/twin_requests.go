package hub

import (
	"context"
	"sync"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/twindoc"
)

// Bounds of what waits on one link, and of what is being carried out.
const (
	maxTwinRequests     = 64
	maxTwinRequestBytes = 256 << 10 // of patches, as they came
)

// What of GetTwin and UpdateReported may be under way on a link without that a further one waits, if its front end wants that: one
// place is for FollowDesired.
const (
	MaxTwinRequests     = maxTwinRequests - 1
	MaxTwinRequestBytes = maxTwinRequestBytes
)

// errLinkOver is the answer to what a connection asks that is about to end.
var errLinkOver = hubward.Errorf(hubward.CodeServiceUnavailable, "the connection is being closed")

// linkTwin is what a link has to do with the twin of its identity: requests, which a goroutine carries out in their order while
// there are any, and who follows the desired properties.
type linkTwin struct {
	mu       sync.Mutex // guards the fields below, and those of the follower; a leaf
	requests []twinRequest
	bytes    int           // of requests
	room     chan struct{} // closed when there is room again; nil: nobody waits for that
	serving  bool          // a goroutine carries out requests
	ended    bool
	known    int64 // the version of the desired properties that the identity has; 0: it has asked for none
	follower *follower
}

// twinRequest is one of GetTwin, UpdateReported and FollowDesired.
type twinRequest struct {
	size int

	get func(document []byte, err error)

	update    func(version int64, err error)
	patch     *twindoc.Patch // nil: it changes nothing
	ifVersion int64
	bad       error // why there is no patch

	follow chan<- error // holds one
	left   func() error // says whether nobody waits for follow any more
}

func bytesOf(requests []twinRequest) (n int) {
	for i := range requests {
		n += requests[i].size
	}
	return n
}

func (r *twinRequest) fail(err error) {
	switch {
	case r.get != nil:
		r.get(nil, err)
	case r.update != nil:
		r.update(0, err)
	default:
		r.follow <- err
	}
}

// ask queues a request, once there is room, or fails it.
func (l *Link) ask(ctx context.Context, r twinRequest) {
	for {
		full, start, err := l.twin.add(r)
		switch {
		case err != nil:
			r.fail(err)
		case full != nil:
			select {
			case <-full:
				continue
			case <-ctx.Done():
				r.fail(ctx.Err())
			}
		case start && !l.hub.background(l.serveTwin):
			l.twin.end() // the hub has ended
			l.serveTwin(context.Background())
		}
		return
	}
}

// add queues r. Without room for it, it returns what is closed when there is some. start says that a goroutine is to begin.
func (t *linkTwin) add(r twinRequest) (full <-chan struct{}, start bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return nil, false, errLinkOver
	}
	// One that is larger than all may be finds its place when no other patch waits.
	if len(t.requests) >= maxTwinRequests || t.bytes > 0 && t.bytes+r.size > maxTwinRequestBytes {
		if t.room == nil {
			t.room = make(chan struct{})
		}
		return t.room, false, nil
	}
	t.requests = append(t.requests, r)
	t.bytes += r.size
	start = !t.serving
	t.serving = true
	return nil, start, nil
}

// take returns what waits. Without anything it ends the goroutine, which asks.
func (t *linkTwin) take() []twinRequest {
	t.mu.Lock()
	defer t.mu.Unlock()
	requests := t.requests
	t.requests, t.bytes = nil, 0
	t.wakeWaitingLocked()
	t.serving = len(requests) > 0
	return requests
}

func (t *linkTwin) isEnded() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ended
}

func (t *linkTwin) wakeWaitingLocked() {
	if t.room != nil {
		close(t.room)
		t.room = nil
	}
}

// end has what waits fail, and nothing more come.
func (t *linkTwin) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	t.unfollowLocked()
	t.wakeWaitingLocked()
}

// serveTwin carries out what waits, until nothing does.
func (l *Link) serveTwin(ctx context.Context) {
	for {
		requests := l.twin.take()
		if len(requests) == 0 {
			return
		}
		for len(requests) > 0 {
			n := 1
			for requests[0].update != nil && n < len(requests) && requests[n].update != nil {
				n++
			}
			l.carryOut(ctx, requests[:n])
			requests = requests[n:]
		}
	}
}

// carryOut carries out one request, or several patches.
func (l *Link) carryOut(ctx context.Context, requests []twinRequest) {
	if l.twin.isEnded() || l.hub.links.live(l.key()) != l {
		for i := range requests {
			requests[i].fail(errLinkOver)
		}
		return
	}
	r := &requests[0]
	switch {
	case r.get != nil:
		document, err := l.getTwin(ctx)
		l.hub.observer.DeviceBytes(l.state.ref.Name, len(document))
		r.get(document, err)
	case r.update != nil:
		l.updateReported(ctx, requests)
	case r.left() != nil:
		r.follow <- r.left()
	default:
		r.follow <- l.beginFollowing(ctx)
	}
}
