package amqpfront

import (
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

// What a connection may have of links to $cbs, or to $management, at one time. uamqp opens a pair per device on a shared
// connection.
const (
	maxOpenLinks                = 2048
	maxUnauthenticatedOpenLinks = 16
)

// attachCBS accepts a link of the node that tokens are put to.
func attachCBS(c *conn, l *amqpengine.Link, _ *address) *amqpwire.Error {
	return c.attachOpen(c.cbs, l, "$cbs")
}

// attachOpen accepts a link of a node that takes no log-in to attach to.
func (c *conn) attachOpen(n *node, l *amqpengine.Link, name string) *amqpwire.Error {
	most := maxOpenLinks
	if c.unauthenticated() {
		most = maxUnauthenticatedOpenLinks
	}
	if n.links() >= most {
		return newError(amqpwire.ResourceLimitExceeded, "The connection has %d links to %s already.", most, name)
	}
	n.attach(l)
	return nil
}

// putToken answers a request at $cbs. A failure has a code and a text, but no condition: azure-eventhub for Python shows
// neither of them when there is one, and the other clients take the condition from the code.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-amqp-support; learn.microsoft.com/azure/service-bus-messaging/
// service-bus-amqp-protocol-guide, claims-based authorization.
func (c *conn) putToken(_ *amqpengine.Link, m *amqpwire.Message) reply {
	r := c.answerPut(m)
	r.condition = ""
	if name, _ := amqpwire.Text(m.ApplicationProperties.Get("name")); r.code == 200 && isEventHubsName(name) {
		r.code, r.text = 202, "Accepted"
	}
	return r
}

// isEventHubsName reports whether the name of a token is what clients of Event Hubs write: the URI of an entity, e.g.
// "amqps://host/hub/ConsumerGroups/$Default/Partitions/0". That of Rust takes no success but 202 then. Node's and Java's device
// clients, whose names are a host and a path, take none but 200. The others take either.
//
// Source: minghuaw/fe2o3-amqp fe2o3-amqp-cbs/src/put_token.rs; Azure/azure-iot-sdk-node
// common/transport/amqp/src/amqp_cbs.ts; AmqpsCbsReceiverLinkHandler.java of Azure/azure-iot-sdk-java.
func isEventHubsName(name string) bool {
	scheme, _, ok := strings.Cut(strings.ToLower(name), "://")
	return ok && (scheme == "sb" || scheme == "amqp" || scheme == "amqps")
}

// answerPut looks at a request at $cbs. What a token is good for, it says itself: neither the name nor the type that the
// client gives counts, some give wrong ones.
func (c *conn) answerPut(m *amqpwire.Message) reply {
	operation, _ := amqpwire.Text(m.ApplicationProperties.Get("operation"))
	switch {
	case strings.EqualFold(operation, "delete-token"):
		return failure(501, notImplemented("Tokens cannot be deleted. They end with the connection."))
	case !strings.EqualFold(operation, "put-token"):
		return failure(400, newError(amqpwire.InvalidField, "The operation %.64q is not known here.", operation))
	}
	body, ok := m.Body()
	if !ok || len(body) == 0 {
		return failure(400, newError(amqpwire.InvalidField, "The request holds no token."))
	}
	return c.takeToken(string(body))
}

// takeToken gives the connection the principal of a token.
func (c *conn) takeToken(text string) reply {
	if !strings.HasPrefix(text, sas.Scheme+" ") {
		return failure(401, unauthorized("InvalidToken: only shared access signatures are accepted here, no tokens of an identity provider."))
	}
	t, err := sas.Parse(text)
	if err != nil {
		c.logRefusedToken("", err)
		return failure(400, newError(amqpwire.InvalidField, "InvalidToken: the token is malformed."))
	}
	p, err := c.server.hub.Authenticate(c.engine.Context(), access.Credential{Hub: c.hub.Name, Token: text, Peer: c.peer(), Door: access.DoorEvents})
	if err == nil {
		err = c.hold(tokenScope(&t), p)
	}
	if err != nil {
		c.logRefusedToken(t.Policy, err)
		return refusedToken(err)
	}
	c.logger.Debug("amqp token accepted", "hub", c.hub.Name, "policy", p.Policy, "device", p.Identity.String(), "expires", p.Expires)
	return reply{code: 200, text: "OK"}
}

func (c *conn) logRefusedToken(policy string, err error) {
	c.logger.Info("amqp token refused", "hub", c.hub.Name, "policy", policy, "error", err)
}

// refusedToken says that a token is refused, and no more of the reason than the cloud does.
func refusedToken(err error) reply {
	condition := conditionOf(hubward.CodeOf(err))
	switch condition {
	case amqpwire.UnauthorizedAccess:
		return failure(401, unauthorized("InvalidToken: the token is not valid here. Its signature matches no key, its time is over, or it is for another resource."))
	case amqpwire.NotFound:
		return failure(404, newError(amqpwire.NotFound, "%s", errorText(err)))
	case conditionQuota:
		return failure(403, newError(amqpwire.ResourceLimitExceeded, "%s", errorText(err)))
	case conditionServerBusy:
		return failure(503, newError(condition, "%s", errorText(err)))
	}
	return failure(500, newError(amqpwire.InternalError, "%s", errorText(err)))
}
