package restfront

import (
	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// right returns the authorizer of calls on the hub that the Host header names: the token must be of a policy with
// want. A token may be for the whole hub or for the path that is called.
//
// An unknown host gets the code of the real service, 401001 IotHubNotFound, and so HTTP status 401: a 404 would read
// as an unknown device.
//
// Source: spec/service-rest.md 1.3, 1.4, 3.3.
func right(want access.Rights) func(*call) error {
	return func(c *call) error {
		hub, err := c.server.hub.HubFor(c.r.Host)
		if err != nil {
			return err
		}
		c.hub = hub
		return c.authorize(want)
	}
}

// authorize checks the token against the policies of c.hub.
func (c *call) authorize(want access.Rights) error {
	_, err := c.server.hub.AuthorizeService(c.hub, c.token(), want, c.path...)
	return err
}

// itself is the authorizer of a device's calls: the path names the device, the token is its own or that of a policy with
// DeviceConnect, or the TLS certificate is the device's.
//
// Source: spec/device.md 7.1, 8.
func itself(c *call) error {
	hub, err := c.server.hub.HubFor(c.r.Host)
	if err != nil {
		return err
	}
	c.hub = hub
	id := hubward.Identity{Device: c.params[0]}
	c.device, err = c.server.hub.AuthorizeDevice(c.r.Context(), hub, id, c.token(), c.certificate())
	return err
}

// operator is the authorizer of calls that manage hubs. The path, not Host, says which hub is meant.
func operator(c *call) error {
	c.hub = c.pathHub()
	return c.server.hub.AuthorizeOperator(c.token())
}

// operatorOrOwner is the authorizer of calls that manage one hub's policies and consumer groups: the operator, or who
// holds all rights on that hub. Every other caller gets the same answer, whether the hub exists or not.
func operatorOrOwner(c *call) error {
	refused := operator(c)
	if refused == nil {
		return nil
	}
	if _, err := c.server.hub.AuthorizeService(c.hub, c.token(), access.AllRights); err != nil {
		return refused
	}
	return nil
}

// pathHub is the hub that the path names, if it names one.
func (c *call) pathHub() string {
	if len(c.params) == 0 {
		return ""
	}
	return c.params[0]
}

func (c *call) token() string { return c.r.Header.Get("Authorization") }
