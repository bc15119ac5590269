package restfront

import (
	"net/http"

	"github.com/hubward/hubward"
)

// authorityBody is the body of the calls below. Which member a call needs, it says.
type authorityBody struct {
	Certificate string `json:"certificate"` // PEM, or base64 of DER
	IsVerified  bool   `json:"isVerified"`
	IsDisabled  *bool  `json:"isDisabled"`
}

func (c *call) readAuthority() (b authorityBody, err error) {
	body, err := c.readBody(maxBody)
	if err != nil {
		return b, err
	}
	return b, decode(body, &b)
}

func listCertificateAuthorities(c *call) error {
	all, err := c.server.hub.CertificateAuthorities(&c.principal, c.params[0])
	if err != nil {
		return err
	}
	if all == nil {
		all = []hubward.CertificateAuthority{} // an array, never null
	}
	return c.answer(http.StatusOK, all)
}

func getCertificateAuthority(c *call) error {
	a, err := c.server.hub.CertificateAuthority(&c.principal, c.params[0], c.params[1])
	return c.answerAuthority(http.StatusOK, a, err)
}

// putCertificateAuthority registers an authority, or with If-Match replaces its certificate.
func putCertificateAuthority(c *call) error {
	b, err := c.readAuthority()
	if err != nil {
		return err
	}
	status, ifMatch := http.StatusCreated, c.ifMatch()
	if ifMatch != "" {
		status = http.StatusOK
	}
	a, err := c.server.hub.PutCertificateAuthority(c.ctx, &c.principal, c.params[0], c.params[1], []byte(b.Certificate), b.IsVerified, ifMatch)
	return c.answerAuthority(status, a, err)
}

func disableCertificateAuthority(c *call) error {
	b, err := c.readAuthority()
	if err != nil {
		return err
	}
	if b.IsDisabled == nil {
		return hubward.Errorf(hubward.CodeArgumentNull, "isDisabled: it is missing, and nothing else can be changed")
	}
	a, err := c.server.hub.DisableCertificateAuthority(c.ctx, &c.principal, c.params[0], c.params[1], c.ifMatch(), *b.IsDisabled)
	return c.answerAuthority(http.StatusOK, a, err)
}

func deleteCertificateAuthority(c *call) error {
	if err := c.server.hub.DeleteCertificateAuthority(c.ctx, &c.principal, c.params[0], c.params[1], c.ifMatch()); err != nil {
		return err
	}
	return c.done()
}

func generateVerificationCode(c *call) error {
	a, err := c.server.hub.CreateVerificationCode(c.ctx, &c.principal, c.params[0], c.params[1], c.ifMatch())
	return c.answerAuthority(http.StatusOK, a, err)
}

func verifyCertificateAuthority(c *call) error {
	b, err := c.readAuthority()
	if err != nil {
		return err
	}
	a, err := c.server.hub.VerifyCertificateAuthority(c.ctx, &c.principal, c.params[0], c.params[1], []byte(b.Certificate), c.ifMatch())
	return c.answerAuthority(http.StatusOK, a, err)
}

func (c *call) answerAuthority(status int, a *hubward.CertificateAuthority, err error) error {
	if err != nil {
		return err
	}
	c.setHeader("ETag", `"`+a.ETag+`"`)
	return c.answer(status, a)
}
