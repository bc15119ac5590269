// Package access decides who a peer is: it turns a shared access signature and the keys that could have made it into
// a Principal with rights. It is pure: keys and the time are passed in, nothing is looked up.
package access

import (
	"strings"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/sas"
)

// Rights are what a shared access policy permits; a set of bits. RegistryWrite implies RegistryRead.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-dev-guide-sas; the flags: Azure/azure-iot-sdk-csharp
// iothub/service/src/Common/Data/AccessRights.cs.
type Rights uint8

// The four rights of IoT Hub, with their documented flag values.
const (
	RegistryRead   Rights = 1
	RegistryWrite  Rights = 2 | RegistryRead
	ServiceConnect Rights = 4
	DeviceConnect  Rights = 8

	AllRights = RegistryWrite | ServiceConnect | DeviceConnect
)

var rightNames = []struct {
	right Rights
	name  string
}{
	{RegistryRead, "RegistryRead"}, {2, "RegistryWrite"}, {ServiceConnect, "ServiceConnect"}, {DeviceConnect, "DeviceConnect"},
}

// Has reports whether r holds all of want.
func (r Rights) Has(want Rights) bool { return r&want == want }

// Names lists the rights in the order of their flag values: what JSON and tables show.
func (r Rights) Names() []string {
	var names []string
	for _, n := range rightNames {
		if r&n.right != 0 && r.Has(n.right) {
			names = append(names, n.name)
		}
	}
	return names
}

// ParseRights reads names as Names writes them; "RegistryReadWrite", the portal's name, means RegistryWrite. Names are
// compared without case. An unknown name, or none at all, has CodeArgumentInvalid.
func ParseRights(names []string) (Rights, error) {
	var r Rights
	for _, name := range names {
		right, ok := parseRight(name)
		if !ok {
			return 0, hubward.Errorf(hubward.CodeArgumentInvalid, "%.40q is no right, rights are RegistryRead, RegistryWrite, ServiceConnect and DeviceConnect", name)
		}
		r |= right
	}
	if r == 0 {
		return 0, hubward.Errorf(hubward.CodeArgumentInvalid, "a policy needs at least one right")
	}
	return r, nil
}

func parseRight(name string) (Rights, bool) {
	switch strings.ToLower(name) {
	case "registryread":
		return RegistryRead, true
	case "registrywrite", "registryreadwrite":
		return RegistryWrite, true
	case "serviceconnect":
		return ServiceConnect, true
	case "deviceconnect":
		return DeviceConnect, true
	}
	return 0, false
}

// Policy is a shared access policy of a hub. Keys are base64 of 32 bytes.
type Policy struct {
	Name         string
	Rights       Rights
	PrimaryKey   string
	SecondaryKey string
}

// Scope says whose key authenticated a peer; it is the "scope" of iothub-connection-auth-method.
type Scope string

// The scopes.
const (
	ScopeHub    Scope = "hub"    // a policy of the hub
	ScopeDevice Scope = "device" // the device's own key or certificate
	ScopeModule Scope = "module"
)

// Principal is an authenticated peer.
type Principal struct {
	Hub     string
	Policy  string           // the policy's name, empty for device credentials
	Rights  Rights           // of the policy; DeviceConnect for a device
	Device  hubward.Identity // whom a device-side peer speaks for; zero for a service
	Scope   Scope
	Method  string    // "sas" or "x509"
	Expires time.Time // when the token ends; zero for certificates

	Generation string // the identity's generation id at log-in, which is stamped on its messages; empty for a service
}

// AuthMethod is the text of the iothub-connection-auth-method annotation.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-construct, anti-spoofing properties.
func (p *Principal) AuthMethod() string {
	return `{"scope":"` + string(p.Scope) + `","type":"` + p.Method + `","issuer":"iothub","acceptingIpFilterRule":null}`
}

// DeviceToken authenticates a device-side peer. device is the registry's entry for id. The token is signed with the
// device's key, or with that of a policy that has DeviceConnect. That it is for a host of this hub, the caller has checked.
//
// Errors: CodeUnauthorizedAccess with the reason in Err (never sent); the peer only learns that it was refused.
func DeviceToken(t *sas.Token, id hubward.Identity, device *hubward.Device, policies []Policy, now time.Time) (Principal, error) {
	if err := checkTime(t, now); err != nil {
		return Principal{}, err
	}
	p := Principal{Device: id, Method: "sas", Expires: t.Expiry, Rights: DeviceConnect, Generation: device.GenerationID}
	if t.Policy != "" {
		policy, err := verifyPolicy(t, policies, DeviceConnect)
		if err != nil {
			return Principal{}, err
		}
		p.Policy, p.Scope = policy.Name, ScopeHub
	} else {
		if err := verifyDevice(t, device); err != nil {
			return Principal{}, err
		}
		p.Scope = ScopeDevice
	}
	if !covers(t, id) {
		return Principal{}, refuse("the token is for another resource")
	}
	return p, nil
}

func verifyDevice(t *sas.Token, device *hubward.Device) error {
	auth := device.Authentication
	if auth == nil || auth.Type != hubward.AuthSAS {
		return refuse("the device does not authenticate with a key")
	}
	if !t.VerifyKey(string(auth.SymmetricKey.PrimaryKey)) && !t.VerifyKey(string(auth.SymmetricKey.SecondaryKey)) {
		return refuse("the signature does not match the device's keys")
	}
	return nil
}

func covers(t *sas.Token, id hubward.Identity) bool {
	if id.Module == "" {
		return t.Covers("devices", id.Device)
	}
	return t.Covers("devices", id.Device, "modules", id.Module)
}

// ServiceToken authenticates a service-side peer by a policy that has all of want, for the resource named by path
// (below the host; empty for the whole hub).
//
// Errors: as DeviceToken.
func ServiceToken(t *sas.Token, policies []Policy, want Rights, now time.Time, path ...string) (Principal, error) {
	if err := checkTime(t, now); err != nil {
		return Principal{}, err
	}
	policy, err := verifyPolicy(t, policies, want)
	if err != nil {
		return Principal{}, err
	}
	if !t.Covers(path...) {
		return Principal{}, refuse("the token is for another resource")
	}
	return Principal{Policy: policy.Name, Rights: policy.Rights, Scope: ScopeHub, Method: "sas", Expires: t.Expiry}, nil
}

func verifyPolicy(t *sas.Token, policies []Policy, want Rights) (*Policy, error) {
	for i := range policies {
		p := &policies[i]
		if p.Name != t.Policy {
			continue
		}
		if !t.VerifyKey(p.PrimaryKey) && !t.VerifyKey(p.SecondaryKey) {
			return nil, refuse("the signature does not match the policy's keys")
		}
		if !p.Rights.Has(want) {
			return nil, refuse("the policy lacks the right")
		}
		return p, nil
	}
	return nil, refuse("there is no such policy")
}

// checkTime refuses an expired token at once, without the five minutes of skew that .NET allows (MaxClockSkew): a
// reconnect storm with stale tokens ends in an error that the application sees.
func checkTime(t *sas.Token, now time.Time) error {
	if now.After(t.Expiry) {
		return refuse("the token has expired")
	}
	return nil
}

// refuse makes the one answer that all failed log-ins get, with the reason for the log alone.
func refuse(reason string) error {
	return &hubward.Error{Code: hubward.CodeUnauthorizedAccess, Message: "Unauthorized", Err: reasonError(reason)}
}

type reasonError string

func (r reasonError) Error() string { return string(r) }
