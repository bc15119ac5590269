package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/hubward/hubward"
)

// maxErrorBody bounds the body of an error answer, in bytes.
const maxErrorBody = 64 << 10

// answerError turns an answer that is no success into a *hubward.Error. The code is that of the iothub-errorcode
// header, else of the envelope; when neither is known, it is the HTTP status times 1000.
//
// Source: Azure/azure-iot-sdk-node common/transport/http/src/rest_api_client.ts.
func answerError(r *request, res *http.Response) error {
	body, _ := readBounded(res.Body, maxErrorBody) // a broken error body is still an error
	name, number, text := parseEnvelope(body)
	code, known := hubward.CodeFromName(res.Header.Get("iothub-errorcode"))
	if !known {
		code, known = hubward.CodeFromName(name)
	}
	if !known && number/1000 == res.StatusCode {
		code, known = hubward.Code(number), true
	}
	if !known {
		code = hubward.Code(res.StatusCode * 1000)
		if text == "" {
			text = "the answer was HTTP " + res.Status
		}
	}
	return &hubward.Error{Code: code, Op: r.op, Identity: hubward.Identity{Device: r.device, Module: r.module}, Message: text}
}

// clockTolerance is by how much clocks may differ before a refused log-in is blamed on them.
const clockTolerance = 5 * time.Minute

// suspectClock adds to a refused log-in that the hub's clock, as the Date of its answer has it, is far from now.
func suspectClock(err error, res *http.Response, now time.Time) error {
	theirs, dateErr := http.ParseTime(res.Header.Get("Date"))
	var e *hubward.Error
	if !errors.As(err, &e) || e.Code.HTTPStatus() != http.StatusUnauthorized || dateErr != nil || now.Sub(theirs).Abs() <= clockTolerance {
		return err
	}
	e.Message += fmt.Sprintf(" (the clock here says %s and the hub's %s, so it may take a new token for an old one)",
		now.UTC().Format(time.RFC3339), theirs.UTC().Format(time.RFC3339))
	return e
}

// parseEnvelope takes apart the forms in which hubs send errors: Message "ErrorCode:Name;text", a numeric errorCode
// with message, and the latter as a string inside the former.
func parseEnvelope(body []byte) (name string, number int, text string) {
	var e struct {
		Message          string          `json:"Message"` // matches "message" too
		ExceptionMessage string          `json:"ExceptionMessage"`
		ErrorCode        json.RawMessage `json:"errorCode"`
	}
	if json.Unmarshal(body, &e) != nil {
		return "", 0, ""
	}
	if strings.HasPrefix(e.Message, "{") {
		if name, number, text = parseEnvelope([]byte(e.Message)); name != "" || number != 0 {
			return name, number, text
		}
	}
	if rest, ok := strings.CutPrefix(e.Message, "ErrorCode:"); ok {
		name, text, _ = strings.Cut(rest, ";")
		return name, 0, text
	}
	if json.Unmarshal(e.ErrorCode, &number) != nil {
		json.Unmarshal(e.ErrorCode, &name)
	}
	return name, number, e.Message
}

// explain says what to do about an error of the network. It wraps err.
func explain(host string, err error) error {
	var unknown x509.UnknownAuthorityError
	var wrongHost x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var dns *net.DNSError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &unknown):
		return fmt.Errorf("the certificate of %s is signed by an authority that is not trusted here: trust the hub's tls/ca.pem (--ca FILE, HUBWARD_CA or Options.RootCAs): %w", host, err)
	case errors.As(err, &wrongHost):
		return fmt.Errorf("the certificate is not for %s: use a name that it holds as HostName, or give the hub this one with --hostname: %w", host, err)
	case errors.As(err, &invalid):
		return fmt.Errorf("the certificate of %s is not valid: check the clocks on both sides and the certificate's dates: %w", host, err)
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("%s does not speak TLS: check the host name and port: %w", host, err)
	case errors.As(err, &dns):
		return fmt.Errorf("the host name %s is not known here: check it, or add it to the hosts file: %w", host, err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s closed the connection without an answer: check that the port is that of the hub's HTTPS listener: %w", host, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens at %s: start the hub, or check the host name and port: %w", host, err)
	}
	return fmt.Errorf("calling %s failed: %w", host, err)
}
