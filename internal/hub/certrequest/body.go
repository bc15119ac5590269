package certrequest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hubward/hubward"
)

// Bounds of a request. Ids and what they may hold: Azure/azure-sdk-for-c, branch feature/dps-csr-preview, az_iot_hub_client_csr.c;
// the longest id is ours.
const (
	MaxCSR       = 8192 // characters of base64
	maxRequestID = 128
	minReplace   = 4
	maxReplace   = 36
)

// ReplaceAny as Replace names whichever request the hub has of the device, if any.
const ReplaceAny = "*"

// Request is a device's request for a certificate.
type Request struct {
	ID      string // of the request
	CSR     []byte // DER, if it is what it should be
	Replace string // ID of the request that this one replaces, or ReplaceAny; empty: none
}

// Hash tells signing requests apart.
func (r *Request) Hash() []byte {
	sum := sha256.Sum256(r.CSR)
	return sum[:]
}

// Parse reads the body of the request with that id, of a device.
//
// Errors: an *Error with CodeFormatError or CodeArgumentInvalid.
func Parse(id, device string, body []byte) (*Request, error) {
	if !isID(id, 1, maxRequestID) {
		return nil, refuse("$rid: it has 1 to %d letters, digits and dashes, with no dash at either end", maxRequestID)
	}
	members, err := parseMembers(body)
	if err != nil {
		return nil, err
	}
	r := &Request{ID: id}
	for _, m := range []struct {
		name string
		read func(string) error
	}{
		{"id", func(text string) error { return checkDevice(text, device) }},
		{"csr", func(text string) (err error) { r.CSR, err = decodeCSR(text); return err }},
		{"replace", func(text string) error { r.Replace = text; return checkReplace(text) }},
	} {
		text, err := members.text(m.name)
		if err != nil {
			return nil, err
		}
		if text == nil {
			if m.name != "replace" {
				return nil, refuse("%s: it is missing", m.name)
			}
			continue
		}
		if err := m.read(*text); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func checkDevice(text, device string) error {
	switch text {
	case "":
		return refuse("id: it is empty")
	case device:
		return nil
	}
	return refuse("id: it is not the id of the device that asks")
}

func decodeCSR(text string) ([]byte, error) {
	switch {
	case text == "":
		return nil, refuse("csr: it is empty")
	case len(text) > MaxCSR:
		return nil, refuse("csr: it has %d characters, the limit is %d", utf8.RuneCountInString(text), MaxCSR)
	case strings.ContainsAny(text, "\r\n"): // which the decoder passes over
		return nil, refuse("csr: it is not base64 in one line")
	}
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, refuse("csr: it is not base64")
	}
	return der, nil
}

func checkReplace(text string) error {
	if text != ReplaceAny && !isID(text, minReplace, maxReplace) {
		return refuse("replace: it is neither * nor the id of a request, which has %d to %d letters, digits and dashes, with no dash at either end", minReplace, maxReplace)
	}
	return nil
}

func isID(text string, least, most int) bool {
	if len(text) < least || len(text) > most || text[0] == '-' || text[len(text)-1] == '-' {
		return false
	}
	for _, c := range []byte(text) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// members are those of the request's object, by their exact names.
type members map[string]json.RawMessage

func parseMembers(body []byte) (members, error) {
	body = bytes.TrimSpace(body)
	switch {
	case len(body) == 0:
		return nil, refuse("the request has no body")
	case !utf8.Valid(body) || !json.Valid(body):
		return nil, &Error{Code: hubward.CodeFormatError, Message: "the body is no JSON"}
	case body[0] != '{':
		return nil, refuse("the body is no JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	_, _ = d.Token() // the brace, as above
	all := make(members)
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		var value json.RawMessage
		if err == nil && ok {
			err = d.Decode(&value)
		}
		if err != nil || !ok {
			return nil, &Error{Code: hubward.CodeFormatError, Message: "the body is no JSON"}
		}
		if name != "id" && name != "csr" && name != "replace" {
			return nil, refuse("the body has a member %+.40q, which is not id, csr or replace", name)
		}
		if all[name] != nil {
			return nil, refuse("%s: it is there twice", name)
		}
		all[name] = value
	}
	return all, nil
}

// text returns a member that is a string; nil: it is null, or there is none.
func (m members) text(name string) (*string, error) {
	raw, ok := m[name]
	if !ok || string(raw) == "null" {
		return nil, nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, refuse("%s: it is no string", name)
	}
	return &text, nil
}

func refuse(format string, args ...any) *Error {
	return &Error{Code: hubward.CodeArgumentInvalid, Message: fmt.Sprintf(format, args...)}
}
