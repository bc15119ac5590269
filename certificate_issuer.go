package hubward

// CertificateIssuer is whether and how a hub issues certificates to its devices itself, and the authority that signs them, which the
// hub makes when it is first told to. A device logs in with such a certificate whether or not it is told which authority that was.
//
// The names are ours: the cloud has this in another service, Azure Device Registry.
type CertificateIssuer struct {
	Enabled  bool     `json:"isEnabled"`
	Validity string   `json:"validity"` // of a certificate, as ParseDuration reads it, e.g. "2160h0m0s"
	Keys     []string `json:"keys"`     // that requests may have: "ec-p256", "ec-p384", "ec-p521", "rsa-2048", "rsa-3072", "rsa-4096"
	// The certificate that signs and the root that has signed it, in PEM; empty before the authority was made. The hub makes a new
	// one of either in time, and keeps those of before until their certificates have ended.
	Certificate string `json:"certificate"`
	Root        string `json:"root"`
	Expiry      Time   `json:"expiry"` // of Certificate
}

// IssuedCertificate is what a hub has issued to a device at the request of a back end.
type IssuedCertificate struct {
	Certificates string `json:"certificates"` // PEM: the device's, the one that has signed it, the root
	Expiry       Time   `json:"expiry"`       // of the device's
}
