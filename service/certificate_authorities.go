package service

import (
	"context"
	"net/http"

	"github.com/hubward/hubward"
)

// CertificateAuthorities lists the authorities of a hub, by name. Like all calls on authorities, it needs the operator, or a policy
// of that hub that has all permissions. Hubward only: the cloud's hubs are managed by its resource manager.
//
// Errors: CodeNoSuchHub, CodeUnauthorizedAccess.
func (c *Client) CertificateAuthorities(ctx context.Context, hub string) ([]hubward.CertificateAuthority, error) {
	var all []hubward.CertificateAuthority
	err := c.do(ctx, &request{op: "service.CertificateAuthorities", method: http.MethodGet, path: authorityPath(hub)}, &all)
	return all, err
}

// CertificateAuthority describes one authority. Hubward only.
//
// Errors: CodeNoSuchAuthority, CodeNoSuchHub, CodeUnauthorizedAccess.
func (c *Client) CertificateAuthority(ctx context.Context, hub, name string) (*hubward.CertificateAuthority, error) {
	return c.authorityCall(ctx, &request{op: "service.CertificateAuthority", method: http.MethodGet, path: authorityPath(hub, name)})
}

// NewCertificateAuthority says what authority to register.
type NewCertificateAuthority struct {
	Name        string // 1 to 64 letters, digits, '-', '.' and '_'
	Certificate string // PEM, or base64 of DER
	// Verified vouches for it: who registers the authority holds its key. Else they prove that, see CreateVerificationCode, and
	// until then it lets nobody in.
	Verified bool
	// ETag replaces the certificate of an authority that is there: its etag, or AnyETag. Empty: there is none of that name.
	ETag string
}

// CreateCertificateAuthority registers an authority: devices and modules whose authentication type is AuthCertificate log in with
// certificates that it, or an authority below it, has issued for their ids. With an ETag it replaces the certificate of one that is
// there, which ends the connections that came by that. Hubward only.
//
// Errors: CodeArgumentInvalid names what is wrong; CodeQuotaExceeded beyond 25; CodePreconditionFailed for one that is there, or
// has another etag; CodeNoSuchHub; CodeUnauthorizedAccess.
func (c *Client) CreateCertificateAuthority(ctx context.Context, hub string, n NewCertificateAuthority) (*hubward.CertificateAuthority, error) {
	body := struct {
		Certificate string `json:"certificate"`
		IsVerified  bool   `json:"isVerified"`
	}{n.Certificate, n.Verified}
	return c.authorityCall(ctx, &request{
		op: "service.CreateCertificateAuthority", method: http.MethodPut, path: authorityPath(hub, n.Name), body: body, ifMatch: n.ETag,
	})
}

// CreateVerificationCode has the hub make a new code for an authority, in VerificationCode of what it returns. A certificate with the
// code as its common name, signed with the authority's key, is the proof that VerifyCertificateAuthority takes. Hubward only.
//
// Errors: CodeNoSuchAuthority, CodeNoSuchHub, CodeUnauthorizedAccess.
func (c *Client) CreateVerificationCode(ctx context.Context, hub, name string) (*hubward.CertificateAuthority, error) {
	return c.authorityCall(ctx, &request{
		op: "service.CreateVerificationCode", method: http.MethodPost, path: authorityPath(hub, name, "generateVerificationCode"),
	})
}

// VerifyCertificateAuthority proves, with a certificate in PEM or in base64 of DER, that the authority's key is held by who
// registered it. From then on it lets devices in. Hubward only.
//
// Errors: CodeArgumentInvalid says why it proves nothing; CodeNoSuchAuthority; CodeNoSuchHub; CodeUnauthorizedAccess.
func (c *Client) VerifyCertificateAuthority(ctx context.Context, hub, name, proof string) (*hubward.CertificateAuthority, error) {
	return c.authorityCall(ctx, &request{
		op: "service.VerifyCertificateAuthority", method: http.MethodPost, path: authorityPath(hub, name, "verify"),
		body: map[string]string{"certificate": proof},
	})
}

// DisableCertificateAuthority turns an authority off, which ends the connections that came by it, or on again. Hubward only.
//
// Errors: CodeNoSuchAuthority, CodeNoSuchHub, CodeUnauthorizedAccess.
func (c *Client) DisableCertificateAuthority(ctx context.Context, hub, name string, disabled bool) (*hubward.CertificateAuthority, error) {
	return c.authorityCall(ctx, &request{
		op: "service.DisableCertificateAuthority", method: http.MethodPatch, path: authorityPath(hub, name),
		body: map[string]bool{"isDisabled": disabled},
	})
}

// DeleteCertificateAuthority removes an authority, and ends the connections that came by it. etag is that of the authority, or
// AnyETag. Hubward only.
//
// Errors: CodeNoSuchAuthority; CodePreconditionFailed; CodeNoSuchHub; CodeUnauthorizedAccess.
func (c *Client) DeleteCertificateAuthority(ctx context.Context, hub, name, etag string) error {
	return c.do(ctx, &request{
		op: "service.DeleteCertificateAuthority", method: http.MethodDelete, path: authorityPath(hub, name), ifMatch: etag,
	}, nil)
}

func authorityPath(hub string, rest ...string) []string {
	return append([]string{own, "hubs", hub, "certificates"}, rest...)
}

func (c *Client) authorityCall(ctx context.Context, r *request) (*hubward.CertificateAuthority, error) {
	a := new(hubward.CertificateAuthority)
	if err := c.do(ctx, r, a); err != nil {
		return nil, err
	}
	return a, nil
}
