package hub

import (
	"context"
	"strings"
	"sync"

	"github.com/hubward/hubward"
)

// maxReaders is how many plain readers a partition has in one consumer group.
//
// Source: spec/event-hubs-endpoint.md 1.
const maxReaders = 5

// places knows who reads a hub's telemetry, so that it can be ended: by a reader that has precedence, with the consumer
// group, with the hub.
type places struct {
	mu    sync.Mutex // guards the fields below; a leaf
	over  error      // why nobody may enter any more; nil while the hub exists
	taken map[placeKey][]*place
}

// placeKey names what is read.
type placeKey struct {
	group     string // as the hub spells it
	partition int
}

// allPartitions is the partition of event streams, which read the whole hub. They neither count nor displace.
const allPartitions = -1

// place is one reader as the hub knows it. It ends once, for one reason, which ctx keeps.
type place struct {
	key   placeKey
	name  string
	epoch *int64 // nil: one of several
	ctx   context.Context
	end   context.CancelCauseFunc
}

func newPlace(key placeKey, name string, epoch *int64) *place {
	p := &place{key: key, name: name, epoch: epoch}
	p.ctx, p.end = context.WithCancelCause(context.Background())
	return p
}

// ended returns why p ended, nil while it has not.
func (p *place) ended() error {
	select {
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	default:
		return nil
	}
}

// errReaderClosed is what a reader gets that was closed.
var errReaderClosed error = hubward.Errorf(hubward.CodeInvalidOperation, "the reader is closed")

// enter lets p in, or says why not. It ends those that p displaces.
func (ps *places) enter(p *place) error {
	displaced, err := ps.register(p)
	for _, o := range displaced {
		o.end(errDisplaced(p, o))
	}
	return err
}

func (ps *places) register(p *place) (displaced []*place, err error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.over != nil {
		return nil, ps.over
	}
	others := ps.taken[p.key]
	displaces, err := p.admit(others)
	if err != nil {
		return nil, err
	}
	if ps.taken == nil {
		ps.taken = make(map[placeKey][]*place)
	}
	if displaces {
		ps.taken[p.key] = []*place{p}
		return others, nil
	}
	ps.taken[p.key] = append(others, p)
	return nil, nil
}

// leave gives p's place free. It may be called for one that has ended.
func (ps *places) leave(p *place) {
	p.end(errReaderClosed)
	ps.mu.Lock()
	defer ps.mu.Unlock()
	rest := ps.taken[p.key]
	for i, o := range rest {
		if o == p {
			rest = append(rest[:i:i], rest[i+1:]...)
			break
		}
	}
	if len(rest) == 0 {
		delete(ps.taken, p.key)
	} else {
		ps.taken[p.key] = rest
	}
}

// endGroup ends all readers of a consumer group.
func (ps *places) endGroup(group string, reason error) {
	ps.mu.Lock()
	ended := ps.takeLocked(func(k placeKey) bool { return k.group == group })
	ps.mu.Unlock()
	for _, p := range ended {
		p.end(reason)
	}
}

// close ends all readers and lets no other one in.
func (ps *places) close(reason error) {
	ps.mu.Lock()
	ps.over = reason
	ended := ps.takeLocked(func(placeKey) bool { return true })
	ps.mu.Unlock()
	for _, p := range ended {
		p.end(reason)
	}
}

// takeLocked forgets the readers of some keys and returns them.
func (ps *places) takeLocked(which func(placeKey) bool) (taken []*place) {
	for key, readers := range ps.taken {
		if which(key) {
			taken = append(taken, readers...)
			delete(ps.taken, key)
		}
	}
	return taken
}

// admit decides whether p may enter beside others, or, if it displaces, in their place: the table of
// spec/event-hubs-endpoint.md 9.
func (p *place) admit(others []*place) (displaces bool, err error) {
	if p.key.partition == allPartitions {
		return false, nil
	}
	for _, o := range others {
		switch {
		case o.epoch == nil:
		case p.epoch == nil:
			return false, errEpochTaken(o)
		case *o.epoch > *p.epoch:
			return false, errLowerEpoch(p, o)
		}
	}
	if p.epoch == nil && len(others) >= maxReaders {
		return false, errReaderLimit(others)
	}
	return p.epoch != nil, nil
}

// The texts below are the cloud service's, word for word: SDKs and their users look into them. The service adds a
// tracking id, which means something only next to a log that has it too: that is left to the front end.
//
// Source: spec/event-hubs-endpoint.md 9.

// errDisplaced is for old. A plain reader counts as one of epoch -1.
func errDisplaced(p, old *place) error {
	epoch := int64(-1)
	if old.epoch != nil {
		epoch = *old.epoch
	}
	return hubward.Errorf(hubward.CodeReaderDisplaced, "New receiver '%s' with higher epoch of '%d' is created hence current receiver '%s' "+
		"with epoch '%d' is getting disconnected. If you are recreating the receiver, make sure a higher epoch is used.",
		p.name, *p.epoch, old.name, epoch)
}

func errLowerEpoch(p, taken *place) error {
	return hubward.Errorf(hubward.CodeReaderDisplaced, "Receiver '%s' with a higher epoch '%d' already exists. Receiver '%s' with epoch %d "+
		"cannot be created. Make sure you are creating receiver with increasing epoch value to ensure connectivity, or ensure all "+
		"old epoch receivers are closed or disconnected.", taken.name, *taken.epoch, p.name, *p.epoch)
}

func errEpochTaken(taken *place) error {
	return hubward.Errorf(hubward.CodeReaderDisplaced, "At least one receiver for the endpoint is created with epoch of '%d', and so "+
		"non-epoch receiver is not allowed. Either reconnect with a higher epoch, or make sure all epoch receivers are closed or "+
		"disconnected.", *taken.epoch)
}

func errReaderLimit(taken []*place) error {
	names := make([]string, len(taken))
	for i, p := range taken {
		names[i] = p.name
	}
	return hubward.Errorf(hubward.CodeReaderLimit, "Exceeded the maximum number of allowed receivers per partition in a consumer group "+
		"which is %d. List of connected receivers - %s.", maxReaders, strings.Join(names, ", "))
}
