package amqpfront

import (
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/sas"
)

// Open implements amqpengine.Peer: it finds the hub that the connection is for.
func (c *conn) Open(o *amqpwire.Open) *amqpwire.Error {
	c.server.tracer.connected(c.engine)
	if err := c.findHub(o.Hostname); err != nil {
		e := wireError(err)
		c.logger.Info("amqp open refused", "container", o.ContainerID, "error", err, "tracking", c.server.track(e))
		return e
	}
	c.logger.Debug("amqp connection opened", "hub", c.hub, "container", o.ContainerID)
	c.opened()
	return nil
}

// findHub takes the hub that the client names; if it names none, the one it has logged in to, then the one that TLS was
// set up for, then the first one.
//
// Errors: CodeHubNotFound; CodeUnauthorizedAccess when the log-in was for another hub.
func (c *conn) findHub(hostname string) error {
	h := c.server.hub
	loggedIn := c.loggedInTo()
	var err error
	switch name := hostOf(hostname); {
	case name != "":
		c.host = name
		c.hub, err = h.HubFor(name)
	case loggedIn != "":
		c.hub = loggedIn
	case c.serverName() != "":
		c.host = c.serverName()
		c.hub, err = h.HubFor(c.host)
	default:
		hubs := h.Hubs()
		if len(hubs) == 0 {
			return hubward.Errorf(hubward.CodeHubNotFound, "there is no hub")
		}
		c.hub = hubs[0].Name
	}
	if err != nil {
		return err
	}
	if loggedIn != "" && loggedIn != c.hub {
		return hubward.Errorf(hubward.CodeUnauthorizedAccess, "the log-in was for another hub")
	}
	config, err := h.Hub(c.hub)
	if err != nil {
		return err
	}
	c.created = config.Created
	if c.host == "" {
		c.host = defaultHost(&config)
	}
	return nil
}

// defaultHost is a name of the hub for a client that has used none.
func defaultHost(config *hub.Config) string {
	if len(config.HostNames) > 0 {
		return config.HostNames[0]
	}
	return strings.ToLower(config.Name) + ".localhost"
}

// checkHub closes the connection when its hub was deleted, and returns why. A new hub of the same name knows nothing of
// the grants of the old one.
func (c *conn) checkHub() *amqpwire.Error {
	config, err := c.server.hub.Hub(c.hub)
	if err == nil && config.Created.Equal(c.created) {
		return nil
	}
	c.fail(newError(amqpwire.ConnectionForced, "The hub %s was deleted.", c.hub))
	return newError(amqpwire.NotFound, "The hub %s was deleted.", c.hub)
}

// serverName is the name by which the client asked for a certificate; empty without TLS or a name.
func (c *conn) serverName() string {
	if t := c.engine.TLS(); t != nil {
		return t.ServerName
	}
	return ""
}

// hostOf takes the host out of what clients write as hostname: "hub.example", "hub.example:5671",
// "localhost/$servicebus/websocket", "amqps://hub.example".
func hostOf(hostname string) string {
	if scheme, rest, ok := strings.Cut(hostname, "://"); ok && isScheme(scheme) {
		hostname = rest
	}
	hostname, _, _ = strings.Cut(hostname, "/")
	return sas.TrimPort(hostname)
}
