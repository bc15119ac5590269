package hub

import (
	"encoding/base64"

	"github.com/hubward/hubward"
)

// Limits of an identity's fields.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-identity-registry, device identity properties.
const (
	maxStatusReason = 128
	minKeySize      = 16
	maxKeySize      = 64
	maxParents      = 1 // Source: Azure/azure-iot-sdk-csharp iothub/service/src/Device.cs, ParentScopes.
	maxScopeLength  = 256
)

// checkDevice checks what a caller wrote and fills in the defaults, except for keys.
func checkDevice(d *hubward.Device) error {
	if err := hubward.ValidateID(d.DeviceID); err != nil {
		return err
	}
	switch d.Status {
	case "":
		d.Status = hubward.StatusEnabled
	case hubward.StatusEnabled, hubward.StatusDisabled:
	default:
		return hubward.Errorf(hubward.CodeArgumentInvalid, "status: %.40q is neither enabled nor disabled", d.Status)
	}
	if len(d.StatusReason) > maxStatusReason {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "statusReason: %d characters are more than %d", len(d.StatusReason), maxStatusReason)
	}
	if len(d.ParentScopes) > maxParents && d.Capabilities.IotEdge { // those of others are not looked at
		return hubward.Errorf(hubward.CodeArgumentInvalid, "parentScopes: %d are more than %d, a device has one parent", len(d.ParentScopes), maxParents)
	}
	if len(d.DeviceScope) > maxScopeLength {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "deviceScope: too long")
	}
	for _, s := range d.ParentScopes {
		if len(s) > maxScopeLength {
			return hubward.Errorf(hubward.CodeArgumentInvalid, "parentScopes: too long")
		}
	}
	return nil
}

// completeAuthentication checks the credentials and makes the keys that a SAS identity lacks. What does not belong to
// the authentication type is dropped. mayBeNone: it need not have any.
func (h *Hub) completeAuthentication(d *hubward.Device, mayBeNone bool) error {
	auth := hubward.Authentication{}
	if d.Authentication != nil {
		auth = *d.Authentication
	}
	if auth.Type == "" {
		auth.Type = hubward.AuthSAS
		if auth.X509Thumbprint.PrimaryThumbprint != "" && auth.SymmetricKey.PrimaryKey == "" {
			auth.Type = hubward.AuthSelfSigned
		}
	}
	d.Authentication = &auth
	switch auth.Type {
	case hubward.AuthSAS:
		auth.X509Thumbprint = hubward.X509Thumbprint{}
		return h.completeKeys(&auth.SymmetricKey)
	case hubward.AuthSelfSigned:
		auth.SymmetricKey = hubward.SymmetricKey{}
		return checkThumbprints(auth.X509Thumbprint)
	case hubward.AuthNone:
		if !mayBeNone {
			break
		}
		auth.SymmetricKey, auth.X509Thumbprint = hubward.SymmetricKey{}, hubward.X509Thumbprint{}
		return nil
	case hubward.AuthCertificate:
		auth.SymmetricKey, auth.X509Thumbprint = hubward.SymmetricKey{}, hubward.X509Thumbprint{}
		return nil
	}
	return hubward.Errorf(hubward.CodeArgumentInvalid, "authentication.type: %.40q is not sas, selfSigned or certificateAuthority", auth.Type)
}

// completeKeys makes both keys when both are blank, and refuses a single one.
func (h *Hub) completeKeys(k *hubward.SymmetricKey) error {
	if k.PrimaryKey == "" && k.SecondaryKey == "" {
		primary, err := h.newKey()
		if err != nil {
			return err
		}
		secondary, err := h.newKey()
		*k = hubward.SymmetricKey{PrimaryKey: hubward.NullString(primary), SecondaryKey: hubward.NullString(secondary)}
		return err
	}
	if err := checkKey("primaryKey", k.PrimaryKey); err != nil {
		return err
	}
	return checkKey("secondaryKey", k.SecondaryKey)
}

func checkKey(name string, key hubward.NullString) error {
	if key == "" {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "authentication.symmetricKey.%s: give both keys or neither", name)
	}
	raw, err := base64.StdEncoding.DecodeString(string(key))
	if err != nil {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "authentication.symmetricKey.%s: it is not base64", name)
	}
	if len(raw) < minKeySize || len(raw) > maxKeySize {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "authentication.symmetricKey.%s: a key has %d to %d bytes, this one has %d", name, minKeySize, maxKeySize, len(raw))
	}
	return nil
}

func checkThumbprints(t hubward.X509Thumbprint) error {
	primary, secondary := string(t.PrimaryThumbprint), string(t.SecondaryThumbprint)
	for _, v := range []struct{ name, hex string }{{"primaryThumbprint", primary}, {"secondaryThumbprint", secondary}} {
		if v.hex != "" && !isThumbprint(v.hex) {
			return hubward.Errorf(hubward.CodeArgumentInvalid, "authentication.x509Thumbprint.%s: StringIsNotThumbprint, it has 40 or 64 hex digits without separators", v.name)
		}
	}
	if primary != "" && secondary != "" && len(primary) != len(secondary) {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "authentication.x509Thumbprint: both thumbprints have the same length")
	}
	return nil
}

func isThumbprint(s string) bool {
	if len(s) != 40 && len(s) != 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return false
		}
	}
	return true
}
