package access

import (
	"crypto/tls"
	"net/netip"

	"github.com/hubward/hubward"
)

// Peer is where a log-in comes from. The zero Peer is the program itself, or a test: no rule is about it.
type Peer struct {
	Address netip.Addr // unmapped
	TLS     uint16     // version, e.g. tls.VersionTLS12; 0: without TLS
}

// Switches turn ways to log in off.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-dev-guide-azure-ad-rbac, enforce Microsoft Entra authentication;
// learn.microsoft.com/azure/templates/microsoft.devices/iothubs (disableLocalAuth, disableDeviceSAS, disableModuleSAS,
// minTlsVersion, networkRuleSets); whose keys each of them is about:
// learn.microsoft.com/dotnet/api/azure.resourcemanager.iothub.models.iothubproperties.
type Switches struct {
	DisableLocalAuth bool   // no token or key of a policy lets anybody in, be it one that speaks for a device
	DisableDeviceSAS bool   // no token by a device's own key lets it in
	DisableModuleSAS bool   // no token by a module's own key lets anybody in, be it an Edge hub that acts for others
	MinTLS           uint16 // tls.VersionTLS12, tls.VersionTLS13; 0: any that the listener speaks, and none where it has none
	Network          NetworkRules
}

// NetworkRules say from which addresses peers come in.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-ip-filtering.
type NetworkRules struct {
	Allow  []netip.Prefix // nobody else; empty: everybody
	Events bool           // they count for readers of events too
}

// MaxNetworkRules bounds NetworkRules.Allow.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-quotas-throttling.
const MaxNetworkRules = 100

// Check sees that switches are such as there are. The addresses of rules are brought into their one form: those of IPv4 that are
// written as IPv6 become IPv4.
//
// Errors: CodeArgumentInvalid names the field, as the cloud's resource manager does.
func (s *Switches) Check() error {
	if s.MinTLS != 0 && s.MinTLS != tls.VersionTLS12 && s.MinTLS != tls.VersionTLS13 {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "minTlsVersion: %s is not 1.2 or 1.3", tls.VersionName(s.MinTLS))
	}
	if n := len(s.Network.Allow); n > MaxNetworkRules {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "networkRuleSets.ipRules: %d are more than %d", n, MaxNetworkRules)
	}
	if s.Network.Events && len(s.Network.Allow) == 0 {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "networkRuleSets.applyToBuiltInEventHubEndpoint: there is no rule to apply")
	}
	for i, p := range s.Network.Allow {
		if !p.IsValid() {
			return hubward.Errorf(hubward.CodeArgumentInvalid, "networkRuleSets.ipRules[%d].ipMask: it is no range of addresses", i)
		}
		if p != p.Masked() {
			return hubward.Errorf(hubward.CodeArgumentInvalid,
				"networkRuleSets.ipRules[%d].ipMask: %s has bits beyond its prefix, %s would be the range that it is in", i, p, p.Masked())
		}
		if p.Addr().Is4In6() { // then the prefix has 96 bits and more: it would have bits beyond it
			s.Network.Allow[i] = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
	}
	return nil
}

// Door says what a peer wants to come in for: rules may differ.
type Door int

// The doors. Who comes in by DoorHub may do what the others are for, too.
const (
	DoorHub        Door = iota // devices, modules, back ends
	DoorEvents                 // readers of events
	DoorManagement             // who manages hubs. It is always open, so that nobody locks themself out
)

// Admit sees that a peer may come in at all, whoever it is.
//
// Errors: CodeUnauthorizedAccess, with the reason in Err.
func (a *Admission) Admit(peer Peer, door Door) error {
	if door == DoorManagement || peer == (Peer{}) {
		return nil
	}
	if peer.TLS < a.Switches.MinTLS {
		return refusef(ReasonTLS, "the peer does not speak %s", tls.VersionName(a.Switches.MinTLS))
	}
	rules := &a.Switches.Network
	if len(rules.Allow) == 0 || door == DoorEvents && !rules.Events {
		return nil
	}
	address := peer.Address.WithZone("")
	for _, p := range rules.Allow {
		if p.Contains(address) {
			return nil
		}
	}
	return refusef(ReasonAddress, "no rule allows the address %s", address)
}

// admitsSAS sees that the kind of key that let a principal in is not turned off.
func (a *Admission) admitsSAS(p *Principal) error {
	s := &a.Switches
	switch {
	case p.door == DoorManagement:
		return nil
	case p.Scope == ScopeHub && s.DisableLocalAuth:
		return Refuse(ReasonSwitchedOff, "the keys of policies are turned off")
	case p.Scope == ScopeDevice && s.DisableDeviceSAS:
		return Refuse(ReasonSwitchedOff, "the keys of devices are turned off")
	case p.Scope == ScopeModule && s.DisableModuleSAS:
		return Refuse(ReasonSwitchedOff, "the keys of modules are turned off")
	}
	return nil
}

// From returns p as that of a peer which has come in by a door.
func (p *Principal) From(peer Peer, door Door) Principal {
	next := *p
	next.peer, next.door = peer, door
	return next
}

// Enters reports whether p may do what a door is for.
func (p *Principal) Enters(door Door) bool { return p.door == DoorHub || p.door == door }
