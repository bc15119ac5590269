package device

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hubward/hubward"
)

// CertificateRequest asks the hub for a certificate with which the device can log in.
type CertificateRequest struct {
	// CSR is the certificate signing request (PKCS #10, in DER), as x509.CreateCertificateRequest makes it; the common name of its
	// subject is the device id. In base64 it has at most 8,192 characters. For a renewal its key may be the one that the device has,
	// or another.
	CSR []byte
	// ID names the request: 4 to 36 ASCII letters, digits and dashes, with no dash at either end. A program that keeps ID and CSR can
	// take up a request that it has given up, even after a restart: it makes the same one again. Empty: a random one.
	ID string
	// Replace is the ID of the request that this one replaces, or "*" for whichever the hub is still busy with. Empty: none, and
	// as long as there is one, CodeCredentialOperationActive is the answer.
	Replace string
}

// IssuedCertificate is what the hub has made of a request.
type IssuedCertificate struct {
	// Chain has the device's certificate first, then the one that signed it, and so on.
	Chain []*x509.Certificate
	// CorrelationID names the operation in the hub's logs.
	CorrelationID string
}

// TLSCertificate returns the chain with its private key, as Options.GetClientCertificate returns it. Error:
// CodeArgumentInvalid for a key that is not the one of the request.
func (c *IssuedCertificate) TLSCertificate(key crypto.Signer) (*tls.Certificate, error) {
	if len(c.Chain) == 0 || key == nil || !samePublicKey(c.Chain[0].PublicKey, key.Public()) {
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "the private key is not that of the certificate")
	}
	out := &tls.Certificate{PrivateKey: key, Leaf: c.Chain[0]}
	for _, one := range c.Chain {
		out.Certificate = append(out.Certificate, one.Raw)
	}
	return out, nil
}

func samePublicKey(a, b crypto.PublicKey) bool {
	known, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && known.Equal(b)
}

// CertificateRequestError is the hub's refusal of a request for a certificate. It wraps a *hubward.Error with the code.
//
// Source: Azure/azure-iot-sdk-java, branch feature/csr, IotHubCertificateSigningError.java, IotHubCertificateSigningErrorCode.java.
type CertificateRequestError struct {
	RetryAfter time.Duration // how long to wait before another request; 0: the hub does not say
	TrackingID string        // names the answer in the hub's logs

	// Of CodeCredentialOperationActive: the request that the hub is busy with, and until when at most. RequestID is what
	// CertificateRequest.Replace takes.
	RequestID string
	Expires   time.Time

	CorrelationID string // names the operation in the hub's logs
	Reason        string // what the authority says, such as "FailedToDecodeCsr"

	err *hubward.Error
}

func (e *CertificateRequestError) Error() string { return e.err.Error() }

// Unwrap returns the *hubward.Error.
func (e *CertificateRequestError) Unwrap() error { return e.err }

// RequestCertificate has the hub issue a certificate, and waits for it. A hub does so if it has an authority of its own and that is
// switched on. The hub takes a request first, which may last, and then issues; the client asks again on the next connection when one
// is lost before the request is taken, and waits for the certificate over as many connections as it needs. Give ctx a deadline.
//
// The connection stays as it is. For the certificate to be used, Options.GetClientCertificate returns it from then on:
//
//	issued, err := client.RequestCertificate(ctx, device.CertificateRequest{CSR: csr})
//	…
//	certificate, err := issued.TLSCertificate(key)
//
// Errors: CodeInvalidOperation for a module, over anything but MQTT, before Connect, and from a hub that issues none;
// CodeArgumentInvalid for a request that cannot be read or breaks a rule above. A *CertificateRequestError is what the hub answers:
// CodeCredentialOperationActive (409005; older services: CodeCredentialOperationPending, 409004) while it is busy with another
// request of the device; CodePreconditionFailed when there is none of the ID in Replace; CodeCredentialOperationFailed when the
// authority does not sign it; CodeThrottled and others of 429 and 503, after which a later request may do better.
// CodePreconditionFailed, too, when another call of this client has replaced the request. ctx.Err(): the hub may
// have issued the certificate, and gives it to the same request made again. Once the client has ended, the error of Err, or one
// that wraps net.ErrClosed.
//
// Source: Azure/azure-iot-sdk-csharp, branch feature/iot-csr-preview, iothub/device/src/csr-scenarions.md.
func (c *Client) RequestCertificate(ctx context.Context, r CertificateRequest) (*IssuedCertificate, error) {
	call, err := c.newCertificateCall(r)
	if err != nil {
		return nil, err
	}
	switch up, err := c.running(); {
	case err != nil:
		return nil, err
	case !up:
		return nil, errNotConnected()
	}
	if !c.certificates.push(call) {
		return nil, hubward.Errorf(hubward.CodeInvalidOperation, "%d requests for certificates are under way, or one of this ID is", maxCertificateCalls)
	}
	defer c.certificates.drop(call)
	c.nudge()
	select {
	case a := <-call.answer:
		return a.issued, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.done:
		_, err := c.running()
		return nil, err
	}
}

const (
	maxCSRText          = 8192 // characters of base64
	minCertificateID    = 4
	maxCertificateID    = 36
	maxIssuedChain      = 10 // certificates
	replaceAnyRequest   = "*"
	maxCertificateCalls = 4 // hubs have one pending for a device; the others replace it
)

// newCertificateCall checks a request.
func (c *Client) newCertificateCall(r CertificateRequest) (*certificateCall, error) {
	refuse := func(format string, args ...any) (*certificateCall, error) {
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "CertificateRequest: "+format, args...)
	}
	switch {
	case c.account.identity.Module != "":
		return nil, hubward.Errorf(hubward.CodeInvalidOperation, "a hub issues certificates to devices, not to modules")
	case c.opts.Protocol != MQTT && c.opts.Protocol != MQTTWebSocket:
		return nil, hubward.Errorf(hubward.CodeInvalidOperation, "certificates are requested over MQTT: see Options.Protocol")
	case r.ID != "" && !isCertificateID(r.ID):
		return refuse("ID %.40q is not 4 to 36 letters, digits and dashes", r.ID)
	case r.Replace != "" && r.Replace != replaceAnyRequest && !isCertificateID(r.Replace):
		return refuse("Replace %.40q is neither an ID nor *", r.Replace)
	case base64.StdEncoding.EncodedLen(len(r.CSR)) > maxCSRText:
		return refuse("CSR has %d characters in base64, the limit is %d", base64.StdEncoding.EncodedLen(len(r.CSR)), maxCSRText)
	}
	csr, err := x509.ParseCertificateRequest(r.CSR)
	if err == nil {
		err = csr.CheckSignature()
	}
	if err != nil {
		return refuse("CSR is no PKCS #10 request in DER: %v", err)
	}
	if csr.Subject.CommonName != c.account.identity.Device {
		return refuse("the common name in CSR is %.128q, it has to be the device id", csr.Subject.CommonName)
	}
	if r.ID == "" {
		r.ID = rand.Text()
	}
	return &certificateCall{request: r, device: c.account.identity.Device, key: csr.PublicKey, answer: make(chan certificateAnswer, 1)}, nil
}

// isCertificateID checks the ID of a request.
//
// Source: Azure/azure-sdk-for-c, branch feature/dps-csr-preview, az_iot_hub_client_csr.c.
func isCertificateID(id string) bool {
	if len(id) < minCertificateID || len(id) > maxCertificateID || id[0] == '-' || id[len(id)-1] == '-' {
		return false
	}
	for _, c := range []byte(id) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// body is the request as it travels.
func (call *certificateCall) body() ([]byte, error) {
	r := &call.request
	return json.Marshal(struct {
		ID      string `json:"id"`
		CSR     string `json:"csr"`
		Replace string `json:"replace,omitempty"`
	}{call.device, base64.StdEncoding.EncodeToString(r.CSR), r.Replace})
}

// readIssued reads the certificates of an answer.
func (call *certificateCall) readIssued(body []byte) certificateAnswer {
	bad := func(format string, args ...any) certificateAnswer {
		return certificateAnswer{err: hubward.Errorf(hubward.CodeServerError, "the hub's answer is no certificate: "+format, args...)}
	}
	var text struct {
		CorrelationID string
		Certificates  [][]byte
	}
	if err := json.Unmarshal(body, &text); err != nil {
		return bad("%v", err)
	}
	if n := len(text.Certificates); n < 1 || n > maxIssuedChain {
		return bad("it has %d of them", n)
	}
	issued := &IssuedCertificate{CorrelationID: text.CorrelationID}
	for _, der := range text.Certificates {
		one, err := x509.ParseCertificate(der)
		if err != nil {
			return bad("%v", err)
		}
		issued.Chain = append(issued.Chain, one)
	}
	if !samePublicKey(issued.Chain[0].PublicKey, call.key) {
		return bad("the first is not for the key of the request")
	}
	return certificateAnswer{issued: issued}
}

// readCertificateRefusal reads an answer that is no success.
func readCertificateRefusal(status int, body []byte) *CertificateRequestError {
	var text struct {
		ErrorCode  int
		Message    string
		TrackingID string
		RetryAfter float64
		Info       struct {
			RequestID, CorrelationID, CredentialError, CredentialMessage string
			OperationExpires                                             time.Time
		}
	}
	json.Unmarshal(body, &text) // a body of another form is an error without a text
	code := hubward.Code(text.ErrorCode)
	if code.HTTPStatus() != status {
		code = codeOfStatus(status)
	}
	e := &CertificateRequestError{
		TrackingID: text.TrackingID, RequestID: text.Info.RequestID, Expires: text.Info.OperationExpires,
		CorrelationID: text.Info.CorrelationID, Reason: text.Info.CredentialError,
		err: hubward.Errorf(code, "the hub issues no certificate for the request: %s",
			cmp.Or(text.Info.CredentialMessage, text.Message, fmt.Sprintf("it answered with status %d", status))),
	}
	if 0 < text.RetryAfter && text.RetryAfter < (365*24*time.Hour).Seconds() {
		e.RetryAfter = time.Duration(text.RetryAfter * float64(time.Second))
	}
	return e
}
