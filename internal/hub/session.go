package hub

import (
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// Session is a device's live link as its front end holds it. Front ends implement it; the hub calls it.
type Session interface {
	// Close ends the connection for a reason that is logged. It returns at once and may be called more than once.
	Close(reason error)
}

// Why the hub closes a session.
var (
	errTakenOver      = hubward.Errorf(hubward.CodeConnectionClosedOnNewOne, "the device connected again")
	errDeviceDeleted  = hubward.Errorf(hubward.CodeDeviceNotFound, "the identity was deleted")
	errDeviceDisabled = hubward.Errorf(hubward.CodeUnauthorizedAccess, "the identity was disabled")
	errDeviceRekeyed  = hubward.Errorf(hubward.CodeUnauthorizedAccess, "the identity's credentials were changed")
	errHubDeleted     = hubward.Errorf(hubward.CodeHubNotFound, "the hub was deleted")
)

// errEdited tells connect that the identity was edited after it was read.
var errEdited = errors.New("hub: the identity was edited during log-in")

// Link is a device's place in the hub while it is connected: what Connect returns and the front end works with. It is
// safe for concurrent use.
type Link struct {
	Principal access.Principal
	ModelID   string

	hub     *Hub
	state   *state
	session Session
	since   time.Time
	active  atomic.Int64 // Unix milliseconds of the last sign of life
}

func (l *Link) key() sessionKey { return sessionKey{l.state.name, l.Principal.Device} }

func (l *Link) lastActive() time.Time { return time.UnixMilli(l.active.Load()).UTC() }

// sessionKey names who is connected.
type sessionKey struct {
	hub string
	id  hubward.Identity
}

const sessionShards = 64

// sessions knows the one live link of each identity.
type sessions struct {
	seed   maphash.Seed
	shards [sessionShards]sessionShard
}

type sessionShard struct {
	mu    sync.Mutex // guards the fields below; never held across a call of a Session
	links map[sessionKey]*Link
	edits uint64 // counts edits of identities in this shard, see install
}

func newSessions() *sessions {
	s := &sessions{seed: maphash.MakeSeed()}
	for i := range s.shards {
		s.shards[i].links = make(map[sessionKey]*Link)
	}
	return s
}

func (s *sessions) shard(hub, device string) *sessionShard {
	var h maphash.Hash
	h.SetSeed(s.seed)
	h.WriteString(hub)
	h.WriteByte(0)
	h.WriteString(device)
	return &s.shards[h.Sum64()%sessionShards]
}

// edits returns the shard's edit count. It is read before the identity is, and handed to install after.
func (s *sessions) edits(k sessionKey) uint64 {
	shard := s.shard(k.hub, k.id.Device)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	return shard.edits
}

// install makes l the live link of its identity and returns the one it takes over from, if any. It fails with
// errEdited when an identity of the shard was edited since the count was read: what the log-in was checked against
// may be stale, and edited has already closed what was there.
func (s *sessions) install(l *Link, edits uint64) (old *Link, err error) {
	shard := s.shard(l.state.name, l.Principal.Device.Device)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.edits != edits {
		return nil, errEdited
	}
	old = shard.links[l.key()]
	shard.links[l.key()] = l
	return old, nil
}

// remove forgets l unless a newer link has taken its place, and reports whether it was live.
func (s *sessions) remove(l *Link) bool {
	shard := s.shard(l.state.name, l.Principal.Device.Device)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.links[l.key()] != l {
		return false
	}
	delete(shard.links, l.key())
	return true
}

// live returns the live link of an identity, or nil.
func (s *sessions) live(k sessionKey) *Link {
	shard := s.shard(k.hub, k.id.Device)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	return shard.links[k]
}

// edited is called after an identity was changed. With a reason, the connections of the device and its modules end.
func (s *sessions) edited(hub, device string, reason error) {
	shard := s.shard(hub, device)
	shard.mu.Lock()
	shard.edits++
	var closing []*Link
	if reason != nil {
		for k, l := range shard.links {
			if k.hub == hub && k.id.Device == device {
				closing = append(closing, l)
			}
		}
	}
	shard.mu.Unlock()
	for _, l := range closing {
		l.session.Close(reason)
	}
}

// closeHub ends all connections of a hub.
func (s *sessions) closeHub(hub string, reason error) {
	for i := range s.shards {
		shard := &s.shards[i]
		shard.mu.Lock()
		shard.edits++
		var closing []*Link
		for k, l := range shard.links {
			if k.hub == hub {
				closing = append(closing, l)
			}
		}
		shard.mu.Unlock()
		for _, l := range closing {
			l.session.Close(reason)
		}
	}
}

// count counts the connected devices of a hub; modules do not count.
func (s *sessions) count(hub string) (n int) {
	for i := range s.shards {
		shard := &s.shards[i]
		shard.mu.Lock()
		for k := range shard.links {
			if k.hub == hub && k.id.Module == "" {
				n++
			}
		}
		shard.mu.Unlock()
	}
	return n
}
