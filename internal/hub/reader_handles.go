package hub

import (
	"context"
	"sync"

	"github.com/hubward/hubward"
)

// readers knows who reads a hub's events on this node, so that it can be ended: by a reader that has precedence, with the
// consumer group, with the hub, or when the node that owns the partition goes.
type readers struct {
	mu   sync.Mutex // guards the fields below; a leaf
	over error      // why nobody may begin any more; nil while the hub exists
	open map[*readerHandle]struct{}
}

// readerKey names what is read.
type readerKey struct {
	Group     string `json:"group"` // as the hub spells it
	Partition int    `json:"partition"`
}

// allPartitions is the partition of event streams, which read the whole hub. They neither count nor displace.
const allPartitions = -1

// readerHandle is one reader as its node knows it. It ends once, for one reason, which ctx keeps.
type readerHandle struct {
	key readerKey
	ctx context.Context
	end context.CancelCauseFunc

	// Set before the reader is registered, never changed after.
	id    string // of its registration; empty: it has none
	lease Lease  // of the partition: who holds it knows of the reader
}

func newReaderHandle(key readerKey) *readerHandle {
	r := &readerHandle{key: key}
	r.ctx, r.end = context.WithCancelCause(context.Background())
	return r
}

// ended returns why r ended, nil while it has not.
func (r *readerHandle) ended() error {
	select {
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	default:
		return nil
	}
}

// errReaderClosed is what a reader gets that was closed.
var errReaderClosed error = hubward.Errorf(hubward.CodeInvalidOperation, "the reader is closed")

// add makes r known, or says why not.
func (rs *readers) add(r *readerHandle) error {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.over != nil {
		return rs.over
	}
	if rs.open == nil {
		rs.open = make(map[*readerHandle]struct{})
	}
	rs.open[r] = struct{}{}
	return nil
}

// remove ends r. It may be called for one that has ended.
func (rs *readers) remove(r *readerHandle) {
	r.end(errReaderClosed)
	rs.mu.Lock()
	defer rs.mu.Unlock()
	delete(rs.open, r)
}

// close ends all readers and lets no other one begin.
func (rs *readers) close(reason error) {
	rs.mu.Lock()
	rs.over = reason
	rs.mu.Unlock()
	rs.endWhere(reason, func(*readerHandle) bool { return true })
}

// endGroup ends all readers of a consumer group.
func (rs *readers) endGroup(group string, reason error) {
	rs.endWhere(reason, func(r *readerHandle) bool { return r.key.Group == group })
}

// endWhere ends the readers that which chooses.
func (rs *readers) endWhere(reason error, which func(*readerHandle) bool) {
	rs.mu.Lock()
	var ending []*readerHandle
	for r := range rs.open {
		if which(r) {
			ending = append(ending, r)
			delete(rs.open, r)
		}
	}
	rs.mu.Unlock()
	for _, r := range ending {
		r.end(reason)
	}
}

// has reports whether a reader with that registration is open.
func (rs *readers) has(id string) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for r := range rs.open {
		if r.id == id {
			return true
		}
	}
	return false
}

// groups returns the consumer groups that are read.
func (rs *readers) groups() []string {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	seen := make(map[string]bool)
	var groups []string
	for r := range rs.open {
		if !seen[r.key.Group] {
			seen[r.key.Group] = true
			groups = append(groups, r.key.Group)
		}
	}
	return groups
}

// openHandle makes a reader known on this node, unless its consumer group was deleted after the caller had looked it up:
// then nobody would end it.
func (h *Hub) openHandle(s *state, r *readerHandle) error {
	if err := s.readers.add(r); err != nil {
		return err
	}
	if _, ok := findGroup(h.config(s), r.key.Group); !ok {
		s.readers.remove(r)
		return noSuchGroup(r.key.Group)
	}
	return nil
}
