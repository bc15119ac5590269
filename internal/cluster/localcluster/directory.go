package localcluster

import (
	"context"
	"hash/maphash"
	"sync"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

const shardCount = 128

// shard keeps the claims of some devices and of their modules, of all hubs.
type shard struct {
	mu      sync.Mutex // guards the fields below
	devices map[deviceKey]deviceHolds
	online  map[string]int // by hub, how many devices are held, modules left out; no zeros
}

type deviceKey struct{ hub, device string }

// hold is a claim without what its place says. The zero hold is nobody's.
type hold struct {
	node  *node
	fence uint64
}

// deviceHolds are a device's claims. There is at least one.
type deviceHolds struct {
	device  hold
	modules map[string]hold // by module id; nil until there is one
}

func (d deviceHolds) of(module string) hold {
	if module == "" {
		return d.device
	}
	return d.modules[module]
}

func (h hold) claim(hubName string, id hubward.Identity) hub.Claim {
	return hub.Claim{Hub: hubName, Identity: id, Node: h.node.name, Fence: h.fence}
}

// Claim implements hub.Directory.
func (c *Cluster) Claim(
	ctx context.Context, hubName string, id hubward.Identity, name string,
) (claim hub.Claim, displaced *hub.Claim, err error) {
	if err := ctx.Err(); err != nil {
		return hub.Claim{}, nil, err
	}
	n, err := c.node(name)
	if err != nil {
		return hub.Claim{}, nil, err
	}
	newest, old := c.swap(n, hubName, id)
	if newest.node == nil {
		return hub.Claim{}, nil, unavailable(name)
	}
	claim = newest.claim(hubName, id)
	if old.node == nil {
		return claim, nil, nil
	}
	before := old.claim(hubName, id)
	return claim, &before, nil
}

// swap makes n the owner of an identity, unless n is gone: then newest is the zero hold.
func (c *Cluster) swap(n *node, hubName string, id hubward.Identity) (newest, old hold) {
	key := deviceKey{hubName, id.Device}
	s := c.shard(id.Device)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.gone.Load() {
		return hold{}, hold{}
	}
	// The fence is taken under the lock: the order of an identity's claims is that of their fences.
	newest = hold{node: n, fence: c.numbers.Add(1)}
	d := s.devices[key]
	old = d.of(id.Module)
	s.setLocked(key, d, id.Module, newest)
	return newest, old
}

// Owner implements hub.Directory.
func (c *Cluster) Owner(ctx context.Context, hubName string, id hubward.Identity) (*hub.Claim, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := c.shard(id.Device)
	s.mu.Lock()
	h := s.devices[deviceKey{hubName, id.Device}].of(id.Module)
	s.mu.Unlock()
	if h.node == nil {
		return nil, nil
	}
	claim := h.claim(hubName, id)
	return &claim, nil
}

// Owners implements hub.Directory.
func (c *Cluster) Owners(ctx context.Context, hubName, device string) ([]hub.Claim, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := c.shard(device)
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[deviceKey{hubName, device}]
	var claims []hub.Claim
	if d.device.node != nil {
		claims = append(claims, d.device.claim(hubName, hubward.Identity{Device: device}))
	}
	for module, h := range d.modules {
		claims = append(claims, h.claim(hubName, hubward.Identity{Device: device, Module: module}))
	}
	return claims, nil
}

// Release implements hub.Directory.
func (c *Cluster) Release(ctx context.Context, claim hub.Claim) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	key := deviceKey{claim.Hub, claim.Identity.Device}
	s := c.shard(key.device)
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[key]
	if h := d.of(claim.Identity.Module); h.node == nil || h.fence != claim.Fence {
		return false, nil
	}
	s.setLocked(key, d, claim.Identity.Module, hold{})
	return true, nil
}

// Count implements hub.Directory.
func (c *Cluster) Count(ctx context.Context, hubName string) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	sum := 0
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		sum += s.online[hubName]
		s.mu.Unlock()
	}
	return sum, nil
}

// dropClaims releases what n has claimed. n is gone: it claims no more.
func (c *Cluster) dropClaims(n *node) {
	for i := range c.shards {
		c.shards[i].drop(n)
	}
}

func (s *shard) drop(n *node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, d := range s.devices {
		for module, h := range d.modules {
			if h.node == n {
				s.setLocked(key, d, module, hold{})
			}
		}
		if d.device.node == n {
			s.setLocked(key, d, "", hold{})
		}
	}
}

// shard returns where the claims of a device and its modules are.
func (c *Cluster) shard(device string) *shard {
	return &c.shards[maphash.String(c.seed, device)%shardCount]
}

// setLocked gives the device key, whose claims are d, or a module of it, another owner; the zero hold is none.
func (s *shard) setLocked(key deviceKey, d deviceHolds, module string, h hold) {
	switch {
	case module == "":
		s.countLocked(key.hub, d.device, h)
		d.device = h
	case h.node == nil:
		delete(d.modules, module)
	default:
		if d.modules == nil {
			d.modules = map[string]hold{}
		}
		d.modules[module] = h
	}
	if d.device.node == nil && len(d.modules) == 0 {
		delete(s.devices, key)
		return
	}
	s.devices[key] = d
}

// countLocked accounts for a device that goes from old to next.
func (s *shard) countLocked(hubName string, old, next hold) {
	if old.node == nil && next.node != nil {
		s.online[hubName]++
	}
	if old.node != nil && next.node == nil {
		s.online[hubName]--
		if s.online[hubName] == 0 {
			delete(s.online, hubName)
		}
	}
}
