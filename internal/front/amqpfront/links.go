package amqpfront

import (
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/hub/access"
)

// Attach implements amqpengine.Peer.
func (c *conn) Attach(l *amqpengine.Link) {
	attach := l.Attach()
	text, err := addressOf(attach)
	if err == nil {
		a := c.server.addresses.parse(text)
		err = c.attach(l, &a)
	}
	log := c.logger.With("link", clip(attach.Name), "address", clip(text), "peer sends", attach.Role == amqpwire.RoleSender)
	if err == nil {
		log.Debug("amqp link attached")
		return
	}
	e := wireError(err)
	log.Debug("amqp link refused", "error", err, "tracking", c.server.track(e))
	l.Refuse(e)
}

// addressOf returns our side's address; empty if there is none.
func addressOf(a *amqpwire.Attach) (string, error) {
	switch {
	case a.Role == amqpwire.RoleReceiver && a.Source != nil:
		return a.Source.Address, nil
	case a.Role == amqpwire.RoleReceiver || a.Target == nil:
		return "", nil
	case a.Target.Coordinator:
		return "", notImplemented("Transactions are not supported.")
	}
	return a.Target.Address, nil
}

// attach accepts a link or returns why not.
func (c *conn) attach(l *amqpengine.Link, a *address) error {
	if e := c.checkHub(); e != nil {
		return e
	}
	if err := c.authorize(l, a); err != nil {
		return err
	}
	h := a.family.toPeer
	if l.Attach().Role == amqpwire.RoleSender {
		h = a.family.fromPeer
	}
	if h == nil {
		h = wrongDirection
	}
	if e := h(c, l, a); e != nil {
		c.forget(l)
		return e
	}
	return nil
}

// authorize finds the principal that a link rests on. Who has a certificate logs in by it with a first link, which names
// the identity.
func (c *conn) authorize(l *amqpengine.Link, a *address) error {
	if a.family.requires == nil {
		return nil
	}
	r := a.family.requires(c, a)
	if c.rest(l, r) {
		return nil
	}
	if a.identity != (hubward.Identity{}) {
		if tried, err := c.restOnBehalf(l, a, r); tried {
			return err
		}
	}
	if p := c.meeting(r.at(access.DoorEvents)); p != nil && !p.Enters(r.door) {
		c.logger.Info("amqp link refused, the hub's rules let the peer's address read events alone", "hub", c.hub.Name, "policy", p.Policy, "address", c.peer().Address)
	}
	t := c.engine.TLS()
	if a.identity == (hubward.Identity{}) || t == nil || len(t.PeerCertificates) == 0 {
		return unauthorized("Unauthorized access: no token of this connection has the rights that '%s' needs.", a.text())
	}
	p, err := c.server.hub.Authenticate(c.engine.Context(), access.Credential{
		Hub: c.hub.Name, Identity: a.identity, Certificates: t.PeerCertificates, Peer: c.peer(),
	})
	if err == nil {
		err = c.hold("certificate of "+a.identity.String(), p)
	}
	if err != nil {
		c.logger.Info("amqp certificate refused", "hub", c.hub.Name, "device", a.identity.String(), "error", err)
		return err
	}
	if !c.rest(l, r) {
		return unauthorized("Unauthorized access: the certificate is not for '%s'.", a.text())
	}
	return nil
}

// text is the address as errors quote it.
func (a *address) text() string { return clip(strings.Join(a.path, "/")) }

// clip shortens text of a client for logs and errors.
func clip(text string) string {
	const most = 256
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return strings.ToValidUTF8(text, "?")
}

// wrongDirection refuses a link that nobody serves in its direction.
func wrongDirection(_ *conn, _ *amqpengine.Link, a *address) *amqpwire.Error {
	return newError(amqpwire.NotAllowed, "A link in this direction is not possible at '%s'.", a.text())
}

// noSuchEntity refuses what nobody serves. SDKs look into the text.
//
// Source: @azure/core-amqp, errors: it looks for "The messaging entity .* could not be found".
func noSuchEntity(c *conn, _ *amqpengine.Link, a *address) *amqpwire.Error {
	return newError(amqpwire.NotFound, "The messaging entity 'sb://%s/%s' could not be found.", c.host, a.text())
}

// refuseSender refuses who wants to write to the event hub: nobody but the hub does.
func refuseSender(c *conn, l *amqpengine.Link, a *address) *amqpwire.Error {
	if !c.isEventHub(a.eventHub) {
		return noSuchEntity(c, l, a)
	}
	return unauthorized("Unauthorized access: 'Send' claim(s) are required to perform this operation. Devices send through the hub.")
}

// isEventHub reports whether name is that of the connection's event hub: the hub's own.
func (c *conn) isEventHub(name string) bool { return strings.EqualFold(name, c.hub.Name) }
