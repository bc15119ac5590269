package amqpfront

import (
	"strings"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

const (
	// maxGrants bounds the grants of one connection. Pools of devices put a token for each of up to 1,000.
	maxGrants = 1024
	// bareTime is how long a connection may be open without a grant.
	//
	// Source: spec/amqp.md 4.5.
	bareTime = 30 * time.Second
	// maxTimer bounds how long the timer sleeps, so that a clock that was set meanwhile is noticed.
	maxTimer = time.Hour
)

// heldGrant is a grant of a connection.
type heldGrant struct {
	access.Grant
	ends time.Time // when links no longer stand on it: the token's expiry and the hub's grace; zero: never
}

// expired reports whether new links can no longer be based on the grant.
func (g *heldGrant) expired(now time.Time) bool {
	return !g.Expires.IsZero() && now.After(g.Expires)
}

func (g *heldGrant) ended(now time.Time) bool { return !g.ends.IsZero() && !now.Before(g.ends) }

// need is what a link asks of a grant: rights on one of some resources, which paths name below the host. The zero need
// is met by any grant.
type need struct {
	rights access.Rights
	paths  [][]string
}

func (n need) met(g *access.Grant) bool {
	for _, p := range n.paths {
		if g.Allows(n.rights, p...) {
			return true
		}
	}
	return len(n.paths) == 0
}

// standing is a link that stands on a grant.
type standing struct {
	need  need
	scope string // of the grant
}

// tokenScope is what two tokens have in common of which the later replaces the earlier.
func tokenScope(t *sas.Token) string { return t.Policy + " " + strings.Join(t.Segment, "/") }

// addGrant gives the connection a grant; it replaces the one of the same scope.
//
// Errors: CodeQuotaExceeded.
func (c *conn) addGrant(scope string, g access.Grant) error {
	held := &heldGrant{Grant: g}
	if !g.Expires.IsZero() {
		held.ends = g.Expires.Add(c.server.hub.SASGrace())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, again := c.grants[scope]; !again && len(c.grants) >= maxGrants {
		return hubward.Errorf(hubward.CodeQuotaExceeded, "the connection holds %d tokens already", maxGrants)
	}
	c.grants[scope] = held
	c.bareSince = time.Time{}
	c.scheduleLocked(c.server.now())
	return nil
}

// opened starts to count the time that the connection may be without a grant.
func (c *conn) opened() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.grants) == 0 {
		c.bareSince = c.server.now()
	}
	c.scheduleLocked(c.server.now())
}

// loggedInTo is the hub of the log-in by SASL, empty if there was none.
func (c *conn) loggedInTo() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range c.grants {
		return g.Hub // before Open there is one at most
	}
	return ""
}

// granted reports whether the connection has a grant that meets n, and its scope.
func (c *conn) granted(n need) (scope string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.grantedLocked(n, c.server.now())
}

func (c *conn) grantedLocked(n need, now time.Time) (scope string, ok bool) {
	for scope, g := range c.grants {
		if !g.expired(now) && n.met(&g.Grant) {
			return scope, true
		}
	}
	return "", false
}

// grantOf returns the grant of scope; the zero one, which allows nothing, when it has ended.
func (c *conn) grantOf(scope string) access.Grant {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g := c.grants[scope]; g != nil {
		return g.Grant
	}
	return access.Grant{}
}

// revokeLocked drops the grants that a device was given on its own credentials.
func (c *conn) revokeLocked(device string) {
	now := c.server.now()
	for scope, g := range c.grants {
		if g.Device.Device == device {
			delete(c.grants, scope)
		}
	}
	if len(c.grants) == 0 && c.bareSince.IsZero() {
		c.bareSince = now
	}
	c.scheduleLocked(now)
}

// bare reports whether the connection has no grant.
func (c *conn) bare() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.grants) == 0
}

// stand notes that a link stands on the grant of scope. forget takes it back.
func (c *conn) stand(l *amqpengine.Link, n need, scope string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || l.Context().Err() != nil {
		return // it has ended already: forget was called, or will be
	}
	c.standing[l] = &standing{n, scope}
	if c.grants[scope] == nil && c.timer != nil {
		c.timer.Reset(0) // the grant has ended since it was looked up
	}
}

func (c *conn) forget(l *amqpengine.Link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.standing, l)
}

// scheduleLocked sets the timer to the next moment at which something may end.
func (c *conn) scheduleLocked(now time.Time) {
	var next time.Time
	if !c.bareSince.IsZero() {
		next = c.bareSince.Add(bareTime)
	}
	for _, g := range c.grants {
		if !g.ends.IsZero() && (next.IsZero() || g.ends.Before(next)) {
			next = g.ends
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
		c.timer = time.AfterFunc(wait, c.checkGrants)
	} else {
		c.timer.Reset(wait)
	}
}

// checkGrants drops the grants that have ended, detaches the links that no other grant covers, and closes a connection
// that has been without a grant for too long.
func (c *conn) checkGrants() {
	now := c.server.now()
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	dropped := false
	for scope, g := range c.grants {
		if g.ended(now) {
			delete(c.grants, scope)
			dropped = true
		}
	}
	fallen := c.fallenLocked(now)
	if dropped && len(c.grants) == 0 {
		c.bareSince = now
	}
	tooLong := !c.bareSince.IsZero() && !now.Before(c.bareSince.Add(bareTime))
	if !tooLong {
		c.scheduleLocked(now)
	}
	c.mu.Unlock()
	for _, l := range fallen {
		e := unauthorized("Token Invalid. The token that the link stands on has expired.")
		c.logger.Info("amqp link detached, its token has expired", "link", l.Attach().Name, "tracking", c.server.track(e))
		l.Detach(e)
	}
	if tooLong {
		c.fail(newError(amqpwire.ConnectionForced, "The connection was not authorized within %d seconds.", int(bareTime/time.Second)))
	}
}

// fallenLocked returns the links that no grant covers any more, and moves the others to one that does.
func (c *conn) fallenLocked(now time.Time) []*amqpengine.Link {
	var fallen []*amqpengine.Link
	for l, s := range c.standing {
		if _, ok := c.grants[s.scope]; ok {
			continue
		}
		scope, ok := c.grantedLocked(s.need, now)
		if ok {
			s.scope = scope
			continue
		}
		delete(c.standing, l)
		fallen = append(fallen, l)
	}
	return fallen
}
