package access

import (
	"net/netip"
	"time"
)

// Peer is where a log-in comes from. The zero Peer is the program itself, or a test: no rule is about it.
type Peer struct {
	Address netip.Addr // unmapped
	TLS     uint16     // version, e.g. tls.VersionTLS12; 0: without TLS
}

// Admission is what a hub's configuration lets in, beside what its registry and its policies say. It is made anew with each change
// of the configuration, and never changed. The zero Admission has no authority, and refuses nobody else.
type Admission struct {
	Authorities Authorities
	Revoked     Revoked // nil: nothing is
	Switches    Switches
}

// Switches turn ways to log in off.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-dev-guide-azure-ad-rbac, enforce Microsoft Entra authentication;
// learn.microsoft.com/azure/templates/microsoft.devices/iothubs (disableLocalAuth, disableDeviceSAS, disableModuleSAS,
// minTlsVersion, networkRuleSets).
type Switches struct {
	DisableLocalAuth bool   // no policy's token or key lets anybody in
	DisableDeviceSAS bool   // no token lets a device in
	DisableModuleSAS bool   // no token lets a module in
	MinTLS           uint16 // e.g. tls.VersionTLS13; 0: any that the listener speaks
	Network          NetworkRules
}

// NetworkRules say from which addresses peers come in.
type NetworkRules struct {
	Allow  []netip.Prefix // nobody else; empty: everybody
	Events bool           // they count for readers of events too
}

// Revoked reports whether a certificate of a path is on a list of revoked ones. nil: none ever is.
type Revoked func(p *Path) bool

func (r Revoked) any(p *Path) bool { return r != nil && r(p) }

// Door says what a peer wants to come in for: rules may differ.
type Door int

// The doors.
const (
	DoorHub    Door = iota // devices, modules, back ends
	DoorEvents             // readers of events
)

// Admit sees that a peer may come in at all, whoever it is.
//
// Errors: CodeUnauthorizedAccess, with the reason in Err.
func (a *Admission) Admit(peer Peer, door Door) error { return nil }

// Admits sees that a principal that was let in before still would be: its way to log in is not turned off since, its certificate's
// authority is still there, and the certificate is not revoked. What its identity's registry entry says is not looked at.
//
// Errors: CodeUnauthorizedAccess, with the reason in Err.
func (a *Admission) Admits(p *Principal, now time.Time) error {
	if p.path == nil {
		return nil
	}
	_, err := a.admitsPath(p, now)
	return err
}

// admitsPath returns the path by which a principal of a certificate is let in now: mostly the one that it has. No signature is
// checked as long as that one's authority is there.
func (a *Admission) admitsPath(p *Principal, now time.Time) (*Path, error) {
	if p.path.authority == nil { // a thumbprint
		if err := a.checkLeaf(p.path, now); err != nil {
			return nil, err
		}
		return p.path, nil
	}
	inTime := !now.Before(p.path.from) && !now.After(p.path.until)
	if inTime && a.Authorities.admits(p.path) && !a.Revoked.any(p.path) {
		return p.path, nil
	}
	return a.Authorities.verify(p.chain, a.Revoked, now)
}

// checkLeaf looks at the certificate of who authenticates with a thumbprint.
func (a *Admission) checkLeaf(p *Path, now time.Time) error {
	leaf := p.Certificates[0]
	if err := checkTimes(leaf, now); err != nil {
		return err
	}
	if a.Revoked.any(p) {
		return refusef(ReasonRevoked, "certificate %x of %s is revoked", leaf.SerialNumber, nameOf(&leaf.Issuer))
	}
	return nil
}
