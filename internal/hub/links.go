package hub

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// Why the hub closes a session.
var (
	errTakenOver  = hubward.Errorf(hubward.CodeConnectionClosedOnNewOne, "the device connected again")
	errDeleted    = hubward.Errorf(hubward.CodeDeviceNotFound, "the identity was deleted")
	errDisabled   = hubward.Errorf(hubward.CodeUnauthorizedAccess, "the identity was disabled")
	errRekeyed    = hubward.Errorf(hubward.CodeUnauthorizedAccess, "the identity's credentials were changed")
	errHubDeleted = hubward.Errorf(hubward.CodeHubNotFound, "the hub was deleted")
)

// Link is an identity's place in the hub while it is connected: what Connect returns and the front end works with. It is
// safe for concurrent use.
type Link struct {
	Principal access.Principal
	ModelID   string

	hub     *Hub
	state   *state
	session Session
	claim   Claim
	since   time.Time
	active  atomic.Int64 // Unix milliseconds of the last sign of life
	ended   sync.Once    // Disconnect

	receiver atomic.Pointer[C2DReceiver] // the newest; nil: the identity does not receive
	calls    calls                       // of direct methods
	twin     linkTwin                    // requests and who follows

	certificates atomic.Pointer[linkCertificates] // nil: the link has nothing to do with any
}

func (l *Link) key() linkKey { return linkKey{l.state.ref.Name, l.Principal.Identity} }

func (l *Link) lastActive() time.Time { return time.UnixMilli(l.active.Load()).UTC() }

// close ends what the link does at once, and tells the front end to end the connection. What the identity asks for from then on
// might be for a later one of its name.
func (l *Link) close(reason error) {
	l.calls.end()
	l.twin.end()
	l.endCertificates()
	l.session.Close(reason)
}

func (l *Link) isActive() { l.active.Store(l.hub.now().UnixMilli()) }

// linkKey names who is connected.
type linkKey struct {
	hub string
	id  hubward.Identity
}

const linkShards = 64

// links knows the live links of this node. Which node an identity's live link is on, the cluster's Directory knows.
type links struct {
	seed   maphash.Seed
	shards [linkShards]linkShard
}

type linkShard struct {
	mu      sync.Mutex // guards entries and what is in them; never held across a call of a Session
	entries map[linkKey]*linkEntry
}

// linkEntry is there while an identity has a link on this node, or is about to get one.
type linkEntry struct {
	link       *Link // nil: none
	connecting int   // how many have begun and are not installed
	// Whoever is told to close a claim may be told before its link is installed: claims up to this fence are closed.
	closed uint64
	reason error
}

func newLinks() *links {
	s := &links{seed: maphash.MakeSeed()}
	for i := range s.shards {
		s.shards[i].entries = make(map[linkKey]*linkEntry)
	}
	return s
}

func (s *links) shard(k linkKey) *linkShard {
	var h maphash.Hash
	h.SetSeed(s.seed)
	h.WriteString(k.hub)
	h.WriteByte(0)
	h.WriteString(k.id.Device)
	return &s.shards[h.Sum64()%linkShards]
}

// begin is called before an identity's claim is made: from then on it can be told to close. install or abandon follows.
func (s *links) begin(k linkKey) {
	shard := s.shard(k)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	e := shard.entries[k]
	if e == nil {
		e = &linkEntry{}
		shard.entries[k] = e
	}
	e.connecting++
}

// install makes l the live link of this node. It fails when l's claim was told to close meanwhile, or displaced by one of
// this node.
func (s *links) install(l *Link) error {
	k := l.key()
	shard := s.shard(k)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	e := shard.entries[k]
	reason := e.reason
	closed := l.claim.Fence <= e.closed
	defer shard.settle(k, e)
	if closed {
		return reason
	}
	if e.link != nil && e.link.claim.Fence > l.claim.Fence {
		return errTakenOver
	}
	e.link = l
	return nil
}

// abandon ends what begin began, without a link.
func (s *links) abandon(k linkKey) {
	shard := s.shard(k)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.settle(k, shard.entries[k])
}

// settle takes one from those that are connecting, and forgets what no one needs.
func (s *linkShard) settle(k linkKey, e *linkEntry) {
	if e.connecting--; e.connecting == 0 {
		e.closed, e.reason = 0, nil
	}
	s.drop(k, e)
}

func (s *linkShard) drop(k linkKey, e *linkEntry) {
	if e.link == nil && e.connecting == 0 {
		delete(s.entries, k)
	}
}

// remove forgets l, unless a newer link has taken its place.
func (s *links) remove(l *Link) {
	k := l.key()
	shard := s.shard(k)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if e := shard.entries[k]; e != nil && e.link == l {
		e.link = nil
		shard.drop(k, e)
	}
}

// live returns the live link of an identity on this node, or nil.
func (s *links) live(k linkKey) *Link {
	shard := s.shard(k)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if e := shard.entries[k]; e != nil {
		return e.link
	}
	return nil
}

// close closes an identity's link, if its claim is not newer than fence.
func (s *links) close(k linkKey, fence uint64, reason error) {
	shard := s.shard(k)
	shard.mu.Lock()
	var closing *Link
	if e := shard.entries[k]; e != nil {
		if e.link != nil && e.link.claim.Fence <= fence {
			closing = e.link
		}
		if e.connecting > 0 && fence > e.closed {
			e.closed, e.reason = fence, reason
		}
	}
	shard.mu.Unlock()
	if closing != nil {
		closing.close(reason)
	}
}

// closeHub ends all links of a hub.
func (s *links) closeHub(ref access.HubRef, reason error) {
	for i := range s.shards {
		shard := &s.shards[i]
		shard.mu.Lock()
		var closing []*Link
		for _, e := range shard.entries {
			if e.link != nil && e.link.state.ref == ref {
				closing = append(closing, e.link)
			}
		}
		shard.mu.Unlock()
		for _, l := range closing {
			l.close(reason)
		}
	}
}
