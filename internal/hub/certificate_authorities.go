package hub

import (
	"context"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// maxAuthorities bounds the certificate authorities of a hub.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-quotas-throttling.
const maxAuthorities = 25

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

var errNotBuilt = hubward.Errorf(hubward.CodeInvalidOperation, "not built")

// CertificateAuthorities returns a hub's authorities, by name. p is the operator's or the hub's owner's, here and below.
//
// Errors: CodeNoSuchHub.
func (h *Hub) CertificateAuthorities(p *access.Principal, hub string) ([]hubward.CertificateAuthority, error) {
	return nil, errNotBuilt
}

// CertificateAuthority returns one authority. Errors: CodeNoSuchHub, CodeNoSuchAuthority.
func (h *Hub) CertificateAuthority(p *access.Principal, hub, name string) (*hubward.CertificateAuthority, error) {
	return nil, errNotBuilt
}

// PutCertificateAuthority registers an authority (ifMatch "") or replaces its certificate (ifMatch "*" or an etag). certificate is
// PEM or DER, or base64 of either. Unless verified, whoever registers it has to prove that they hold its key
// (CreateVerificationCode, VerifyCertificateAuthority) before it lets anybody in.
//
// Errors: CodeNoSuchHub; CodeArgumentInvalid names the field; CodePreconditionFailed; CodeQuotaExceeded beyond 25.
func (h *Hub) PutCertificateAuthority(ctx context.Context, p *access.Principal, hub, name string, certificate []byte, verified bool, ifMatch string) (*hubward.CertificateAuthority, error) {
	return nil, errNotBuilt
}

// DeleteCertificateAuthority removes an authority, and ends the connections that came by it, on all nodes.
//
// Errors: CodeNoSuchHub; CodeNoSuchAuthority; CodePreconditionFailed.
func (h *Hub) DeleteCertificateAuthority(ctx context.Context, p *access.Principal, hub, name, ifMatch string) error {
	return errNotBuilt
}

// DisableCertificateAuthority turns an authority off, which ends the connections that came by it, or on again.
//
// Errors: CodeNoSuchHub; CodeNoSuchAuthority; CodePreconditionFailed.
func (h *Hub) DisableCertificateAuthority(ctx context.Context, p *access.Principal, hub, name, ifMatch string, disabled bool) (*hubward.CertificateAuthority, error) {
	return nil, errNotBuilt
}

// CreateVerificationCode makes a new code for an authority: a certificate with it as its common name, signed with the
// authority's key, proves who holds that key.
//
// Errors: CodeNoSuchHub; CodeNoSuchAuthority; CodePreconditionFailed.
func (h *Hub) CreateVerificationCode(ctx context.Context, p *access.Principal, hub, name, ifMatch string) (*hubward.CertificateAuthority, error) {
	return nil, errNotBuilt
}

// VerifyCertificateAuthority takes the proof, in the forms of PutCertificateAuthority.
//
// Errors: CodeNoSuchHub; CodeNoSuchAuthority; CodeArgumentInvalid when it proves nothing; CodePreconditionFailed.
func (h *Hub) VerifyCertificateAuthority(ctx context.Context, p *access.Principal, hub, name string, proof []byte, ifMatch string) (*hubward.CertificateAuthority, error) {
	return nil, errNotBuilt
}
