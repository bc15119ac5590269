package amqpfront

import (
	"strings"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/hub/access"
)

// handler serves a link: it accepts it, or returns the error that refuses it. a.scope names the grant that it stands on.
type handler func(c *conn, l *amqpengine.Link, a *address) *amqpwire.Error

// service says how links to one kind of address are served.
type service struct {
	need     func(c *conn, a *address) need
	fromPeer handler // the peer sends; nil: refused
	toPeer   handler // the peer receives; nil: refused
}

// services is the table of all kinds but kindCBS, which needs no grant.
func services() map[kind]service {
	return map[kind]service{
		kindUnknown:    {need: anyGrant, fromPeer: noSuchEntity, toPeer: noSuchEntity},
		kindManagement: {need: managementNeed, fromPeer: attachManagement, toPeer: attachManagement},
		kindEvents:     {need: serviceNeed, fromPeer: redirect, toPeer: redirect},
		kindPartition:  {need: serviceNeed, toPeer: attachReader},
		kindEventHub:   {need: serviceNeed, fromPeer: refuseSender},

		kindTelemetry:   {need: deviceNeed, fromPeer: attachTelemetry, toPeer: attachModuleInput},
		kindDeviceBound: {need: deviceNeed, toPeer: attachDeviceBound},
		kindTwin:        {need: deviceNeed, fromPeer: notYet("The device twin over AMQP"), toPeer: notYet("The device twin over AMQP")},
		kindMethods:     {need: deviceNeed, fromPeer: notYet("Direct methods over AMQP"), toPeer: notYet("Direct methods over AMQP")},
		kindStreams:     {need: deviceNeed, fromPeer: notYet("Device streams"), toPeer: notYet("Device streams")},

		kindServiceSend:       {need: serviceNeed, fromPeer: attachServiceSend},
		kindFeedback:          {need: serviceNeed, toPeer: attachFeedback},
		kindFileNotifications: {need: serviceNeed, toPeer: attachFileNotifications},
	}
}

// Attach implements amqpengine.Peer.
func (c *conn) Attach(l *amqpengine.Link) {
	attach := l.Attach()
	text, err := addressOf(attach)
	if err == nil {
		a := parseAddress(text)
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
	if a.kind == kindCBS {
		return asError(c.attachCBS(l))
	}
	s := c.server.services[a.kind]
	n := s.need(c, a)
	scope, err := c.authorize(a, n)
	if err != nil {
		return err
	}
	a.scope = scope
	h := s.toPeer
	if l.Attach().Role == amqpwire.RoleSender {
		h = s.fromPeer
	}
	if h == nil {
		return newError(amqpwire.NotAllowed, "A link in this direction is not possible at '%s'.", clip(strings.Join(a.path, "/")))
	}
	if e := h(c, l, a); e != nil {
		return e
	}
	c.stand(l, n, scope)
	return nil
}

// asError keeps a nil *amqpwire.Error from becoming an error that is not nil.
func asError(e *amqpwire.Error) error {
	if e == nil {
		return nil
	}
	return e
}

// authorize finds the grant that a link stands on. A device with a certificate gets one at its first link, which names the
// device.
func (c *conn) authorize(a *address, n need) (scope string, err error) {
	scope, ok := c.granted(n)
	if ok {
		return scope, nil
	}
	t := c.engine.TLS()
	if a.device.Device == "" || t == nil || len(t.PeerCertificates) == 0 {
		return "", unauthorized("Unauthorized access: no token of this connection has the rights that '%s' needs.", clip(strings.Join(a.path, "/")))
	}
	g, err := c.server.hub.GrantCertificate(c.engine.Context(), c.hub, a.device, t.PeerCertificates[0])
	if err != nil {
		c.logger.Info("amqp certificate refused", "device", a.device.Device, "error", err)
		return "", err
	}
	if !n.met(&g) {
		return "", unauthorized("Unauthorized access: the certificate is not for '%s'.", clip(strings.Join(a.path, "/")))
	}
	scope = "certificate of " + strings.Join(devicePath(a.device), "/")
	return scope, c.addGrant(scope, g)
}

// clip shortens text of a client for logs and errors.
func clip(text string) string {
	const most = 256
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return strings.ToValidUTF8(text, "?")
}

// anyGrant is for what is refused anyway: without a grant nobody learns what there is.
func anyGrant(*conn, *address) need { return need{} }

// serviceNeed is the right of a back end to what the address names.
func serviceNeed(_ *conn, a *address) need {
	return need{access.ServiceConnect, [][]string{a.path}}
}

// deviceNeed is the right to speak for the device that the address names.
func deviceNeed(_ *conn, a *address) need {
	return need{access.DeviceConnect, [][]string{devicePath(a.device)}}
}

// noSuchEntity refuses what nobody serves. SDKs look into the text.
//
// Source: spec/event-hubs-endpoint.md 6.1.
func noSuchEntity(c *conn, _ *amqpengine.Link, a *address) *amqpwire.Error {
	return newError(amqpwire.NotFound, "The messaging entity 'sb://%s/%s' could not be found.", c.host, clip(strings.Join(a.path, "/")))
}

// refuseSender refuses who wants to write to the event hub: nobody but the hub does.
//
// Source: spec/event-hubs-endpoint.md 13.
func refuseSender(c *conn, l *amqpengine.Link, a *address) *amqpwire.Error {
	if !c.isEventHub(a.entity) {
		return noSuchEntity(c, l, a)
	}
	return unauthorized("Unauthorized access: 'Send' claim(s) are required to perform this operation. Devices send through the hub.")
}

// isEventHub reports whether name is that of the connection's event hub: the hub's own.
func (c *conn) isEventHub(name string) bool { return strings.EqualFold(name, c.hub) }

// notYet refuses what this version does not serve.
func notYet(what string) handler {
	return func(*conn, *amqpengine.Link, *address) *amqpwire.Error {
		return notImplemented("%s: not supported by this version of the hub.", what)
	}
}
