package hub

import (
	"cmp"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/hub/certrequest"
	"github.com/hubward/hubward/internal/pki"
)

// Issuing is whether and how a hub issues certificates to its devices itself.
type Issuing struct {
	Enabled  bool
	Validity time.Duration // of a certificate
	Keys     []string      // the kinds that a request may have, of certrequest.KeyKinds

	// The authority, made when it is first enabled: the certificate that signs, and the root that signed that, in DER, and their
	// keys as PKCS #8. Former are the certificates that have signed before, and may let somebody in still.
	Issuer, Root       []byte
	IssuerKey, RootKey []byte
	Former             [][]byte
}

const (
	rootLife   = 20 * 365 * 24 * time.Hour
	issuerLife = 3 * 365 * 24 * time.Hour
	// renewalMargin is how long before it would cut certificates short an authority is made anew.
	renewalMargin = 30 * 24 * time.Hour

	defaultValidity = 90 * 24 * time.Hour
	minValidity     = time.Hour
	maxValidity     = 365 * 24 * time.Hour
)

// issuerName is what principals and logs call the hub's own authority. Nobody can register one of this name.
const issuerName = "$hub"

// CertificateIssuer tells how a hub issues certificates. p is the operator's or the hub's owner's, here and below.
//
// Errors: CodeNoSuchHub.
func (h *Hub) CertificateIssuer(p *access.Principal, hub string) (*hubward.CertificateIssuer, error) {
	c, err := h.authoritiesFor(p, hub)
	if err != nil {
		return nil, err
	}
	return c.Issuing.view(), nil
}

// IssuerChange says what UpdateCertificateIssuer changes; zero members stay as they are.
type IssuerChange struct {
	Enabled  *bool
	Validity time.Duration // of a certificate: 1 h to 365 d; 90 d at first
	Keys     []string      // that requests may have, of certrequest.KeyKinds; all of them at first
}

// UpdateCertificateIssuer changes how a hub issues certificates. When it is first enabled, its authority is made. Disabled, it issues
// none; those that it has issued stay good.
//
// Errors: CodeNoSuchHub; CodeArgumentInvalid names the field.
func (h *Hub) UpdateCertificateIssuer(ctx context.Context, p *access.Principal, hub string, change IssuerChange) (*hubward.CertificateIssuer, error) {
	if err := h.permitOwner(p, hub); err != nil {
		return nil, err
	}
	if err := change.check(); err != nil {
		return nil, err
	}
	c, err := h.editHub(ctx, hub, func(_ *state, c *Config) error {
		i := &c.Issuing
		i.Validity = cmp.Or(change.Validity, i.validity())
		if i.Keys = i.keys(); change.Keys != nil {
			i.Keys = slices.Clone(change.Keys)
		}
		if change.Enabled != nil {
			i.Enabled = *change.Enabled
		}
		if !i.Enabled {
			return nil
		}
		return h.renewIssuer(c)
	})
	if err != nil {
		return nil, err
	}
	return c.Issuing.view(), nil
}

func (c *IssuerChange) check() error {
	if c.Validity != 0 && (c.Validity < minValidity || c.Validity > maxValidity) {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "validity: %s is not within %s to %s", c.Validity, minValidity, maxValidity)
	}
	if c.Keys != nil && len(c.Keys) == 0 {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "keys: name one kind at least")
	}
	for i, kind := range c.Keys {
		if !slices.Contains(certrequest.KeyKinds, kind) {
			return hubward.Errorf(hubward.CodeArgumentInvalid, "keys: %.40q is none of %s", kind, strings.Join(certrequest.KeyKinds, ", "))
		}
		if slices.Contains(c.Keys[:i], kind) {
			return hubward.Errorf(hubward.CodeArgumentInvalid, "keys: %s is there twice", kind)
		}
	}
	return nil
}

// DeleteCertificateIssuer has a hub issue none any more, and forgets its authority with its keys, which ends the connections that came
// by it, on all nodes. What it has issued is good for nothing from then on, also when it is enabled again.
//
// Errors: CodeNoSuchHub.
func (h *Hub) DeleteCertificateIssuer(ctx context.Context, p *access.Principal, hub string) error {
	if err := h.permitOwner(p, hub); err != nil {
		return err
	}
	_, err := h.editHub(ctx, hub, func(_ *state, c *Config) error {
		c.Issuing = Issuing{}
		return nil
	})
	return err
}

func (i *Issuing) validity() time.Duration { return cmp.Or(i.Validity, defaultValidity) }

func (i *Issuing) keys() []string {
	if len(i.Keys) == 0 {
		return slices.Clone(certrequest.KeyKinds)
	}
	return i.Keys
}

func (i *Issuing) view() *hubward.CertificateIssuer {
	v := &hubward.CertificateIssuer{Enabled: i.Enabled, Validity: i.validity().String(), Keys: i.keys()}
	if cert, err := x509.ParseCertificate(i.Issuer); err == nil {
		v.Certificate, v.Expiry = string(pki.EncodeCertificates(cert)), hubward.Time{Time: cert.NotAfter}
	}
	if cert, err := x509.ParseCertificate(i.Root); err == nil {
		v.Root = string(pki.EncodeCertificates(cert))
	}
	return v
}

// outlasts reports whether a certificate can be signed, and be valid for life, and a margin.
func outlasts(der []byte, life time.Duration, now time.Time) bool {
	cert, err := x509.ParseCertificate(der)
	return err == nil && !now.Add(life+renewalMargin).After(cert.NotAfter)
}

// isFresh reports whether the authority is there, and does not cut certificates short.
func (i *Issuing) isFresh(now time.Time) bool { return outlasts(i.Issuer, i.validity(), now) }

// renewIssuer makes the authority, or what of it would cut certificates short.
func (h *Hub) renewIssuer(c *Config) error {
	now, i := h.now(), &c.Issuing
	if i.isFresh(now) {
		return nil
	}
	if !outlasts(i.Root, issuerLife, now) {
		name, err := h.authorityName(c.Name, "root")
		if err != nil {
			return err
		}
		root, err := pki.MakeRoot(name, now, rootLife, h.rand)
		if err != nil {
			return err
		}
		if i.Root, i.RootKey, err = encodeAuthority(root); err != nil {
			return err
		}
	}
	root, err := decodeAuthority(i.Root, i.RootKey)
	if err != nil {
		return err
	}
	name, err := h.authorityName(c.Name, "CA")
	if err != nil {
		return err
	}
	issuer, err := root.MakeIssuer(name, now, issuerLife, h.rand)
	if err != nil {
		return err
	}
	i.retire(now)
	i.Issuer, i.IssuerKey, err = encodeAuthority(issuer)
	return err
}

// retire puts the certificate that signs among the former ones, without those that have ended.
func (i *Issuing) retire(now time.Time) {
	former := slices.Clone(i.Former)
	if len(i.Issuer) > 0 {
		former = append(former, i.Issuer)
	}
	i.Former = slices.DeleteFunc(former, func(der []byte) bool {
		cert, err := x509.ParseCertificate(der)
		return err != nil || now.After(cert.NotAfter)
	})
}

// authorityName makes a name that no other authority has: programs look issuers up by it.
func (h *Hub) authorityName(hub, kind string) (pkix.Name, error) {
	var b [4]byte
	if _, err := io.ReadFull(h.rand, b[:]); err != nil {
		return pkix.Name{}, err
	}
	// A hub's name has up to 50 characters, a common name 64 (RFC 5280 A.1, ub-common-name).
	return pkix.Name{Organization: []string{"Hubward"}, CommonName: hub + " " + kind + " " + hex.EncodeToString(b[:])}, nil
}

func encodeAuthority(a *pki.Authority) (cert, key []byte, err error) {
	key, err = x509.MarshalPKCS8PrivateKey(a.Key)
	return a.Certificate.Raw, key, err
}

func decodeAuthority(cert, key []byte) (*pki.Authority, error) {
	c, err := x509.ParseCertificate(cert)
	if err != nil {
		return nil, err
	}
	signer, err := pki.ParsePKCS8(key)
	if err != nil {
		return nil, err
	}
	return pki.NewAuthority(c, signer)
}

// issuers are the certificates that have signed and sign.
func (i *Issuing) issuers() [][]byte {
	if len(i.Issuer) == 0 {
		return nil
	}
	return append(slices.Clip(i.Former), i.Issuer)
}

// sign issues a certificate for a signing request of a device, and returns the chain: the device's first, the root last. Nothing of
// the request gets into it but its key. The authority is made anew in time.
//
// Errors: *certrequest.Error with CodeCredentialOperationFailed, or CodeCredentialPreconditionFailed for a hub that issues none;
// CodeNoSuchHub; the store's.
func (h *Hub) sign(ctx context.Context, s *state, device string, csr []byte) ([]*x509.Certificate, error) {
	_, c, err := h.findRef(s.ref)
	if err != nil {
		return nil, err
	}
	i := &c.Issuing
	if !i.Enabled {
		return nil, errNotIssuing
	}
	key, err := certrequest.CheckCSR(csr, device, i.keys())
	if err != nil {
		return nil, err
	}
	if !i.isFresh(h.now()) {
		renewed, err := h.editHub(ctx, s.ref.Name, func(now *state, c *Config) error {
			if now != s || !c.Issuing.Enabled {
				return errNotIssuing
			}
			return h.renewIssuer(c)
		})
		if err != nil {
			return nil, err
		}
		i = &renewed.Issuing
		h.logger.Info("the hub's own authority for certificates was renewed", "hub", s.ref.Name)
	}
	issuer, err := decodeAuthority(i.Issuer, i.IssuerKey)
	if err != nil {
		return nil, err
	}
	root, err := x509.ParseCertificate(i.Root)
	if err != nil {
		return nil, err
	}
	cert, err := issuer.Issue(device, key, h.now(), i.validity(), h.rand)
	if err != nil {
		return nil, err
	}
	return []*x509.Certificate{cert, issuer.Certificate, root}, nil
}

var errNotIssuing = &certrequest.Error{
	Code: hubward.CodeCredentialPreconditionFailed, Message: "this hub issues no certificates: that is off until it is switched on",
}
