package hub

import (
	"context"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// ConnectRequest says as whom a peer that has logged in wants to be connected.
type ConnectRequest struct {
	Identity hubward.Identity
	ModelID  string  // Plug and Play model, stamped on telemetry
	Session  Session // whom the hub calls; it may be called before Connect has returned
}

const (
	// verifiedFor is how long what Authenticate has read of an identity is good enough to claim its link.
	verifiedFor = 5 * time.Second
	// tellTimeout bounds what a call waits for another node to be told of something.
	tellTimeout = 2 * time.Second
	// maxModelID bounds a model id, which is stored with each event of the connection.
	//
	// Source: Azure/opendigitaltwins-dtdl DTDL/v2/metamodel/DTDL.v2.ModelRDF-SHACL.json (maxLength of identifiers).
	maxModelID = 2048 // characters
)

// Connect makes a link for an identity. From its return on it is the one live link of the identity in the cluster: an
// older one has been told to close. The caller ends the link with Disconnect.
//
// Errors: CodeArgumentInvalid for a model id that is too long or no UTF-8; CodeUnauthorizedAccess for a principal that is not
// good for the identity (any more), has expired, or a disabled identity; CodeDeviceNotFound; CodeModuleNotFound; CodeNoSuchHub; CodeConnectionClosedOnNewOne when it was taken over in
// that moment; anything else is the store's or the cluster's, and worth a retry.
func (h *Hub) Connect(ctx context.Context, p *access.Principal, r ConnectRequest) (*Link, error) {
	s, _, err := h.permit(p, access.DeviceConnect, access.PathOf(r.Identity))
	if err != nil {
		return nil, err
	}
	if err := checkModelID(r.ModelID); err != nil {
		return nil, err
	}
	if p.Expired(h.now()) {
		return nil, unauthorized(errors.New("the token has expired"))
	}
	if h.connections.isFull() {
		return nil, hubward.Errorf(hubward.CodeServiceUnavailable, "the store is behind with connections, try again")
	}
	if err := h.enterHub(s, r.Identity); err != nil {
		return nil, err
	}
	l, err := h.connect(ctx, s, p, r)
	if err != nil {
		s.links.Add(-1)
		return nil, err
	}
	return l, nil
}

// connect makes a link that there is room for.
func (h *Hub) connect(ctx context.Context, s *state, p *access.Principal, r ConnectRequest) (*Link, error) {
	// Who may not connect must not displace who is connected.
	if p.Identity != r.Identity || h.now().Sub(p.Verified) > verifiedFor {
		if _, err := h.speak(ctx, s, p, r.Identity); err != nil {
			return nil, err
		}
	}
	key := linkKey{s.ref.Name, r.Identity}
	h.links.begin(key)
	claim, err := h.claim(ctx, key)
	if err != nil {
		h.links.abandon(key)
		return nil, err
	}
	// What the registry says now counts: who edits the identity after this read finds the claim.
	principal, err := h.speak(ctx, s, p, r.Identity)
	if err != nil {
		h.links.abandon(key)
		h.release(claim)
		return nil, err
	}
	now := h.now().UTC()
	l := &Link{Principal: principal, ModelID: r.ModelID, hub: h, state: s, session: r.Session, claim: claim, since: now}
	l.active.Store(now.UnixMilli())
	if err := h.links.install(l); err != nil {
		h.release(claim)
		return nil, err
	}
	// Who ended the hub's links, or those that it does not let in any more, may not have found this one.
	if err = h.admission(s).Admits(&principal, h.now()); s.isGone() {
		err = noSuchHub(s.ref.Name)
	}
	if err != nil {
		h.links.remove(l)
		h.release(claim)
		return nil, err
	}
	h.connections.connected(l, now)
	return l, nil
}

// enterHub makes room for a link of a hub on this node. Who is connected here takes its own place.
func (h *Hub) enterHub(s *state, id hubward.Identity) error {
	n := s.links.Add(1)
	if h.mostLinks == 0 || n <= h.mostLinks || h.links.live(linkKey{s.ref.Name, id}) != nil {
		return nil
	}
	s.links.Add(-1)
	h.observer.LoginRefused(s.ref.Name, access.ReasonFull)
	return hubward.Errorf(hubward.CodeServiceUnavailable, "as many devices of the hub are connected as may be, try again later")
}

// claim makes this node the owner of an identity's link, and has who owned it close.
func (h *Hub) claim(ctx context.Context, key linkKey) (Claim, error) {
	claim, displaced, err := h.cluster.Claim(ctx, key.hub, key.id, h.node)
	if err != nil {
		return Claim{}, err
	}
	if displaced != nil {
		h.closeClaim(ctx, *displaced, errTakenOver)
	}
	return claim, nil
}

// release gives a claim back, and reports whether it was still the identity's newest. That the cluster cannot be reached
// is no reason to keep a connection's goroutine: a node that is gone from the cluster has lost its claims.
func (h *Hub) release(c Claim) bool {
	ctx, cancel := context.WithTimeout(context.Background(), tellTimeout)
	defer cancel()
	released, err := h.cluster.Release(ctx, c)
	if err != nil {
		h.logger.Warn("a connection could not be signed off", "hub", c.Hub, "device", c.Identity.String(), "error", err)
	}
	return released
}

// closeClaim has the node that holds a claim close its link.
func (h *Hub) closeClaim(ctx context.Context, c Claim, reason error) {
	if c.Node == h.node {
		h.links.close(linkKey{c.Hub, c.Identity}, c.Fence, reason)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTimeout)
	defer cancel()
	err := h.tell(ctx, c.Node, subjectClose, closeLink{
		Hub: c.Hub, Identity: c.Identity, Fence: c.Fence, Reason: reasonOf(reason),
	})
	if err != nil {
		h.logger.Warn("another node was not told to close a connection", "hub", c.Hub, "device", c.Identity.String(), "node", c.Node, "error", err)
	}
}

// closeIdentity closes the connection of an identity, and, withModules, those of a device's modules. It follows a change that
// is durable, so it does not end with ctx.
func (h *Hub) closeIdentity(ctx context.Context, hub string, id hubward.Identity, withModules bool, reason error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTimeout)
	defer cancel()
	claims, err := h.cluster.Owners(ctx, hub, id.Device)
	if err != nil {
		h.logger.Error("connections of an identity that was changed could not be found", "hub", hub, "device", id.String(), "error", err)
		return
	}
	for _, c := range claims {
		if c.Identity == id || withModules {
			h.closeClaim(ctx, c, reason)
		}
	}
}

// CloseAfter is when the link's credential is too old to live on, or zero when it does not age.
func (l *Link) CloseAfter() time.Time {
	if l.Principal.Expires.IsZero() {
		return time.Time{}
	}
	return l.Principal.Expires.Add(l.hub.sasGrace)
}

// Disconnect ends the link, and its receiver of messages. It may be called more than once.
func (l *Link) Disconnect() {
	l.ended.Do(func() {
		l.hub.links.remove(l)
		l.state.links.Add(-1)
		l.calls.end()
		l.twin.end()
		l.endCertificates()
		// Behind remove: a receiver that was not there yet finds, when it is, that the link has ended.
		if r := l.receiver.Load(); r != nil {
			r.Stop()
		}
		if l.hub.release(l.claim) {
			l.hub.connections.disconnected(l, l.hub.now().UTC())
		}
	})
}

// live returns what is known of an identity's connection now, nil when it has none. Of a connection on another node only
// its existence is known here.
func (h *Hub) live(ctx context.Context, hub string, id hubward.Identity) (l *Link, connected bool) {
	owner, err := h.cluster.Owner(ctx, hub, id)
	if err != nil || owner == nil {
		return nil, false
	}
	if l = h.links.live(linkKey{hub, id}); l != nil && l.claim.Fence == owner.Fence {
		return l, true
	}
	return nil, true
}

func checkModelID(id string) error {
	if !isText(id) {
		return errNotUTF8
	}
	if n := utf8.RuneCountInString(id); n > maxModelID {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "the model id has %d characters, the limit is %d", n, maxModelID)
	}
	return nil
}
