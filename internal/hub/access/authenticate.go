package access

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/sas"
)

// The functions below check one kind of credential each. That a token is for a host of the hub, the caller has checked.
//
// Errors of all of them: CodeUnauthorizedAccess with the reason in Err, which is never sent: the peer only learns that it
// was refused.

// PolicyToken checks a token that names a policy. Event Hubs clients sign with the text of the policy's key, all others
// with the bytes that it stands for; which one a token needs cannot be seen, so both are good.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-dev-guide-sas; Azure/azure-sdk-for-python
// sdk/eventhub/azure-eventhub/azure/eventhub/_pyamqp/utils.py.
func PolicyToken(t *sas.Token, policies []Policy, now time.Time) (Principal, error) {
	if err := checkTime(t, now); err != nil {
		return Principal{}, err
	}
	for i := range policies {
		p := &policies[i]
		if p.Name != t.Policy {
			continue
		}
		if !signedWith(t, p.PrimaryKey) && !signedWith(t, p.SecondaryKey) {
			return Principal{}, Refuse(ReasonKey, "the signature does not match the policy's keys")
		}
		return Principal{Policy: p.Name, Permissions: p.Permissions, Scope: ScopeHub, Method: "sas", Expires: t.Expiry, token: t}, nil
	}
	return Principal{}, Refuse(ReasonUnknown, "there is no such policy")
}

func signedWith(t *sas.Token, key string) bool { return t.VerifyKey(key) || t.VerifyKeyText(key) }

// IdentityToken checks a token that is signed with a key of the identity id, of which entry is the registry's.
func IdentityToken(t *sas.Token, id hubward.Identity, entry *hubward.Device, now time.Time) (Principal, error) {
	if err := checkTime(t, now); err != nil {
		return Principal{}, err
	}
	if err := verifyOwn(t, entry); err != nil {
		return Principal{}, err
	}
	if !t.Covers(PathOf(id)...) {
		return Principal{}, Refuse(ReasonResource, "the token is for another resource")
	}
	p := ownPrincipal(id, entry, now)
	p.Method, p.Expires, p.token = "sas", t.Expiry, t
	return p, nil
}

func ownPrincipal(id hubward.Identity, entry *hubward.Device, now time.Time) Principal {
	scope := ScopeDevice
	if id.Module != "" {
		scope = ScopeModule
	}
	return Principal{Permissions: DeviceConnect, Identity: id, Scope: scope, Verified: now, Generation: entry.GenerationID}
}

// verifyOwn checks the signature of an identity's own token.
func verifyOwn(t *sas.Token, entry *hubward.Device) error {
	auth := entry.Authentication
	if auth == nil || auth.Type != hubward.AuthSAS {
		return Refuse(ReasonMethod, "the identity does not authenticate with a key")
	}
	if !t.VerifyKey(string(auth.SymmetricKey.PrimaryKey)) && !t.VerifyKey(string(auth.SymmetricKey.SecondaryKey)) {
		return Refuse(ReasonKey, "the signature does not match the identity's keys")
	}
	return nil
}

// Identities returns whom a token's resource names: nobody, an identity, or two that it can mean, the likelier one
// first. The .NET SDK encodes ids twice, and an id may look as if it were encoded.
func Identities(t *sas.Token) []hubward.Identity {
	s := t.Segment // the host first
	if len(s) < 3 || !strings.EqualFold(s[1], "devices") || s[2] == "" {
		return nil
	}
	id, again := hubward.Identity{Device: s[2]}, hubward.Identity{Device: t.DecodedTwice(2)}
	if len(s) > 4 && strings.EqualFold(s[3], "modules") {
		id.Module, again.Module = s[4], t.DecodedTwice(4)
	}
	if again == id {
		return []hubward.Identity{id}
	}
	return []hubward.Identity{id, again}
}

// PolicyKey checks a policy's name and the text of one of its keys. The principal does not expire.
func PolicyKey(policies []Policy, name, key string) (Principal, error) {
	for i := range policies {
		p := &policies[i]
		if p.Name != name {
			continue
		}
		if key == "" || !sameText(key, p.PrimaryKey) && !sameText(key, p.SecondaryKey) {
			return Principal{}, Refuse(ReasonKey, "the key is not the policy's")
		}
		return Principal{Policy: p.Name, Permissions: p.Permissions, Scope: ScopeHub, Method: "sas"}, nil
	}
	return Principal{}, Refuse(ReasonUnknown, "there is no such policy")
}

// Certificate checks a client's chain, of which TLS has seen that the client holds the leaf's key. The identity id, of which entry
// is the registry's, has either the thumbprint of the leaf, and then who issued it is not looked at; or it authenticates with a
// certificate authority, and then a path of certificates leads to one of a's, and the leaf's common name is the identity. As in the
// cloud, each certificate that counts has to be within its time. The principal expires when the first of them does.
//
// Source: Azure/iotedge#621; learn.microsoft.com/azure/iot-hub/authenticate-authorize-x509.
func Certificate(chain []*x509.Certificate, id hubward.Identity, entry *hubward.Device, a *Admission, now time.Time) (Principal, error) {
	if len(chain) == 0 {
		return Principal{}, Refuse(ReasonCredential, "there is no certificate")
	}
	path, err := a.pathOf(chain, id, entry, now)
	if err != nil {
		return Principal{}, err
	}
	p := ownPrincipal(id, entry, now)
	p.Method, p.Expires, p.chain, p.path = "x509", path.until, chain, path
	return p, nil
}

func (a *Admission) pathOf(chain []*x509.Certificate, id hubward.Identity, entry *hubward.Device, now time.Time) (*Path, error) {
	switch auth := entry.Authentication; {
	case auth != nil && auth.Type == hubward.AuthSelfSigned:
		path := newPath(chain[:1:1], nil)
		if err := a.checkLeaf(path, now); err != nil {
			return nil, err
		}
		return path, checkThumbprint(chain[0], auth)
	case auth != nil && auth.Type == hubward.AuthCertificate:
		if err := checkCommonName(chain[0], id); err != nil {
			return nil, err
		}
		return a.Authorities.verify(chain, a.Revoked, now)
	}
	return nil, Refuse(ReasonMethod, "the identity does not authenticate with a certificate")
}

// verifyAgain is pathOf for a principal that was let in before.
func (a *Admission) verifyAgain(p *Principal, entry *hubward.Device, now time.Time) (*Path, error) {
	auth := entry.Authentication
	byAuthority := auth != nil && auth.Type == hubward.AuthCertificate
	if byAuthority != (p.path.authority != nil) {
		return a.pathOf(p.chain, p.Identity, entry, now)
	}
	path, err := a.admitsPath(p, now)
	if err == nil && !byAuthority {
		err = checkThumbprint(p.chain[0], auth)
	}
	return path, err
}

func checkThumbprint(cert *x509.Certificate, auth *hubward.Authentication) error {
	if auth == nil || auth.Type != hubward.AuthSelfSigned {
		return Refuse(ReasonMethod, "the identity does not authenticate with a certificate")
	}
	known := auth.X509Thumbprint
	if !hasThumbprint(cert, string(known.PrimaryThumbprint)) && !hasThumbprint(cert, string(known.SecondaryThumbprint)) {
		return Refuse(ReasonKey, "the certificate does not match the identity's thumbprints")
	}
	return nil
}

// hasThumbprint compares the certificate with a thumbprint in hexadecimal digits of either case: by their number it is
// of SHA-256 or of SHA-1, which the cloud's registry takes too. No way is known to make a certificate with a given SHA-1.
func hasThumbprint(cert *x509.Certificate, thumbprint string) bool {
	switch len(thumbprint) {
	case 2 * sha1.Size:
		sum := sha1.Sum(cert.Raw)
		return sameText(hex.EncodeToString(sum[:]), strings.ToLower(thumbprint))
	case 2 * sha256.Size:
		sum := sha256.Sum256(cert.Raw)
		return sameText(hex.EncodeToString(sum[:]), strings.ToLower(thumbprint))
	}
	return false
}

// sameText compares in a time that depends on the lengths alone.
func sameText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// checkTime refuses an expired token at once, without the five minutes of skew that the SDKs allow themselves: a
// reconnect storm with stale tokens ends in an error that the application sees.
func checkTime(t *sas.Token, now time.Time) error {
	if now.After(t.Expiry) {
		return Refuse(ReasonExpired, "the token has expired")
	}
	return nil
}
