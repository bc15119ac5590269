package restfront

import (
	"errors"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

// The authorizers of routes find out who calls, and leave it in c.principal. What the caller may do, the call of the hub
// looks at.

// service is the authorizer of back ends' calls on the hub that the Host header names: they show a policy's token.
//
// An unknown host gets the code of the real service, 401001 IotHubNotFound, and so HTTP status 401: a 404 would read
// as an unknown device.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-dev-guide-sas; Azure/azure-iot-sdk-csharp
// iothub/service/src/Common/Exceptions/ErrorCode.cs.
func service(c *call) error { return c.ofHub(access.DoorHub) }

// reader is service for those who read events.
func reader(c *call) error { return c.ofHub(access.DoorEvents) }

func (c *call) ofHub(door access.Door) error {
	ref, err := c.server.hub.HubFor(c.r.Host)
	if err != nil {
		return err
	}
	c.hub = ref.Name
	return c.authenticatePolicy(access.Credential{Hub: ref.Name, Token: c.token(), Door: door})
}

// management is the authorizer of calls that manage hubs. The path, not Host, says which hub is meant, and the token, whose
// it is.
func management(c *call) error {
	if len(c.params) > 0 {
		c.hub = c.params[0]
	}
	return c.authenticatePolicy(access.Credential{Token: c.token(), Door: access.DoorManagement})
}

// registrar is management for calls that who may write to the registry makes, too: that is no management, so a hub's switches
// count for it.
func registrar(c *call) error {
	if err := management(c); err != nil || c.principal.Permissions.Has(access.AllPermissions) {
		return err
	}
	return c.authenticatePolicy(access.Credential{Token: c.token()})
}

// itself is the authorizer of a device's calls: the path names the device, the token is its own or that of a policy with
// DeviceConnect, or the TLS certificate is the device's.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-dev-guide-sas;
// learn.microsoft.com/azure/iot-hub/authenticate-authorize-x509.
func itself(c *call) error {
	return c.authenticateAs(c.identity())
}

// moduleItself is itself for a module's calls.
func moduleItself(c *call) error { return c.authenticateAs(c.twinIdentity()) }

func (c *call) authenticateAs(id hubward.Identity) error {
	ref, err := c.server.hub.HubFor(c.r.Host)
	if err != nil {
		return err
	}
	c.hub = ref.Name
	return c.authenticate(access.Credential{Hub: ref.Name, Identity: id, Token: c.token(), Certificates: c.certificates()})
}

// serviceOrDevice is the authorizer of calls on a device's modules, which the device makes, too, with its own token or
// certificate: the runtime of an Edge device registers what it runs.
//
// Source: Azure/iot-identity-service identity/aziot-cloud-client-async/src/hub/mod.rs.
func serviceOrDevice(c *call) error {
	t, err := sas.Parse(c.token())
	if own := err == nil && t.Policy == ""; own || c.token() == "" && len(c.certificates()) > 0 {
		return itself(c)
	}
	return service(c)
}

// authenticatePolicy is authenticate for calls that are none of a device's.
func (c *call) authenticatePolicy(shown access.Credential) error {
	if err := c.authenticate(shown); err != nil {
		return err
	}
	if c.principal.Policy == "" {
		return unauthorized(errors.New("the token is not a policy's"))
	}
	return nil
}

// authenticate sets c.principal. Who holds a policy's key may know which devices there are; nobody else learns that here,
// nor which hubs.
func (c *call) authenticate(shown access.Credential) (err error) {
	shown.Peer = c.peer()
	c.principal, err = c.server.hub.Authenticate(c.ctx, shown)
	switch hubward.CodeOf(err) {
	case hubward.CodeHubNotFound:
		return unauthorized(err)
	case hubward.CodeDeviceNotFound, hubward.CodeModuleNotFound:
		if t, unread := sas.Parse(shown.Token); unread != nil || t.Policy == "" {
			return unauthorized(err)
		}
	}
	return err
}

// unauthorized hides a reason behind the one answer that every failed log-in gets.
func unauthorized(reason error) error {
	return &hubward.Error{Code: hubward.CodeUnauthorizedAccess, Message: texts[hubward.CodeUnauthorizedAccess], Err: reason}
}

func (c *call) token() string { return c.r.Header.Get("Authorization") }
