package restfront

import (
	"net/http"

	"github.com/hubward/hubward/internal/hub"
)

func getCertificateIssuer(c *call) error {
	issuer, err := c.server.hub.CertificateIssuer(&c.principal, c.params[0])
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, issuer)
}

// updateCertificateIssuer changes the members that the body has.
func updateCertificateIssuer(c *call) error {
	body, err := c.readBody(maxBody)
	if err != nil {
		return err
	}
	var b struct {
		IsEnabled *bool    `json:"isEnabled"`
		Validity  string   `json:"validity"` // as hubward.ParseDuration reads it
		Keys      []string `json:"keys"`
	}
	if err := decode(body, &b); err != nil {
		return err
	}
	change := hub.IssuerChange{Enabled: b.IsEnabled, Keys: b.Keys}
	if change.Validity, err = positiveDuration("validity", b.Validity); err != nil {
		return err
	}
	issuer, err := c.server.hub.UpdateCertificateIssuer(c.ctx, &c.principal, c.params[0], change)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, issuer)
}

func deleteCertificateIssuer(c *call) error {
	if err := c.server.hub.DeleteCertificateIssuer(c.ctx, &c.principal, c.params[0]); err != nil {
		return err
	}
	return c.done()
}

// issueCertificate issues a certificate to the device that the path names behind the hub.
func issueCertificate(c *call) error {
	body, err := c.readBody(maxBody)
	if err != nil {
		return err
	}
	var b struct {
		CSR string `json:"csr"` // PEM, or base64 of DER
	}
	if err := decode(body, &b); err != nil {
		return err
	}
	issued, err := c.server.hub.IssueCertificate(c.ctx, &c.principal, c.params[0], c.params[1], b.CSR)
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, issued)
}
