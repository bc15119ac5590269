package access

import "time"

// Admission is what a hub's configuration lets in, beside what its registry and its policies say. It is made anew with each change
// of the configuration, and never changed. The zero Admission has no authority, and refuses nobody else.
type Admission struct {
	Authorities Authorities
	Revoked     Revoked // nil: nothing is
	Switches    Switches
}

// Revoked reports whether a certificate of a path is on a list of revoked ones. nil: none ever is.
type Revoked func(p *Path) bool

func (r Revoked) any(p *Path) bool { return r != nil && r(p) }

// Admits sees that a principal that was let in before still would be: its way to log in is not turned off since, its peer has come
// by a door that is open to it, its certificate's authority is still there, and the certificate is not revoked. What its identity's registry entry says is not looked at.
//
// Errors: CodeUnauthorizedAccess, with the reason in Err.
func (a *Admission) Admits(p *Principal, now time.Time) error {
	if p.process {
		return nil
	}
	if err := a.Admit(p.peer, p.door); err != nil {
		return err
	}
	if p.path == nil {
		return a.admitsSAS(p)
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
