package hub

import (
	"context"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// TwinUpdate is what a back end writes to a twin: JSON texts, nil for a section that the request does not have.
type TwinUpdate struct {
	Tags    []byte
	Desired []byte
}

var errNotBuilt = hubward.Errorf(hubward.CodeServerError, "not built")

// Twin returns an identity's twin, with its connection state as it is now. p has ServiceConnect.
//
// Errors: CodeUnauthorizedAccess, CodeNoSuchHub, CodeDeviceNotFound, CodeModuleNotFound.
func (h *Hub) Twin(ctx context.Context, p *access.Principal, id hubward.Identity) (*hubward.Twin, error) {
	return nil, errNotBuilt
}

// UpdateTwin merges u into an identity's twin, and returns what it is then, durably. ifMatch is an etag of the twin; "" and "*"
// match any. p has ServiceConnect.
//
// Errors: those of Twin; CodeFormatError, CodeArgumentInvalid naming the property; CodePreconditionFailed.
func (h *Hub) UpdateTwin(ctx context.Context, p *access.Principal, id hubward.Identity, u TwinUpdate, ifMatch string) (*hubward.Twin, error) {
	return nil, errNotBuilt
}

// ReplaceTwin replaces tags and desired properties; a section that u does not have becomes empty. The rest is as for UpdateTwin.
func (h *Hub) ReplaceTwin(ctx context.Context, p *access.Principal, id hubward.Identity, u TwinUpdate, ifMatch string) (*hubward.Twin, error) {
	return nil, errNotBuilt
}
