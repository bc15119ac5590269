package access

import (
	"strings"
	"time"

	"github.com/hubward/hubward"
)

// EdgeHubModule is the module of an Edge device that connects the identities in the device's scope to the hub, by a token of its
// own: it acts on their behalf.
//
// Source: Azure/iotedge edge-hub/core/src/Microsoft.Azure.Devices.Edge.Hub.CloudProxy/CloudConnectionProvider.cs and
// Microsoft.Azure.Devices.Edge.Hub.Service/modules/CommonModule.cs, EdgeHubClientAuthTokenProvider; the same for the hub's
// side: Microsoft.Azure.Devices.Edge.Hub.Core/DeviceScopeAuthenticator.cs, AuthenticateWithAuthChain.
const EdgeHubModule = "$edgeHub"

// Chain is the authentication chain of an identity on whose behalf an Edge hub acts, as the Edge hub writes it: the identity, the
// device of it when it is a module, then the Edge devices above it, the one of the Edge hub last. E.g. "leaf;lower;top",
// "lower/filter;lower".
//
// Source: Azure/iotedge edge-hub/core/src/Microsoft.Azure.Devices.Edge.Hub.Core/AuthChainHelpers.cs, ServiceIdentityTree.cs.
func Chain(id hubward.Identity, ancestors ...string) string {
	links := []string{id.String()}
	if id.Module != "" && (len(ancestors) == 0 || ancestors[0] != id.Device) {
		links = append(links, id.Device)
	}
	return strings.Join(append(links, ancestors...), ";")
}

// IsEdgeHub reports whether p is that of an Edge hub, by its own token: the only one that may act for others.
func (p *Principal) IsEdgeHub() bool {
	return p.Identity.Module == EdgeHubModule && p.Policy == "" && p.token != nil && p.Actor == (hubward.Identity{})
}

// OnBehalf returns the principal by which p, an Edge hub's own, connects the identity id, of which entry is the registry's. That
// id is in the scope of p's device, the caller has seen.
//
// Errors: CodeUnauthorizedAccess with the reason in Err.
func (p *Principal) OnBehalf(id hubward.Identity, entry *hubward.Device, now time.Time) (Principal, error) {
	switch {
	case !p.IsEdgeHub():
		return Principal{}, Refuse(ReasonResource, "nobody but an Edge hub acts on behalf of others")
	case p.Expired(now):
		return Principal{}, Refuse(ReasonExpired, "the token of the Edge hub has expired")
	case entry.Status == hubward.StatusDisabled:
		return Principal{}, Refuse(ReasonDisabled, "the identity is disabled")
	}
	next := *p
	next.Actor, next.actorGeneration = p.Identity, p.Generation
	next.Identity, next.Generation, next.Verified = id, entry.GenerationID, now
	return next, nil
}

// ActedBy returns p, by which an Edge hub acts on somebody's behalf, as it is on the Edge hub's present token, of which actor is
// the principal; false if actor is not that Edge hub.
func (p *Principal) ActedBy(actor *Principal) (Principal, bool) {
	if !actor.IsEdgeHub() || p.Actor != actor.Identity || p.actorGeneration != actor.Generation {
		return Principal{}, false
	}
	next := *p
	next.Expires, next.token = actor.Expires, actor.token
	return next, true
}

// VerifyActor checks that the Edge hub that acts by p, of which entry is the registry's at this moment, still is who it was.
//
// Errors: CodeUnauthorizedAccess with the reason in Err.
func (p *Principal) VerifyActor(entry *hubward.Device) error {
	if p.actorGeneration != entry.GenerationID {
		return Refuse(ReasonUnknown, "the Edge hub was registered anew since the log-in")
	}
	return verifyOwn(p.token, entry)
}
