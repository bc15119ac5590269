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

// Grant is what one log-in allows: a principal, and how much of the hub it may act on.
type Grant struct {
	Principal
	token *sas.Token        // nil: a log-in without a token, by a key or a certificate
	cert  *x509.Certificate // nil: a log-in without a certificate
}

// Allows reports whether the grant holds all of want for the resource that path names below the host, e.g. "devices",
// "d1" or the hub's name, "ConsumerGroups", "$Default". A device's own grant holds DeviceConnect for itself alone, which
// does not include its modules. Whether the grant has expired is the caller's to look at.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-dev-guide-sas.
func (g *Grant) Allows(want Rights, path ...string) bool {
	if !g.Rights.Has(want) || g.token != nil && !g.token.Covers(path...) {
		return false
	}
	return g.Device == (hubward.Identity{}) || isOf(g.Device, path)
}

// isOf reports whether path is that of an identity, or below it.
func isOf(id hubward.Identity, path []string) bool {
	if len(path) < 2 || !strings.EqualFold(path[0], "devices") || path[1] != id.Device {
		return false
	}
	ofModule := len(path) > 2 && strings.EqualFold(path[2], "modules")
	if id.Module == "" {
		return !ofModule
	}
	return ofModule && len(path) > 3 && path[3] == id.Module
}

// PolicyGrant checks a token that names a policy. Event Hubs clients sign with the text of the policy's key, all others
// with the bytes that it stands for; which one a token needs cannot be seen, so both are good.
//
// Errors: CodeUnauthorizedAccess with the reason in Err.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-dev-guide-sas; Azure/azure-sdk-for-python
// sdk/eventhub/azure-eventhub/azure/eventhub/_pyamqp/utils.py.
func PolicyGrant(t *sas.Token, policies []Policy, now time.Time) (Grant, error) {
	if err := checkTime(t, now); err != nil {
		return Grant{}, err
	}
	for i := range policies {
		p := &policies[i]
		if p.Name != t.Policy {
			continue
		}
		if !signedWith(t, p.PrimaryKey) && !signedWith(t, p.SecondaryKey) {
			return Grant{}, refuse("the signature does not match the policy's keys")
		}
		return Grant{Principal{Policy: p.Name, Rights: p.Rights, Scope: ScopeHub, Method: "sas", Expires: t.Expiry}, t, nil}, nil
	}
	return Grant{}, refuse("there is no such policy")
}

func signedWith(t *sas.Token, key string) bool { return t.VerifyKey(key) || t.VerifyKeyText(key) }

// Identities returns whom a token's resource names: nobody, an identity, or two that it can mean, the likelier one
// first. .NET encodes ids twice, and an id may look as if it were encoded.
//
// Source: Azure/azure-iot-sdk-csharp iothub/device/src/Authentication/DeviceAuthenticationWithSakRefresh.cs.
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

// DeviceGrant checks a token that is signed with a key of the device id, of which device is the registry's entry.
//
// Errors: as PolicyGrant.
func DeviceGrant(t *sas.Token, id hubward.Identity, device *hubward.Device, now time.Time) (Grant, error) {
	if err := checkTime(t, now); err != nil {
		return Grant{}, err
	}
	if err := verifyDevice(t, device); err != nil {
		return Grant{}, err
	}
	return Grant{devicePrincipal(id, device, "sas", t.Expiry), t, nil}, nil
}

func devicePrincipal(id hubward.Identity, device *hubward.Device, method string, expires time.Time) Principal {
	return Principal{
		Rights: DeviceConnect, Device: id, Scope: ScopeDevice, Method: method, Expires: expires, Generation: device.GenerationID,
	}
}

// Speak returns the principal of the grant's holder who speaks for the device id, of which device is the registry's entry
// of this moment: what a device's own grant was given on may have been replaced since. A policy's grant stays what it was.
//
// Errors: as PolicyGrant.
func (g *Grant) Speak(id hubward.Identity, device *hubward.Device, now time.Time) (Principal, error) {
	path := []string{"devices", id.Device}
	if id.Module != "" {
		path = append(path, "modules", id.Module)
	}
	if !g.Allows(DeviceConnect, path...) {
		return Principal{}, refuse("the log-in is not for the device")
	}
	p := g.Principal
	p.Device = id
	switch {
	case g.Device == (hubward.Identity{}):
		p.Rights, p.Generation = DeviceConnect, device.GenerationID
	case g.Generation != device.GenerationID:
		return Principal{}, refuse("the device was registered anew since the log-in")
	case g.cert != nil:
		if _, err := CertificateGrant(g.cert, id, device, now); err != nil {
			return Principal{}, err
		}
	case g.token != nil:
		if err := verifyDevice(g.token, device); err != nil {
			return Principal{}, err
		}
	}
	return p, nil
}

// KeyGrant checks a log-in with a policy's name and the text of one of its keys.
//
// Errors: as PolicyGrant.
func KeyGrant(policies []Policy, name, key string) (Grant, error) {
	for i := range policies {
		p := &policies[i]
		if p.Name != name {
			continue
		}
		if key == "" || !sameText(key, p.PrimaryKey) && !sameText(key, p.SecondaryKey) {
			return Grant{}, refuse("the key is not the policy's")
		}
		return Grant{Principal: Principal{Policy: p.Name, Rights: p.Rights, Scope: ScopeHub, Method: "sas"}}, nil
	}
	return Grant{}, refuse("there is no such policy")
}

// CertificateGrant checks a certificate, which TLS has seen the client hold the key of, against the thumbprints of the
// device id. As in the cloud, a certificate has to be within its time; who issued it is not looked at.
//
// Errors: as PolicyGrant.
//
// Source: Azure/iotedge#621.
func CertificateGrant(cert *x509.Certificate, id hubward.Identity, device *hubward.Device, now time.Time) (Grant, error) {
	auth := device.Authentication
	switch {
	case cert == nil:
		return Grant{}, refuse("there is no certificate")
	case auth == nil || auth.Type == hubward.AuthSAS:
		return Grant{}, refuse("the device does not authenticate with a certificate")
	case auth.Type != hubward.AuthSelfSigned:
		return Grant{}, refuse("devices that authenticate with a certificate authority cannot log in yet, those with a thumbprint can")
	case now.Before(cert.NotBefore):
		return Grant{}, refuse("the certificate is not valid yet")
	case now.After(cert.NotAfter):
		return Grant{}, refuse("the certificate has expired")
	}
	known := auth.X509Thumbprint
	if !hasThumbprint(cert, string(known.PrimaryThumbprint)) && !hasThumbprint(cert, string(known.SecondaryThumbprint)) {
		return Grant{}, refuse("the certificate does not match the device's thumbprints")
	}
	return Grant{devicePrincipal(id, device, "x509", time.Time{}), nil, cert}, nil
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
