package service

import (
	"context"
	"net/http"
	"time"

	"github.com/hubward/hubward"
)

// CertificateIssuer tells how a hub issues certificates to its devices itself. Like the two calls behind it, it needs the operator, or a
// policy of that hub that has all permissions. Hubward only.
//
// Errors: CodeNoSuchHub, CodeUnauthorizedAccess.
func (c *Client) CertificateIssuer(ctx context.Context, hub string) (*hubward.CertificateIssuer, error) {
	return c.issuerCall(ctx, &request{op: "service.CertificateIssuer", method: http.MethodGet, path: issuerPath(hub)})
}

// CertificateIssuerChange says what UpdateCertificateIssuer changes; zero members stay as they are.
type CertificateIssuerChange struct {
	Enabled  *bool
	Validity time.Duration // of a certificate: 1 h to 365 d; 90 d at first
	Keys     []string      // the kinds that requests may have, see hubward.CertificateIssuer; all of them at first
}

// UpdateCertificateIssuer changes how a hub issues certificates. When it is first enabled, the hub makes its authority. Disabled, it
// issues none; those that it has issued stay good. Hubward only.
//
// Errors: CodeArgumentInvalid names the field; CodeNoSuchHub; CodeUnauthorizedAccess.
func (c *Client) UpdateCertificateIssuer(ctx context.Context, hub string, change CertificateIssuerChange) (*hubward.CertificateIssuer, error) {
	body := struct {
		IsEnabled *bool    `json:"isEnabled,omitempty"`
		Validity  Duration `json:"validity,omitzero"`
		Keys      []string `json:"keys,omitzero"`
	}{change.Enabled, Duration(change.Validity), change.Keys}
	return c.issuerCall(ctx, &request{op: "service.UpdateCertificateIssuer", method: http.MethodPatch, path: issuerPath(hub), body: body})
}

// DeleteCertificateIssuer has a hub issue none any more, and forgets its authority: what it has issued is good for nothing from then on,
// and the connections that came by it end. Hubward only.
//
// Errors: CodeNoSuchHub, CodeUnauthorizedAccess.
func (c *Client) DeleteCertificateIssuer(ctx context.Context, hub string) error {
	return c.do(ctx, &request{op: "service.DeleteCertificateIssuer", method: http.MethodDelete, path: issuerPath(hub)}, nil)
}

// IssueCertificate has a hub issue a certificate to a device. csr is the device's signing request, PKCS #10 in PEM or in base64 of DER,
// with the device's id as its common name. It needs the operator, or RegistryWrite in that hub. Hubward only.
//
// Errors: CodeArgumentInvalid says what is wrong with csr; CodeCredentialPreconditionFailed when the hub issues none; CodeDeviceNotFound;
// CodeNoSuchHub; CodeUnauthorizedAccess.
func (c *Client) IssueCertificate(ctx context.Context, hub, device, csr string) (*hubward.IssuedCertificate, error) {
	issued := new(hubward.IssuedCertificate)
	err := c.do(ctx, &request{
		op: "service.IssueCertificate", method: http.MethodPost, path: []string{own, "hubs", hub, "devices", device, "certificates"},
		body: map[string]string{"csr": csr},
	}, issued)
	if err != nil {
		return nil, err
	}
	return issued, nil
}

func issuerPath(hub string) []string { return []string{own, "hubs", hub, "issuer"} }

func (c *Client) issuerCall(ctx context.Context, r *request) (*hubward.CertificateIssuer, error) {
	issuer := new(hubward.CertificateIssuer)
	if err := c.do(ctx, r, issuer); err != nil {
		return nil, err
	}
	return issuer, nil
}
