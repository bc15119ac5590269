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

// linkTwin is what a link has to do with the twin of its identity: requests, which are carried out in their order, and who follows
// the desired properties.
type linkTwin struct {
	mu       sync.Mutex // guards the fields below, and those of the follower; a leaf
	requests []twinRequest
	bytes    int           // of requests
	room     chan struct{} // closed when there is room again; nil: nobody waits for that
	serving  bool          // a request is being carried out
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
		case start:
			l.beginServing(&r)
		}
		return
	}
}

// beginServing carries out what waits, of which r is the first. A patch needs no goroutine for that.
func (l *Link) beginServing(r *twinRequest) {
	switch {
	case !l.hub.beginTask():
		l.twin.end() // the hub has ended
		for requests := l.twin.take(); len(requests) > 0; requests = l.twin.take() {
			failAll(requests, errLinkOver)
		}
	case r.update != nil:
		l.serveTwin()
	default:
		go l.serveTwin()
	}
}

// add queues r. Without room for it, it returns what is closed when there is some. start says that nobody serves yet, and
// that the caller is to begin.
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

// take returns what comes next, and can be carried out together: one request, or patches. Without anything the serving ends.
func (t *linkTwin) take() []twinRequest {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := together(t.requests)
	requests := t.requests[:n:n]
	if t.requests = t.requests[n:]; len(t.requests) == 0 {
		t.requests = nil
	}
	t.bytes -= bytesOf(requests)
	t.wakeWaitingLocked()
	t.serving = n > 0
	return requests
}

// together returns how many of requests go together, from the first on.
func together(requests []twinRequest) (n int) {
	for n < len(requests) && requests[n].update != nil {
		n++
	}
	return max(n, min(1, len(requests)))
}

// rest ends the serving if nothing waits.
func (t *linkTwin) rest() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.serving = len(t.requests) > 0
	return !t.serving
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

// serveTwin carries out what waits until nothing does, or until there are patches, behind which serveOn goes on. It ends a task of
// the hub's.
func (l *Link) serveTwin() {
	ctx := l.hub.tasks.ctx
	for {
		requests := l.twin.take()
		switch {
		case len(requests) == 0:
			l.hub.endTask()
			return
		case l.twin.isEnded() || l.hub.links.live(l.key()) != l:
			failAll(requests, errLinkOver)
		case requests[0].update != nil:
			if !l.updateReported(ctx, requests) {
				l.serveOn()
			}
			return
		default:
			l.carryOut(ctx, &requests[0])
		}
	}
}

// serveOn goes on behind patches, and does not wait.
func (l *Link) serveOn() {
	if l.twin.rest() {
		l.hub.endTask()
		return
	}
	go l.serveTwin()
}

func failAll(requests []twinRequest, err error) {
	for i := range requests {
		requests[i].fail(err)
	}
}

// carryOut carries out a request that is no patch.
func (l *Link) carryOut(ctx context.Context, r *twinRequest) {
	switch {
	case r.get != nil:
		document, err := l.getTwin(ctx)
		l.hub.observer.DeviceBytes(l.state.ref.Name, len(document))
		r.get(document, err)
	case r.left() != nil:
		r.follow <- r.left()
	default:
		r.follow <- l.beginFollowing(ctx)
	}
}
