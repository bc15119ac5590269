package access

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"sync"
	"time"
)

const (
	// maxChain and maxChainBytes bound what is looked at of a client's certificates: a leaf, and what may be above it.
	maxChain      = 10
	maxChainBytes = 32 << 10
	// maxChecks bounds the signatures that one look at a chain checks. Certificates that may be put together in more ways are
	// refused before any signature is looked at: they are anybody's to make.
	maxChecks = 32
	// maxRemembered bounds the chains that are remembered as verified: some 100 bytes each.
	maxRemembered = 1 << 16
)

// Authority is a certificate authority of a hub as log-ins look at it.
type Authority struct {
	Name        string
	Certificate *x509.Certificate // of a root, or of an authority below one: what is above it is not looked at
	Verified    bool              // else it lets nobody in
	Disabled    bool              // it lets nobody in
}

// Authorities are the certificate authorities of a hub. They remember which chains they have verified, so that who comes back with
// the same certificates costs a hash; copies share that. The zero value has no authority. They are safe for concurrent use.
type Authorities struct{ set *authoritySet }

type authoritySet struct {
	admitting, refusing authorityGroup

	mu         sync.Mutex // guards remembered; a leaf
	remembered map[chainHash]remembered
}

// NewAuthorities makes Authorities of all that a hub has: those that let nobody in are known too, to say why.
func NewAuthorities(all []Authority) Authorities {
	s := &authoritySet{
		admitting: newAuthorityGroup(), refusing: newAuthorityGroup(), remembered: make(map[chainHash]remembered),
	}
	for i := range all {
		if a := &all[i]; a.Verified && !a.Disabled {
			s.admitting.add(a)
		} else {
			s.refusing.add(a)
		}
	}
	return Authorities{s}
}

// Path is a path of certificates that let a principal in: leaf first, each followed by that of its issuer. The last is an
// authority's; of who authenticates with a thumbprint there is the leaf alone, and no authority.
type Path struct {
	Certificates []*x509.Certificate
	authority    *Authority
	from, until  time.Time // in which all of them are valid
}

func newPath(certs []*x509.Certificate, authority *Authority) *Path {
	p := &Path{Certificates: certs, authority: authority, from: certs[0].NotBefore, until: certs[0].NotAfter}
	for _, c := range certs[1:] {
		if c.NotBefore.After(p.from) {
			p.from = c.NotBefore
		}
		if c.NotAfter.Before(p.until) {
			p.until = c.NotAfter
		}
	}
	return p
}

// admits reports whether the authority that a path ends at is still one that lets somebody in, by whatever name.
func (a Authorities) admits(p *Path) bool {
	return a.set != nil && p.authority != nil && a.set.admitting.byCertificate[string(p.authority.Certificate.Raw)] != nil
}

// verify finds a path from the first certificate of a chain that a client has sent, over the others in whatever order, to an
// authority, on which nothing is revoked. The work is bounded, whatever the chain.
//
// Errors: CodeUnauthorizedAccess, with the reason in Err.
func (a Authorities) verify(chain []*x509.Certificate, revoked Revoked, now time.Time) (*Path, error) {
	if a.set == nil {
		return nil, Refuse(ReasonAuthority, "the hub has no certificate authority")
	}
	if err := checkChain(chain); err != nil {
		return nil, err
	}
	key := hashOf(chain)
	if p := a.set.recall(key, chain, now); p != nil && !revoked.any(p) {
		return p, nil
	}
	paths, err := a.set.admitting.paths(chain, now)
	if err != nil {
		return nil, a.set.explain(chain, err, now)
	}
	for _, p := range paths {
		if !revoked.any(p) {
			a.set.remember(key, chain, p)
			return p, nil
		}
	}
	return nil, refusef(ReasonRevoked, "certificate %x of %s, or one above it, is revoked", chain[0].SerialNumber, nameOf(&chain[0].Issuer))
}

func checkChain(chain []*x509.Certificate) error {
	size := 0
	for _, c := range chain {
		size += len(c.Raw)
	}
	if len(chain) > maxChain || size > maxChainBytes {
		return refusef(ReasonChain, "%d certificates of %d bytes: %d and %d bytes are taken", len(chain), size, maxChain, maxChainBytes)
	}
	if !strongKey(chain[0]) {
		return Refuse(ReasonWeak, "the certificate's key is too weak, or of a kind that is not taken")
	}
	return nil
}

// chainHash is SHA-256 of the certificates of a chain, as they were sent.
type chainHash [sha256.Size]byte

func hashOf(chain []*x509.Certificate) (sum chainHash) {
	h := sha256.New()
	var length [4]byte
	for _, c := range chain {
		binary.BigEndian.PutUint32(length[:], uint32(len(c.Raw)))
		h.Write(length[:])
		h.Write(c.Raw)
	}
	h.Sum(sum[:0])
	return sum
}

// remembered is a path, without what the next client of the same chain sends again.
type remembered struct {
	places      []uint8 // of the path's certificates in the chain, without the authority's
	authority   *Authority
	from, until time.Time
}

// recall returns the path of a chain that was verified before, if all of it is still valid; nil: there is none.
func (s *authoritySet) recall(key chainHash, chain []*x509.Certificate, now time.Time) *Path {
	s.mu.Lock()
	r, ok := s.remembered[key]
	s.mu.Unlock()
	if !ok || now.Before(r.from) || now.After(r.until) {
		return nil
	}
	p := &Path{Certificates: make([]*x509.Certificate, 0, len(r.places)+1), authority: r.authority, from: r.from, until: r.until}
	for _, place := range r.places {
		p.Certificates = append(p.Certificates, chain[place])
	}
	if len(p.Certificates) == 0 || !p.Certificates[len(p.Certificates)-1].Equal(r.authority.Certificate) {
		p.Certificates = append(p.Certificates, r.authority.Certificate)
	}
	return p
}

// remember keeps a path. When there are too many, it takes the place of any other.
func (s *authoritySet) remember(key chainHash, chain []*x509.Certificate, p *Path) {
	r := remembered{authority: p.authority, from: p.from, until: p.until}
	for _, c := range p.Certificates {
		for i := range chain {
			if chain[i] == c || chain[i].Equal(c) {
				r.places = append(r.places, uint8(i))
				break
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, again := s.remembered[key]; !again && len(s.remembered) >= maxRemembered {
		for other := range s.remembered {
			delete(s.remembered, other)
			break
		}
	}
	s.remembered[key] = r
}
