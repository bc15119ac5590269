package access

import (
	"crypto/x509"
	"strings"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/sas"
)

// HubRef names a hub. Created tells it from a later one of the same name: who was let into the one may do nothing in the
// other.
type HubRef struct {
	Name    string
	Created time.Time
}

// Credential is what a peer shows to be let in: a token, a policy's key, or a client certificate. The first that is there
// counts.
type Credential struct {
	// Hub is the name of the hub that the peer wants. Empty: the hub whose host the token names, or the one that has such a
	// policy with such a key.
	Hub string
	// Identity is whom the peer says it is; the zero one: the token alone tells. With it, the principal speaks for this
	// identity and no other.
	Identity hubward.Identity
	// OnBehalf says that the peer may be an Edge hub, which logs in for Identity by its own token. Chain is what it says of how
	// Identity is below it, see access.Chain. Empty: it says nothing, as Edge hubs of earlier versions do; then the registry
	// alone tells.
	OnBehalf bool
	Chain    string

	Token        string              // a shared access signature, the whole text
	Policy, Key  string              // a policy's name, and the text of one of its keys
	Certificates []*x509.Certificate // the client's chain, leaf first; TLS has seen that it holds the leaf's key. Needs Identity

	Peer Peer // where it comes from
	Door Door // what it comes for, at the least
}

// Scope says whose key authenticated a peer; it is the "scope" of iothub-connection-auth-method.
type Scope string

// The scopes.
const (
	ScopeHub    Scope = "hub"    // a policy of the hub
	ScopeDevice Scope = "device" // the device's own key or certificate
	ScopeModule Scope = "module"
)

// Principal is who was let in, and what that allows. The zero Principal may do nothing.
type Principal struct {
	Hub         HubRef
	Policy      string           // the policy's name; empty when the credential is the identity's own
	Permissions Permissions      // of the policy; DeviceConnect for an identity
	Identity    hubward.Identity // the only one that it speaks for; zero: a policy, which may speak for any
	Actor       hubward.Identity // the Edge hub that speaks for Identity, by its own token; zero: nobody does
	Scope       Scope
	Method      string    // "sas" or "x509"
	Expires     time.Time // when the token ends, or the first of the certificates; zero: they do not
	Verified    time.Time // when the registry was last asked about Identity; zero: never
	Generation  string    // the identity's generation id, which is stamped on its messages; empty without an identity

	token   *sas.Token          // nil: let in without a token
	chain   []*x509.Certificate // as the client sent it, leaf first; nil: let in without a certificate
	path    *Path               // of chain; nil: as chain
	peer    Peer                // where it came from
	door    Door                // by which it came
	process bool                // the program itself

	actorGeneration string // the generation id of Actor
}

// Process is the principal of the program itself, which asks nobody: it may do everything in every hub that there is.
func Process(hub HubRef) *Principal {
	return &Principal{Hub: hub, Permissions: AllPermissions, Scope: ScopeHub, process: true}
}

// IsProcess reports whether p was made by Process.
func (p *Principal) IsProcess() bool { return p.process }

// Allows reports whether p has all of want for the resource that path names below the host, e.g. "devices", "d1" or the
// hub's name, "ConsumerGroups", "$Default". An identity's own principal has DeviceConnect for itself alone, which does not
// include a device's modules. Whether p has expired is not looked at.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-dev-guide-sas: a token is good for its resource and what is below it.
func (p *Principal) Allows(want Permissions, path ...string) bool {
	if !p.Permissions.Has(want) || p.Identity != (hubward.Identity{}) && !isOf(p.Identity, path) {
		return false
	}
	// A token by which an Edge hub acts for others is for the Edge hub itself.
	return p.token == nil || p.Actor != (hubward.Identity{}) || p.token.Covers(path...)
}

// isOf reports whether path is that of an identity, or below it.
func isOf(id hubward.Identity, path []string) bool {
	if len(path) < 2 || !strings.EqualFold(path[0], "devices") || path[1] != id.Device {
		return false
	}
	ofModule := len(path) > 2 && strings.EqualFold(path[2], "modules")
	if id.Module == "" {
		return !ofModule
	}
	return ofModule && len(path) > 3 && path[3] == id.Module
}

// PathOf is the path below the host of what an identity owns.
func PathOf(id hubward.Identity) []string {
	if id.Module == "" {
		return []string{"devices", id.Device}
	}
	return []string{"devices", id.Device, "modules", id.Module}
}

// Authority is the name of the certificate authority that p was let in by; empty without one.
func (p *Principal) Authority() string {
	if p.path == nil || p.path.authority == nil {
		return ""
	}
	return p.path.authority.Name
}

// Expired reports whether p's token or certificate has ended at now. What p began before may go on for the hub's grace period.
func (p *Principal) Expired(now time.Time) bool { return !p.Expires.IsZero() && now.After(p.Expires) }

// AuthMethod is the text of the iothub-connection-auth-method annotation.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-construct, anti-spoofing properties; what the cloud says of a
// certificate: gloveboxes/azure_sphere_co2_monitor, DEMO.md.
func (p *Principal) AuthMethod() string {
	kind, issuer := p.Method, "iothub"
	if p.path != nil {
		kind, issuer = "x509Certificate", "external"
	}
	return `{"scope":"` + string(p.Scope) + `","type":"` + kind + `","issuer":"` + issuer + `","acceptingIpFilterRule":null}`
}

// Speak returns the principal for one identity, of which entry is the registry's at this moment: what an identity's own
// principal was let in on may have been replaced since. A policy's principal stays what it was. a is what the hub lets in now.
// Of p.Actor, see VerifyActor, nothing is looked at here.
//
// Errors: CodeUnauthorizedAccess with the reason in Err.
func (p *Principal) Speak(id hubward.Identity, entry *hubward.Device, a *Admission, now time.Time) (Principal, error) {
	if !p.Allows(DeviceConnect, PathOf(id)...) {
		return Principal{}, Refuse(ReasonResource, "the log-in is not for the identity")
	}
	if entry.Status == hubward.StatusDisabled {
		return Principal{}, Refuse(ReasonDisabled, "the identity is disabled")
	}
	next := *p
	next.Identity, next.Permissions, next.Verified = id, DeviceConnect, now
	switch {
	case p.Policy != "" || p.process:
		next.Generation = entry.GenerationID
		return next, nil
	case p.Generation != entry.GenerationID:
		return Principal{}, Refuse(ReasonUnknown, "the identity was registered anew since the log-in")
	case p.Actor != (hubward.Identity{}):
		return next, nil
	case p.chain != nil:
		path, err := a.verifyAgain(p, entry, now)
		if err != nil {
			return Principal{}, err
		}
		next.path, next.Expires = path, path.until
		return next, nil
	}
	return next, verifyOwn(p.token, entry)
}
