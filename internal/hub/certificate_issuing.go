package hub

import "time"

// Issuing is whether and how a hub issues certificates to its devices itself.
type Issuing struct {
	Enabled  bool
	Validity time.Duration // of a certificate
	Keys     []string      // the kinds that a request may have: "ec-p256", "ec-p384", "ec-p521", "rsa-2048", "rsa-3072", "rsa-4096"

	// The authority, made when it is first enabled: the certificate that signs, and the root that signed that, in DER, and their
	// keys as PKCS #8.
	Issuer, Root       []byte
	IssuerKey, RootKey []byte
}
