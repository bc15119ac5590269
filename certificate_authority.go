package hubward

// CertificateAuthority is an authority whose certificates let devices and modules of a hub in: those whose authentication type
// is AuthCertificate, and whose certificate it signed, or an authority below it did.
//
// The names are those of the cloud's resource manager; Disabled is ours.
//
// Source: learn.microsoft.com/azure/templates/microsoft.devices/iothubs/certificates.
type CertificateAuthority struct {
	Name        string `json:"name"`       // 1 to 64 letters, digits, '-', '.' and '_'
	Subject     string `json:"subject"`    // as RFC 4514 writes it
	Thumbprint  string `json:"thumbprint"` // SHA-256, 64 hex digits in upper case
	Verified    bool   `json:"isVerified"` // who registered it has shown that they hold its key; before that it lets nobody in
	Disabled    bool   `json:"isDisabled"` // it lets nobody in
	Created     Time   `json:"created"`
	Updated     Time   `json:"updated"`
	Expiry      Time   `json:"expiry"`
	Certificate string `json:"certificate"` // PEM
	ETag        string `json:"etag"`
	// VerificationCode is what the common name of a certificate has to be, signed with the authority's key, that proves who holds
	// that key. Empty unless one was asked for.
	VerificationCode string `json:"verificationCode,omitempty"`
}
