package certrequest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"

	"github.com/hubward/hubward"
)

// KeyKinds are the kinds of keys that a request may have, if its hub allows them: an RSA key counts as the largest kind that has no
// more bits than it.
var KeyKinds = []string{"ec-p256", "ec-p384", "ec-p521", "rsa-2048", "rsa-3072", "rsa-4096"}

// What is wrong with a signing request, in a word. The first is the cloud's; it is not published how it calls the others.
const (
	errorDecode    = "FailedToDecodeCsr"
	errorSignature = "CsrSignatureInvalid"
	errorSubject   = "CsrSubjectInvalid"
	errorKey       = "CsrKeyNotAllowed"
)

// CheckCSR reads a signing request in DER and returns its key, if the request is a device's, has signed itself, and has a key of one
// of the kinds.
//
// Errors: an *Error with CodeCredentialOperationFailed.
//
// Source: RFC 2986.
func CheckCSR(der []byte, device string, kinds []string) (crypto.PublicKey, error) {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fail(errorDecode, "the request is no PKCS #10 in DER: %v", err)
	}
	// Before its signature is looked at: a key may be so large that this takes long.
	kind := KindOf(csr.PublicKey)
	if kind == "" {
		return nil, fail(errorKey, "the request's key is none of %s", strings.Join(KeyKinds, ", "))
	}
	if !slices.Contains(kinds, kind) {
		return nil, fail(errorKey, "the request's key is %s, this hub takes %s", kind, strings.Join(kinds, ", "))
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fail(errorSignature, "the request's signature is not that of its key: %v", err)
	}
	names := 0
	for _, a := range csr.Subject.Names {
		if a.Type.Equal(oidCommonName) {
			names++
		}
	}
	switch {
	case names != 1:
		return nil, fail(errorSubject, "the request's subject has %d common names, not one", names)
	case csr.Subject.CommonName != device:
		return nil, fail(errorSubject, "the request's common name is %+.130q, not the id of the device", csr.Subject.CommonName)
	}
	return csr.PublicKey, nil
}

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// KindOf names the kind of a key, one of KeyKinds; empty: none of them.
func KindOf(key crypto.PublicKey) string {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return "ec-p256"
		case elliptic.P384():
			return "ec-p384"
		case elliptic.P521():
			return "ec-p521"
		}
	case *rsa.PublicKey:
		switch bits := key.N.BitLen(); {
		case bits < 2048 || bits > 4096:
		case bits < 3072:
			return "rsa-2048"
		case bits < 4096:
			return "rsa-3072"
		default:
			return "rsa-4096"
		}
	}
	return ""
}

func fail(word, format string, args ...any) *Error {
	message := fmt.Sprintf(format, args...)
	return &Error{
		Code: hubward.CodeCredentialOperationFailed, Message: "the certificate was not issued: " + message,
		Info: Info{CredentialError: word, CredentialMessage: message},
	}
}
