package hub

import (
	"context"
	"crypto/x509"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// GrantToken checks a token that a connection presents before it says what for: a policy's or a device's, also one of an
// Event Hubs client, whose signature is made with the text of the policy's key. What it covers is in the grant.
//
// Errors: CodeUnauthorizedAccess, with the reason in the cause; CodeDeviceNotFound and CodeModuleNotFound for a token of
// an identity that is not there.
func (h *Hub) GrantToken(ctx context.Context, hub, token string) (access.Grant, error) {
	panic("unwritten")
}

// GrantPolicyKey checks a log-in with a policy's name and the text of one of its keys. hub may be empty, for a client
// that has not said which hub it wants: then it is the hub that has such a policy with such a key.
//
// Errors: CodeUnauthorizedAccess.
func (h *Hub) GrantPolicyKey(hub, policy, key string) (access.Grant, error) { panic("unwritten") }

// GrantCertificate checks the certificate of a device that authenticates with a thumbprint.
//
// Errors: CodeUnauthorizedAccess, with the reason in the cause; CodeDeviceNotFound.
func (h *Hub) GrantCertificate(ctx context.Context, hub string, id hubward.Identity, cert *x509.Certificate) (access.Grant, error) {
	panic("unwritten")
}
