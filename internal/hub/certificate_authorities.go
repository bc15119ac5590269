package hub

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/pki"
)

// maxAuthorities bounds the certificate authorities of a hub.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-quotas-throttling.
const maxAuthorities = 25

// verificationCodeSize is the size of a verification code, in bytes; it is written in hexadecimal digits.
const verificationCodeSize = 24

// Authority is a certificate authority as a hub's configuration keeps it.
type Authority struct {
	Name             string
	Certificate      []byte // DER
	Verified         bool
	Disabled         bool
	VerificationCode string // empty: none was asked for
	Created, Updated time.Time
	ETag             string
}

// CertificateAuthorities returns a hub's authorities, by name. p is the operator's or the hub's owner's, here and below.
//
// Errors: CodeNoSuchHub.
func (h *Hub) CertificateAuthorities(p *access.Principal, hub string) ([]hubward.CertificateAuthority, error) {
	c, err := h.authoritiesFor(p, hub)
	if err != nil {
		return nil, err
	}
	var all []hubward.CertificateAuthority
	for i := range c.Authorities {
		all = append(all, *viewOf(&c.Authorities[i]))
	}
	return all, nil
}

// CertificateAuthority returns one authority. Errors: CodeNoSuchHub, CodeNoSuchAuthority.
func (h *Hub) CertificateAuthority(p *access.Principal, hub, name string) (*hubward.CertificateAuthority, error) {
	c, err := h.authoritiesFor(p, hub)
	if err != nil {
		return nil, err
	}
	i, found := c.findAuthority(name)
	if !found {
		return nil, noSuchAuthority(name)
	}
	return viewOf(&c.Authorities[i]), nil
}

func (h *Hub) authoritiesFor(p *access.Principal, hub string) (*Config, error) {
	if err := h.permitOwner(p, hub); err != nil {
		return nil, err
	}
	_, c, err := h.find(hub)
	return c, err
}

// PutCertificateAuthority registers an authority (ifMatch "") or replaces its certificate (ifMatch "*" or an etag), which ends the
// connections that came by the old one alone. certificate is PEM or DER, or base64 of either. Unless verified, whoever registers it
// has to prove that they hold its key (CreateVerificationCode, VerifyCertificateAuthority) before it lets anybody in.
//
// Errors: CodeNoSuchHub; CodeArgumentInvalid names the field; CodePreconditionFailed, also for an authority that is there and no
// etag; CodeQuotaExceeded beyond 25.
func (h *Hub) PutCertificateAuthority(ctx context.Context, p *access.Principal, hub, name string, certificate []byte, verified bool, ifMatch string) (*hubward.CertificateAuthority, error) {
	if err := h.permitOwner(p, hub); err != nil {
		return nil, err
	}
	if err := checkAuthorityName(name); err != nil {
		return nil, err
	}
	cert, err := h.parseAuthority(certificate)
	if err != nil {
		return nil, err
	}
	next := Authority{Name: name, Certificate: cert.Raw, Verified: verified}
	return h.editAuthorities(ctx, hub, func(c *Config) (*Authority, error) {
		for i := range c.Authorities {
			if a := &c.Authorities[i]; a.Name != name && slices.Equal(a.Certificate, next.Certificate) {
				return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "certificate: it is that of the authority %s already", a.Name)
			}
		}
		i, found := c.findAuthority(name)
		if !found {
			return c.addAuthority(i, next, ifMatch)
		}
		old := &c.Authorities[i]
		if err := old.checkMatch(cmp.Or(ifMatch, noETag)); err != nil {
			return nil, err
		}
		old.Verified = verified || old.Verified && slices.Equal(old.Certificate, next.Certificate)
		old.Certificate, old.VerificationCode = next.Certificate, ""
		return old, nil
	})
}

// parseAuthority reads the certificate of an authority, and sees that it is fit to be one.
func (h *Hub) parseAuthority(text []byte) (*x509.Certificate, error) {
	cert, err := pki.ParseCertificate(text)
	switch {
	case err != nil:
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "certificate: %v", err)
	case !cert.IsCA || !cert.BasicConstraintsValid:
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "certificate: it is not an authority's: its basic constraints do not say CA:TRUE")
	case cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "certificate: it is not an authority's: its key usage is not to sign certificates")
	case h.now().After(cert.NotAfter):
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "certificate: it has expired on %s", cert.NotAfter.Format(time.RFC3339))
	case !access.StrongKey(cert):
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "certificate: its key is not RSA with 2048 bits or more, ECDSA on P-256, P-384 or P-521, or Ed25519")
	}
	return cert, nil
}

// addAuthority adds one behind i others.
func (c *Config) addAuthority(i int, a Authority, ifMatch string) (*Authority, error) {
	if ifMatch != "" {
		return nil, hubward.Errorf(hubward.CodePreconditionFailed, "there is no authority %.64q to replace", a.Name)
	}
	if len(c.Authorities) >= maxAuthorities {
		return nil, hubward.Errorf(hubward.CodeQuotaExceeded, "a hub has up to %d certificate authorities", maxAuthorities)
	}
	c.Authorities = slices.Insert(c.Authorities, i, a)
	return &c.Authorities[i], nil
}

// DeleteCertificateAuthority removes an authority, and ends the connections that came by it, on all nodes.
//
// Errors: CodeNoSuchHub; CodeNoSuchAuthority; CodePreconditionFailed.
func (h *Hub) DeleteCertificateAuthority(ctx context.Context, p *access.Principal, hub, name, ifMatch string) error {
	if err := h.permitOwner(p, hub); err != nil {
		return err
	}
	_, err := h.editHub(ctx, hub, func(_ *state, c *Config) error {
		i, found := c.findAuthority(name)
		if !found {
			return noSuchAuthority(name)
		}
		if err := c.Authorities[i].checkMatch(ifMatch); err != nil {
			return err
		}
		c.Authorities = slices.Delete(c.Authorities, i, i+1)
		return nil
	})
	return err
}

// DisableCertificateAuthority turns an authority off, which ends the connections that came by it, or on again.
//
// Errors: CodeNoSuchHub; CodeNoSuchAuthority; CodePreconditionFailed.
func (h *Hub) DisableCertificateAuthority(ctx context.Context, p *access.Principal, hub, name, ifMatch string, disabled bool) (*hubward.CertificateAuthority, error) {
	if err := h.permitOwner(p, hub); err != nil {
		return nil, err
	}
	return h.editAuthority(ctx, hub, name, ifMatch, func(a *Authority) error {
		a.Disabled = disabled
		return nil
	})
}

// CreateVerificationCode makes a new code for an authority: a certificate with it as its common name, signed with the
// authority's key, proves who holds that key.
//
// Errors: CodeNoSuchHub; CodeNoSuchAuthority; CodePreconditionFailed.
func (h *Hub) CreateVerificationCode(ctx context.Context, p *access.Principal, hub, name, ifMatch string) (*hubward.CertificateAuthority, error) {
	if err := h.permitOwner(p, hub); err != nil {
		return nil, err
	}
	raw := make([]byte, verificationCodeSize)
	if _, err := io.ReadFull(h.rand, raw); err != nil {
		return nil, hubward.Wrap(hubward.CodeServerError, "hub.CreateVerificationCode", err)
	}
	return h.editAuthority(ctx, hub, name, ifMatch, func(a *Authority) error {
		a.VerificationCode = strings.ToUpper(hex.EncodeToString(raw))
		return nil
	})
}

// VerifyCertificateAuthority takes the proof, in the forms of PutCertificateAuthority. The code may be in either case: certificates
// are made by hand.
//
// Errors: CodeNoSuchHub; CodeNoSuchAuthority; CodeArgumentInvalid when it proves nothing; CodePreconditionFailed.
func (h *Hub) VerifyCertificateAuthority(ctx context.Context, p *access.Principal, hub, name string, proof []byte, ifMatch string) (*hubward.CertificateAuthority, error) {
	if err := h.permitOwner(p, hub); err != nil {
		return nil, err
	}
	cert, err := pki.ParseCertificate(proof)
	if err != nil {
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "certificate: %v", err)
	}
	return h.editAuthority(ctx, hub, name, ifMatch, func(a *Authority) error {
		if err := a.checkProof(cert, h.now()); err != nil {
			return err
		}
		a.Verified, a.VerificationCode = true, ""
		return nil
	})
}

func (a *Authority) checkProof(proof *x509.Certificate, now time.Time) error {
	cert, err := x509.ParseCertificate(a.Certificate)
	if err != nil {
		return err
	}
	switch {
	case a.VerificationCode == "":
		return hubward.Errorf(hubward.CodeArgumentInvalid, "certificate: the authority has no verification code: have one made first")
	case !strings.EqualFold(proof.Subject.CommonName, a.VerificationCode):
		return hubward.Errorf(hubward.CodeArgumentInvalid, "certificate: its common name is %.70q, not the verification code", proof.Subject.CommonName)
	case now.Before(proof.NotBefore) || now.After(proof.NotAfter):
		return hubward.Errorf(hubward.CodeArgumentInvalid, "certificate: it is valid from %s until %s, not now", proof.NotBefore.Format(time.RFC3339), proof.NotAfter.Format(time.RFC3339))
	}
	if err := proof.CheckSignatureFrom(cert); err != nil {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "certificate: it is not signed with the authority's key: %v", err)
	}
	return nil
}

// editAuthority changes one authority that is there.
func (h *Hub) editAuthority(ctx context.Context, hub, name, ifMatch string, edit func(*Authority) error) (*hubward.CertificateAuthority, error) {
	return h.editAuthorities(ctx, hub, func(c *Config) (*Authority, error) {
		i, found := c.findAuthority(name)
		if !found {
			return nil, noSuchAuthority(name)
		}
		a := &c.Authorities[i]
		if err := a.checkMatch(ifMatch); err != nil {
			return nil, err
		}
		return a, edit(a)
	})
}

// editAuthorities changes a hub's authorities. edit returns the one that it has changed, or added.
func (h *Hub) editAuthorities(ctx context.Context, hub string, edit func(*Config) (*Authority, error)) (*hubward.CertificateAuthority, error) {
	etag, err := h.newETag()
	if err != nil {
		return nil, err
	}
	var view *hubward.CertificateAuthority
	_, err = h.editHub(ctx, hub, func(_ *state, c *Config) error {
		a, err := edit(c)
		if err != nil {
			return err
		}
		a.ETag, a.Updated = etag, h.now().UTC().Truncate(time.Second)
		if a.Created.IsZero() {
			a.Created = a.Updated
		}
		view = viewOf(a)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return view, nil
}

// findAuthority returns where an authority is, or belongs.
func (c *Config) findAuthority(name string) (i int, found bool) {
	return slices.BinarySearchFunc(c.Authorities, name, func(a Authority, name string) int { return strings.Compare(a.Name, name) })
}

// checkMatch compares the etag; an empty one is any.
func (a *Authority) checkMatch(ifMatch string) error {
	if ifMatch != "" && ifMatch != "*" && ifMatch != a.ETag {
		return hubward.Errorf(hubward.CodePreconditionFailed, "the etag of the authority %s is another one", a.Name)
	}
	return nil
}

func viewOf(a *Authority) *hubward.CertificateAuthority {
	sum := sha256.Sum256(a.Certificate)
	v := &hubward.CertificateAuthority{
		Name: a.Name, Thumbprint: strings.ToUpper(hex.EncodeToString(sum[:])), Verified: a.Verified, Disabled: a.Disabled,
		Created: hubward.Time{Time: a.Created}, Updated: hubward.Time{Time: a.Updated}, ETag: a.ETag, VerificationCode: a.VerificationCode,
	}
	if cert, err := x509.ParseCertificate(a.Certificate); err == nil { // it was, when it was registered
		v.Subject, v.Expiry, v.Certificate = cert.Subject.String(), hubward.Time{Time: cert.NotAfter}, string(pki.EncodeCertificates(cert))
	}
	return v
}

func noSuchAuthority(name string) error {
	return hubward.Errorf(hubward.CodeNoSuchAuthority, "there is no certificate authority %.64q", name)
}

func checkAuthorityName(name string) error {
	if !isPlainName(name) {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "name: %.70q is no name of an authority, which has 1 to 64 letters, digits and - _ .", name)
	}
	return nil
}
