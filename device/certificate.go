package device

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"sync"

	"github.com/hubward/hubward"
)

// tlsConfigs are the settings of a client's TLS connections, each with the client certificate of its moment.
type tlsConfigs struct {
	base *tls.Config
	get  func(context.Context) (*tls.Certificate, error) // nil: the log-in is by a token

	mu    sync.Mutex // guards the fields below; not held while get runs
	last  *tls.Config
	chain [][]byte // of the certificate of last
}

func newTLSConfigs(o *Options, a *account) *tlsConfigs {
	s := &tlsConfigs{base: tlsConfig(o, a.server)}
	switch {
	case !a.byCertificate:
	case o.ClientCertificate != nil:
		s.get = func(context.Context) (*tls.Certificate, error) { return o.ClientCertificate, nil }
	default:
		s.get = o.GetClientCertificate
	}
	return s
}

// checkCertificate returns what is wrong with the options for a log-in as the connection string wants it.
func (o *Options) checkCertificate(a *account) error {
	refuse := func(text string) error {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "device.Options: %s", text)
	}
	static, asked := o.ClientCertificate != nil, o.GetClientCertificate != nil
	switch {
	case static && asked:
		return refuse("give either ClientCertificate or GetClientCertificate")
	case a.byCertificate && !static && !asked:
		return refuse("x509=true in the connection string needs ClientCertificate or GetClientCertificate")
	case !a.byCertificate && (static || asked):
		return refuse("ClientCertificate and GetClientCertificate need a connection string with x509=true in place of a key")
	case static && !isComplete(o.ClientCertificate):
		return refuse("ClientCertificate needs a certificate and its private key")
	}
	return nil
}

func isComplete(c *tls.Certificate) bool {
	return c != nil && len(c.Certificate) > 0 && c.PrivateKey != nil
}

// certificateError is that there is no certificate to connect with.
type certificateError struct{ err error }

func (e *certificateError) Error() string { return e.err.Error() }

var errNoCertificate = errors.New("GetClientCertificate has returned no certificate with a private key")

// next returns the settings of the next connection. They are the same as before as long as the certificate is.
//
// Its error is a certificateError: a later call may have a certificate.
func (s *tlsConfigs) next(ctx context.Context) (*tls.Config, error) {
	if s.get == nil {
		return s.base, nil
	}
	certificate, err := s.get(ctx)
	if err == nil && !isComplete(certificate) {
		err = errNoCertificate
	}
	if err != nil {
		return nil, &certificateError{err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil || !slices.EqualFunc(s.chain, certificate.Certificate, bytes.Equal) {
		s.last, s.chain = withCertificate(s.base, certificate), slices.Clone(certificate.Certificate)
	}
	return s.last, nil
}

// withCertificate returns settings for connections of that certificate alone. It is shown whatever authorities the hub says
// to know: the hub knows thumbprints, too. A session that is resumed has the certificate with which it began, so sessions
// are not shared with another certificate, or another device. On port 443 the cloud service asks for a certificate after the
// handshake, by TLS 1.2 renegotiation.
//
// Source: RFC 8446 section 2.2; amenzhinsky/iothub common/tls.go.
func withCertificate(base *tls.Config, certificate *tls.Certificate) *tls.Config {
	config := base.Clone()
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	if config.ClientSessionCache != nil {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
	if config.Renegotiation == tls.RenegotiateNever {
		config.Renegotiation = tls.RenegotiateOnceAsClient
	}
	return config
}
