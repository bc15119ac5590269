package access

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hubward/hubward"
)

// minRSABits is the least strength of keys that is taken.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-tls-support; NIST SP 800-57 part 1, table 4.
const minRSABits = 2048

// StrongKey reports whether a certificate's key is of a kind and of a strength that log-ins take: RSA from 2048 bits on, ECDSA on
// P-256, P-384 and P-521, and Ed25519.
func StrongKey(c *x509.Certificate) bool { return strongKey(c) }

func strongKey(c *x509.Certificate) bool {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey:
		return key.Curve != elliptic.P224()
	case ed25519.PublicKey:
		return true
	}
	return false
}

// checkCommonName sees that a certificate is of an identity: its common name is the id, for a module device/module, in the same
// case. A certificate with several common names is refused: which one counts, programs do not agree.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-x509-certificate-concepts.
func checkCommonName(leaf *x509.Certificate, id hubward.Identity) error {
	names := 0
	for _, a := range leaf.Subject.Names {
		if a.Type.Equal(oidCommonName) {
			names++
		}
	}
	if names != 1 {
		return refusef(ReasonCommonName, "the certificate has %d common names", names)
	}
	if leaf.Subject.CommonName != id.String() {
		return refusef(ReasonCommonName, "the certificate is of %.260q", leaf.Subject.CommonName)
	}
	return nil
}

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// authorityGroup are authorities by what paths look for.
type authorityGroup struct {
	pool          *x509.CertPool
	byCertificate map[string]*Authority          // DER
	bySubject     map[string][]*x509.Certificate // DER of the name
}

func newAuthorityGroup() authorityGroup {
	return authorityGroup{x509.NewCertPool(), make(map[string]*Authority), make(map[string][]*x509.Certificate)}
}

func (g *authorityGroup) add(a *Authority) {
	c := a.Certificate
	g.pool.AddCert(c)
	g.byCertificate[string(c.Raw)] = a
	g.bySubject[string(c.RawSubject)] = append(g.bySubject[string(c.RawSubject)], c)
}

// errNoWay means that no authority of the group has the name of an issuer in the chain.
var errNoWay = errors.New("no authority of the hub has issued any of the certificates")

// paths verifies a chain: each certificate is within its time, those above the leaf are authorities and may have as many below
// them as there are, and the leaf is for the authentication of clients, or for anything.
//
// Errors: errNoWay, tooManyWays, those of x509.
func (g *authorityGroup) paths(chain []*x509.Certificate, now time.Time) ([]*Path, error) {
	var above []*x509.Certificate
	for _, c := range chain[1:] {
		if strongKey(c) && !slices.ContainsFunc(above, c.Equal) {
			above = append(above, c)
		}
	}
	checks, found := g.countChecks([]*x509.Certificate{chain[0]}, above)
	switch {
	case checks > maxChecks:
		return nil, errTooManyWays
	case !found:
		return nil, errNoWay
	}
	pool := x509.NewCertPool()
	for _, c := range above {
		pool.AddCert(c)
	}
	chains, err := chain[0].Verify(x509.VerifyOptions{
		Roots: g.pool, Intermediates: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, err
	}
	var paths []*Path
	for _, certs := range chains {
		if a := g.byCertificate[string(certs[len(certs)-1].Raw)]; a != nil {
			paths = append(paths, newPath(certs, a))
		}
	}
	return paths, nil
}

var errTooManyWays = errors.New("the certificates can be put together in too many ways")

// countChecks counts the signatures that building paths on may come to check, by names alone, and stops above maxChecks. found
// reports whether one of the ways ends at an authority.
func (g *authorityGroup) countChecks(path, above []*x509.Certificate) (checks int, found bool) {
	last := path[len(path)-1]
	roots := g.bySubject[string(last.RawIssuer)]
	checks, found = len(roots), len(roots) > 0 || g.byCertificate[string(last.Raw)] != nil
	for _, c := range above {
		if checks > maxChecks {
			break
		}
		if !bytes.Equal(c.RawSubject, last.RawIssuer) || slices.ContainsFunc(path, c.Equal) {
			continue
		}
		more, ends := g.countChecks(append(slices.Clip(path), c), above)
		checks, found = checks+1+more, found || ends
	}
	return checks, found
}

// explain says why a chain has no path to an authority that lets it in.
func (s *authoritySet) explain(chain []*x509.Certificate, err error, now time.Time) error {
	if errors.Is(err, errTooManyWays) {
		return Refuse(ReasonChain, err.Error())
	}
	if err := checkTimes(chain[0], now); err != nil {
		return err
	}
	if paths, err := s.refusing.paths(chain, now); err == nil && len(paths) > 0 {
		if a := paths[0].authority; a.Disabled {
			return refusef(ReasonAuthorityDisabled, "the authority %s is disabled", a.Name)
		}
		return refusef(ReasonAuthorityUnverified, "who registered the authority %s has not shown that they hold its key", paths[0].authority.Name)
	}
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage {
		return Refuse(ReasonUsage, "the certificate, or one above it, is not for the authentication of clients")
	}
	return s.explainStep(chain, err, now)
}

// explainStep goes from the leaf upwards to the first certificate that is at fault.
func (s *authoritySet) explainStep(chain []*x509.Certificate, err error, now time.Time) error {
	at := chain[0]
	for range chain {
		next, registered := s.issuerOf(at, chain[1:])
		if next == nil {
			return refusef(ReasonAuthority, "no authority of the hub has issued a certificate above it: there is none called %s", nameOf(&at.Issuer))
		}
		if err := checkTimes(next, now); err != nil {
			return err
		}
		if !strongKey(next) {
			return refusef(ReasonWeak, "the key of %s is too weak, or of a kind that is not taken", nameOf(&next.Subject))
		}
		if bad := at.CheckSignatureFrom(next); bad != nil {
			var weak x509.InsecureAlgorithmError
			if errors.As(bad, &weak) {
				return refusef(ReasonWeak, "the signature of %s is too weak: %v", nameOf(&at.Subject), bad)
			}
			return refusef(ReasonChain, "%s has not issued %s: %v", nameOf(&next.Subject), nameOf(&at.Subject), bad)
		}
		if registered {
			break
		}
		at = next
	}
	return refusef(ReasonChain, "the certificates are not good: %.300s", err.Error())
}

// issuerOf returns the first certificate with the name of at's issuer, of an authority that lets somebody in, or of those sent.
func (s *authoritySet) issuerOf(at *x509.Certificate, sent []*x509.Certificate) (c *x509.Certificate, registered bool) {
	if roots := s.admitting.bySubject[string(at.RawIssuer)]; len(roots) > 0 {
		return roots[0], true
	}
	for _, c := range sent {
		if c != at && bytes.Equal(c.RawSubject, at.RawIssuer) && !c.Equal(at) {
			return c, false
		}
	}
	return nil, false
}

func checkTimes(c *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(c.NotBefore):
		return refusef(ReasonNotYetValid, "the certificate of %s is not valid before %s", nameOf(&c.Subject), c.NotBefore.Format(time.RFC3339))
	case now.After(c.NotAfter):
		return refusef(ReasonExpired, "the certificate of %s has expired on %s", nameOf(&c.Subject), c.NotAfter.Format(time.RFC3339))
	}
	return nil
}

// nameOf is a name as logs show it: quoted, for it is anybody's to write.
func nameOf(n *pkix.Name) string { return fmt.Sprintf("%.200q", n.String()) }

func refusef(reason Reason, format string, args ...any) error {
	return Refuse(reason, fmt.Sprintf(format, args...))
}
