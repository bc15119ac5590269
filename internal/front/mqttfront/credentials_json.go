package mqttfront

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// certificateTime is how times stand in answers to requests for certificates: nine digits and a Z are what all clients read.
//
// Source: ParserUtility.java of Azure/azure-iot-sdk-java, branch feature/csr.
const certificateTime = "2006-01-02T15:04:05.000000000Z"

// acceptedBody says that a request was taken. Clients want both members.
func acceptedBody(o hub.CertificateOperation) []byte {
	return asciiJSON(struct {
		CorrelationID    string `json:"correlationId"`
		OperationExpires string `json:"operationExpires"`
	}{o.CorrelationID, o.Expires.UTC().Format(certificateTime)})
}

// issuedBody has the certificates in base64 of DER, the device's first.
func issuedBody(r *hub.CertificateResult) []byte {
	return asciiJSON(struct {
		CorrelationID string   `json:"correlationId"`
		Certificates  [][]byte `json:"certificates"`
	}{r.CorrelationID, r.Certificates})
}

// errorInfo are details of an error, those that there are.
type errorInfo struct {
	CorrelationID     string `json:"correlationId,omitempty"`
	CredentialError   string `json:"credentialError,omitempty"`
	CredentialMessage string `json:"credentialMessage,omitempty"`
	RequestID         string `json:"requestId,omitempty"`
	OperationExpires  string `json:"operationExpires,omitempty"`
}

// certificateFailure returns the status and the body of a refusal. Members without content are left out: the SDK for embedded C fails
// on null. The log gets the tracking id of what is not the device's fault.
func (s *session) certificateFailure(e *hub.CertificateError) (status int, body []byte) {
	tracking := guid()
	if e.Code.HTTPStatus() >= 500 && s.conn.closed() == nil {
		s.conn.srv.logger.Error("a request for a certificate failed", append(s.attrs(), "code", int(e.Code), "tracking", tracking)...)
	}
	info := errorInfo{
		CorrelationID: e.Info.CorrelationID, CredentialError: e.Info.CredentialError, CredentialMessage: e.Info.CredentialMessage,
		RequestID: e.Info.RequestID,
	}
	if !e.Info.OperationExpires.IsZero() {
		info.OperationExpires = e.Info.OperationExpires.UTC().Format(certificateTime)
	}
	return e.Code.HTTPStatus(), asciiJSON(struct {
		ErrorCode    hubward.Code `json:"errorCode"`
		Message      string       `json:"message"`
		TrackingID   string       `json:"trackingId"`
		TimestampUTC string       `json:"timestampUtc"`
		RetryAfter   int64        `json:"retryAfter,omitempty"` // seconds
		Info         errorInfo    `json:"info,omitzero"`
	}{
		e.Code, e.Message, tracking, s.conn.srv.now().UTC().Format(certificateTime), int64(e.RetryAfter / time.Second), info,
	})
}

func guid() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// asciiJSON is json.Marshal of what cannot fail, with no other characters than those of ASCII: the Java SDK passes over an answer
// whose bytes are more than its characters.
//
// Source: MqttCertificateSigning.java of Azure/azure-iot-sdk-java, branch feature/csr.
func asciiJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // a bug
	}
	var out []byte
	for text := bytes.TrimSuffix(b.Bytes(), []byte("\n")); len(text) > 0; {
		r, size := utf8.DecodeRune(text)
		switch {
		case r < utf8.RuneSelf:
			out = append(out, byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		text = text[size:]
	}
	return out
}
