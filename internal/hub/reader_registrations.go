package hub

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// Readers of a partition register with the node that has the partition's lease, which knows all of them, on whatever node
// they read. Nothing of that is stored: when the node goes, the readers are told, and register anew with the next one.

// maxReaders is how many plain readers a partition has in one consumer group.
//
// Source: learn.microsoft.com/azure/event-hubs/event-hubs-quotas.
const maxReaders = 5

// registration is one reader as the owner of its partition knows it.
type registration struct {
	ID    string `json:"id"`
	Node  string `json:"node"` // where it reads
	Name  string `json:"name"`
	Epoch *int64 `json:"epoch"` // nil: one of several
}

// registrations are the readers of a hub's partitions that this node owns.
type registrations struct {
	mu sync.Mutex // guards by; a leaf
	by map[readerKey][]registration
}

type enterReader struct {
	Hub     string       `json:"hub"`
	Created time.Time    `json:"created"`
	Key     readerKey    `json:"key"`
	Reader  registration `json:"reader"`
}

type leaveReader struct {
	Hub string    `json:"hub"`
	Key readerKey `json:"key"`
	ID  string    `json:"id"`
}

type endReader struct {
	leaveReader
	Reason reason `json:"reason"`
}

func itoa(n int) string { return strconv.Itoa(n) }

// partitionLease names the lease of a partition's owner.
func partitionLease(ref access.HubRef, partition int) string {
	return "partition/" + ref.Name + "/" + strconv.FormatInt(ref.Created.UnixNano(), 36) + "/" + itoa(partition)
}

// register opens a reader on this node and makes it known to the owner of its partition.
func (h *Hub) register(ctx context.Context, s *state, r *readerHandle, as registration) error {
	lease, err := h.cluster.Lease(ctx, partitionLease(s.ref, r.key.Partition), h.node)
	if err != nil {
		return err
	}
	if as.ID, err = h.newGUID(); err != nil {
		return err
	}
	as.Node = h.node
	r.id, r.lease = as.ID, lease
	if err := h.openHandle(s, r); err != nil {
		return err
	}
	h.owned.watch(h, s, r.key.Partition, lease)
	request := enterReader{Hub: s.ref.Name, Created: s.ref.Created, Key: r.key, Reader: as}
	if lease.Holder == h.node {
		err = h.registerReader(ctx, request)
	} else {
		err = h.tell(ctx, lease.Holder, subjectReaderEnter, request)
	}
	if err != nil {
		s.readers.remove(r)
	}
	return err
}

// unregister closes a reader and gives its registration back.
func (h *Hub) unregister(s *state, r *readerHandle) {
	s.readers.remove(r)
	request := leaveReader{Hub: s.ref.Name, Key: r.key, ID: r.id}
	if r.lease.Holder == h.node {
		s.registrations.remove(request.Key, request.ID)
		return
	}
	h.background(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, tellTimeout)
		defer cancel()
		// An owner that was not told asks when somebody else wants to read.
		if err := h.tell(ctx, r.lease.Holder, subjectReaderLeave, request); err != nil {
			h.logger.Debug("the owner of a partition was not told that a reader has left", "hub", s.ref.Name, "error", err)
		}
	})
}

// registerReader admits a reader to a partition that this node owns, and ends those that it displaces. Readers in its way
// that are no more are forgotten.
func (h *Hub) registerReader(ctx context.Context, e enterReader) error {
	s, _, err := h.findRef(access.HubRef{Name: e.Hub, Created: e.Created})
	if err != nil {
		return err
	}
	lease, err := h.cluster.Lease(ctx, partitionLease(s.ref, e.Key.Partition), h.node)
	if err != nil {
		return err
	}
	if lease.Holder != h.node {
		return hubward.Errorf(hubward.CodeServiceUnavailable, "the partition has another owner now, try again")
	}
	h.owned.watch(h, s, e.Key.Partition, lease)
	displaced, err := s.registrations.admit(e.Key, &e.Reader)
	if err != nil && h.forgetGone(ctx, s, e.Key) {
		displaced, err = s.registrations.admit(e.Key, &e.Reader)
	}
	for i := range displaced {
		h.endReader(ctx, s, e.Key, &displaced[i], errDisplaced(&e.Reader, &displaced[i]))
	}
	return err
}

// forgetGone asks the nodes of a partition's readers which of these are no more, and reports whether there were any.
func (h *Hub) forgetGone(ctx context.Context, s *state, key readerKey) bool {
	gone := false
	for _, r := range s.registrations.all(key) {
		if !h.mayBeReading(ctx, leaveReader{Hub: s.ref.Name, Key: key, ID: r.ID}, r.Node) {
			s.registrations.remove(key, r.ID)
			gone = true
		}
	}
	return gone
}

// mayBeReading asks a node for one of its readers. One whose node does not answer is taken for alive, unless there is no such
// node.
func (h *Hub) mayBeReading(ctx context.Context, l leaveReader, node string) bool {
	if node == h.node {
		return h.isReading(l)
	}
	request, err := encoded(l, nil)
	if err != nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	answer, err := h.cluster.Call(ctx, node, subjectReaderAlive, request)
	if err != nil {
		return hubward.CodeOf(err) != hubward.CodeServiceUnavailable
	}
	return string(answer) == "true"
}

// endReader ends a reader on the node where it reads. Its place is taken already, so that does not end with ctx.
func (h *Hub) endReader(ctx context.Context, s *state, key readerKey, r *registration, why error) {
	request := endReader{leaveReader{Hub: s.ref.Name, Key: key, ID: r.ID}, reasonOf(why)}
	var err error
	if r.Node == h.node {
		err = h.endRemotely(request)
	} else {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTimeout)
		defer cancel()
		err = h.tell(ctx, r.Node, subjectReaderEnd, request)
	}
	if err != nil {
		h.logger.Warn("a reader was not told that it is displaced", "hub", s.ref.Name, "node", r.Node, "error", err)
	}
}

// endRemotely ends a reader of this node.
func (h *Hub) endRemotely(e endReader) error {
	s, _, err := h.find(e.Hub)
	if err == nil {
		s.readers.endWhere(e.Reason.err(), func(r *readerHandle) bool { return r.id == e.ID })
	}
	return nil
}

func (h *Hub) isReading(l leaveReader) bool {
	s, _, err := h.find(l.Hub)
	return err == nil && s.readers.has(l.ID)
}

func (h *Hub) unregisterReader(l leaveReader) error {
	if s, _, err := h.find(l.Hub); err == nil {
		s.registrations.remove(l.Key, l.ID)
	}
	return nil
}

// admit registers r, or says why not, and returns those that it displaces.
func (rs *registrations) admit(key readerKey, r *registration) (displaced []registration, err error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	others := rs.by[key]
	displaces, err := r.precedes(others)
	if err != nil {
		return nil, err
	}
	if rs.by == nil {
		rs.by = make(map[readerKey][]registration)
	}
	if displaces {
		rs.by[key] = []registration{*r}
		return others, nil
	}
	rs.by[key] = append(slices.Clip(others), *r)
	return nil, nil
}

func (rs *registrations) all(key readerKey) []registration {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return slices.Clone(rs.by[key])
}

func (rs *registrations) remove(key readerKey, id string) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(rs.by[key]), func(r registration) bool { return r.ID == id })
	if len(rest) == 0 {
		delete(rs.by, key)
	} else {
		rs.by[key] = rest
	}
}

// drop forgets the readers of a partition.
func (rs *registrations) drop(partition int) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for key := range rs.by {
		if key.Partition == partition {
			delete(rs.by, key)
		}
	}
}

// precedes decides whether r may read beside others, or, if it displaces, in their place.
//
//	r          others        outcome
//	plain      plain         beside them, up to five
//	plain      exclusive     refused
//	exclusive  plain         in their place
//	exclusive  lower, same   in its place
//	exclusive  higher        refused
//
// Source: learn.microsoft.com/archive/blogs/gyan/event-hubs-receiver-epoch.
func (r *registration) precedes(others []registration) (displaces bool, err error) {
	for i := range others {
		switch o := &others[i]; {
		case o.Epoch == nil:
		case r.Epoch == nil:
			return false, errEpochTaken(o)
		case *o.Epoch > *r.Epoch:
			return false, errLowerEpoch(r, o)
		}
	}
	if r.Epoch == nil && len(others) >= maxReaders {
		return false, errReaderLimit(others)
	}
	return r.Epoch != nil, nil
}

// The texts below are the cloud service's, word for word: SDKs and their users look into them. The service adds a
// tracking id, which means something only next to a log that has it too: that is left to the front end.
//
// Source: Azure/azure-sdk-for-java#32046, #38117; Azure/azure-event-hubs-java#328.

// errDisplaced is for old. A plain reader counts as one of epoch -1.
func errDisplaced(r, old *registration) error {
	epoch := int64(-1)
	if old.Epoch != nil {
		epoch = *old.Epoch
	}
	return hubward.Errorf(hubward.CodeReaderDisplaced, "New receiver '%s' with higher epoch of '%d' is created hence current receiver '%s' "+
		"with epoch '%d' is getting disconnected. If you are recreating the receiver, make sure a higher epoch is used.",
		r.Name, *r.Epoch, old.Name, epoch)
}

func errLowerEpoch(r, there *registration) error {
	return hubward.Errorf(hubward.CodeReaderDisplaced, "Receiver '%s' with a higher epoch '%d' already exists. Receiver '%s' with epoch %d "+
		"cannot be created. Make sure you are creating receiver with increasing epoch value to ensure connectivity, or ensure all "+
		"old epoch receivers are closed or disconnected.", there.Name, *there.Epoch, r.Name, *r.Epoch)
}

func errEpochTaken(there *registration) error {
	return hubward.Errorf(hubward.CodeReaderDisplaced, "At least one receiver for the endpoint is created with epoch of '%d', and so "+
		"non-epoch receiver is not allowed. Either reconnect with a higher epoch, or make sure all epoch receivers are closed or "+
		"disconnected.", *there.Epoch)
}

func errReaderLimit(there []registration) error {
	names := make([]string, len(there))
	for i := range there {
		names[i] = there[i].Name
	}
	return hubward.Errorf(hubward.CodeReaderLimit, "Exceeded the maximum number of allowed receivers per partition in a consumer group "+
		"which is %d. List of connected receivers - %s.", maxReaders, strings.Join(names, ", "))
}
