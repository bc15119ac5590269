package amqpfront

import (
	"maps"
	"strings"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

const (
	// maxPrincipals bounds the principals of one connection. Pools of devices put a token for each of up to 1,000. When there are
	// as many, one that no link rests on any more makes room.
	//
	// Source: MultiplexingClient.java of Azure/azure-iot-sdk-java (1,000); AmqpConnectionPoolSettings.cs of
	// Azure/azure-iot-sdk-csharp (995).
	maxPrincipals = 1024
	// unauthenticatedTime is how long a connection may be open without a principal.
	//
	// Source: learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide, where it is 20 s.
	unauthenticatedTime = 30 * time.Second
	// maxTimer bounds how long the timer sleeps, so that a clock that was set meanwhile is noticed.
	maxTimer = time.Hour
)

// heldPrincipal is a principal of a connection. It is replaced, never changed, but for served.
type heldPrincipal struct {
	access.Principal
	ends   time.Time          // when links no longer rest on it: the token's expiry and the hub's grace; zero: never
	key    *access.Credential // a policy's key, which is looked at again when it would end; nil: a token or a certificate
	served bool               // a link has rested on it; guarded by conn.mu
}

func (h *heldPrincipal) ended(now time.Time) bool { return !h.ends.IsZero() && !now.Before(h.ends) }

// restingLink is what is known of a link that rests on a principal.
type restingLink struct {
	requirement requirement
	scope       string // of the principal
}

// tokenScope is what two tokens have in common of which the later replaces the earlier.
func tokenScope(t *sas.Token) string { return t.Policy + " " + strings.Join(t.Segment, "/") }

// hold gives the connection a principal; it replaces the one of the same scope.
//
// Errors: CodeUnauthorizedAccess for one of another hub than the connection's; CodeQuotaExceeded.
func (c *conn) hold(scope string, p access.Principal) error {
	held := &heldPrincipal{Principal: p}
	if !p.Expires.IsZero() {
		held.ends = p.Expires.Add(c.server.hub.SASGrace())
	}
	return c.keep(scope, held)
}

// holdKey is hold for a principal that a policy's key gave. A key has no end: it is looked at again whenever the grace of tokens
// is over. So the principal outlives the key, or the policy, by that long at most.
func (c *conn) holdKey(scope string, p access.Principal, key access.Credential) error {
	return c.keep(scope, &heldPrincipal{Principal: p, ends: c.server.now().Add(c.server.hub.SASGrace()), key: &key})
}

func (c *conn) keep(scope string, held *heldPrincipal) error {
	if c.hub.Name != "" && !sameHub(held.Hub, c.hub) {
		return refused("the principal is of another hub")
	}
	if err := c.add(scope, held); err != nil {
		return err
	}
	// Who drops what the hub does not let in any more may have come before.
	err := c.server.hub.Admits(&held.Principal)
	if err != nil {
		c.dropInadmissible()
	}
	return err
}

func (c *conn) add(scope string, held *heldPrincipal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.principals[scope]
	if old == nil && len(c.principals) >= maxPrincipals && !c.makeRoomLocked() {
		return hubward.Errorf(hubward.CodeQuotaExceeded, "the connection holds %d tokens already", maxPrincipals)
	}
	held.served = old != nil && old.served
	c.principals[scope] = held
	c.renewBehalfLocked(held)
	c.server.loggedIn(c.engine.NetConn())
	c.unauthenticatedSince = time.Time{}
	c.scheduleLocked(c.server.now())
	return nil
}

// makeRoomLocked drops the principals that links have rested on and none does any more: those of devices that have left the
// connection. It reports whether there were any. What is still to be used stays, and what speaks for many.
func (c *conn) makeRoomLocked() bool {
	resting := make(map[string]bool, len(c.links))
	for _, r := range c.links {
		resting[r.scope] = true
	}
	before := len(c.principals)
	for scope, h := range c.principals {
		if h.served && !resting[scope] && h.Identity != (hubward.Identity{}) && !h.IsEdgeHub() {
			delete(c.principals, scope)
		}
	}
	return len(c.principals) < before
}

// renewKeys lets principals of keys that are still good live on.
func (c *conn) renewKeys(now time.Time) {
	c.mu.Lock()
	ended := make(map[string]*heldPrincipal)
	for scope, h := range c.principals {
		if h.key != nil && h.ended(now) {
			ended[scope] = h
		}
	}
	c.mu.Unlock()
	for scope, h := range ended {
		p, err := c.server.hub.Authenticate(c.engine.Context(), *h.key)
		if err != nil || c.holdKey(scope, p, *h.key) != nil {
			c.logger.Info("amqp connection: a policy's key is no longer good", "policy", h.Policy)
		}
	}
}

func sameHub(a, b access.HubRef) bool { return a.Name == b.Name && a.Created.Equal(b.Created) }

// opened starts to count the time that the connection may be without a principal.
func (c *conn) opened() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.principals) == 0 {
		c.unauthenticatedSince = c.server.now()
	}
	c.scheduleLocked(c.server.now())
}

// loginHub is the hub of the log-in by SASL, the zero one if there was none.
func (c *conn) loginHub() access.HubRef { return c.anyPrincipal().Hub }

// anyPrincipal returns one of the connection's principals; before Open there is one at most. Without any it is nobody.
func (c *conn) anyPrincipal() *access.Principal {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.principals {
		return &h.Principal
	}
	return &c.nobody
}

// principalOf returns the principal that a link rests on: of a token that was put again, the last one. When it has ended,
// the link is about to be detached, and it is nobody.
func (c *conn) principalOf(l *amqpengine.Link) *access.Principal {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.links[l]; r != nil {
		if h := c.principals[r.scope]; h != nil {
			return &h.Principal
		}
	}
	return &c.nobody
}

// unauthenticated reports whether the connection has no principal.
func (c *conn) unauthenticated() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.principals) == 0
}

// rest finds a principal that meets what a link requires, and notes that the link rests on it. forget takes it back.
func (c *conn) rest(l *amqpengine.Link, r requirement) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	scope, ok := c.meetingLocked(r, c.server.now())
	if ok {
		c.links[l] = &restingLink{r, scope}
		c.principals[scope].served = true
	}
	return ok
}

// meetingLocked returns the scope of a principal that meets r. New links do not rest on one that has expired.
func (c *conn) meetingLocked(r requirement, now time.Time) (scope string, ok bool) {
	for scope, h := range c.principals {
		if !h.Expired(now) && r.metBy(&h.Principal) {
			return scope, true
		}
	}
	return "", false
}

// meeting returns a principal that meets r, one that has expired and lives on for a while if there is no other; nil when
// there is none.
func (c *conn) meeting(r requirement) *access.Principal {
	c.mu.Lock()
	defer c.mu.Unlock()
	if scope, ok := c.meetingLocked(r, c.server.now()); ok {
		return &c.principals[scope].Principal
	}
	for _, h := range c.principals {
		if r.metBy(&h.Principal) {
			return &h.Principal
		}
	}
	return nil
}

func (c *conn) forget(l *amqpengine.Link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.links, l)
}

// revokeLocked drops the principals that an identity was given on credentials of its own.
func (c *conn) revokeLocked(id hubward.Identity) {
	now := c.server.now()
	for scope, h := range c.principals {
		if h.Policy == "" && h.Identity == id {
			delete(c.principals, scope)
		}
	}
	if len(c.principals) == 0 && c.unauthenticatedSince.IsZero() {
		c.unauthenticatedSince = now
	}
	c.scheduleLocked(now)
}

// scheduleLocked sets the timer to the next moment at which something may end.
func (c *conn) scheduleLocked(now time.Time) {
	var next time.Time
	if !c.unauthenticatedSince.IsZero() {
		next = c.unauthenticatedSince.Add(unauthenticatedTime)
	}
	for _, h := range c.principals {
		if !h.ends.IsZero() && (next.IsZero() || h.ends.Before(next)) {
			next = h.ends
		}
	}
	if c.closed || next.IsZero() {
		if c.timer != nil {
			c.timer.Stop()
		}
		return
	}
	wait := min(max(next.Sub(now), time.Millisecond), maxTimer)
	if c.timer == nil {
		c.timer = time.AfterFunc(wait, c.checkPrincipals)
	} else {
		c.timer.Reset(wait)
	}
}

// checkPrincipals drops the principals that have ended, detaches the links that no other covers, and closes a connection
// that has been without one for too long.
func (c *conn) checkPrincipals() {
	now := c.server.now()
	c.renewKeys(now)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	dropped := false
	for scope, h := range c.principals {
		if h.ended(now) {
			delete(c.principals, scope)
			dropped = true
		}
	}
	uncovered := c.uncoveredLocked(now)
	if dropped && len(c.principals) == 0 {
		c.unauthenticatedSince = now
	}
	tooLong := !c.unauthenticatedSince.IsZero() && !now.Before(c.unauthenticatedSince.Add(unauthenticatedTime))
	if !tooLong {
		c.scheduleLocked(now)
	}
	c.mu.Unlock()
	for _, l := range uncovered {
		e := unauthorized("Token Invalid. The token that the link rests on has expired, or the key or certificate is no longer good.")
		c.logger.Info("amqp link detached, its token, key or certificate is no longer good", "link", clip(l.Attach().Name), "tracking", c.server.track(e))
		l.Detach(e)
	}
	if tooLong {
		c.fail(newError(amqpwire.ConnectionForced, "The connection was not authorized within %d seconds.", int(unauthenticatedTime/time.Second)))
	}
}

// dropInadmissible drops the principals that the hub would not let in any more, and what rests on them.
func (c *conn) dropInadmissible() {
	c.mu.Lock()
	held := maps.Clone(c.principals)
	c.mu.Unlock()
	maps.DeleteFunc(held, func(_ string, h *heldPrincipal) bool {
		err := c.server.hub.Admits(&h.Principal)
		if err != nil {
			c.logger.Info("amqp connection: a log-in is not let in any more", "hub", h.Hub.Name, "device", h.Identity.String(), "policy", h.Policy, "error", err)
		}
		return err == nil
	})
	if len(held) == 0 {
		return
	}
	c.mu.Lock()
	for scope, h := range held {
		if c.principals[scope] == h {
			delete(c.principals, scope)
		}
	}
	if len(c.principals) == 0 && c.unauthenticatedSince.IsZero() {
		c.unauthenticatedSince = c.server.now()
	}
	c.mu.Unlock()
	c.checkPrincipals()
}

// uncoveredLocked returns the links that no principal covers any more, and moves the others to one that does.
func (c *conn) uncoveredLocked(now time.Time) []*amqpengine.Link {
	var uncovered []*amqpengine.Link
	for l, r := range c.links {
		if h := c.principals[r.scope]; h != nil && r.requirement.metBy(&h.Principal) {
			continue
		}
		scope, ok := c.meetingLocked(r.requirement, now)
		if ok {
			r.scope = scope
			c.principals[scope].served = true
			continue
		}
		delete(c.links, l)
		uncovered = append(uncovered, l)
	}
	return uncovered
}
