package hub

import (
	"context"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// Module returns one module with its connection state as it is now. p has RegistryRead, or is the device itself.
//
// Errors: CodeUnauthorizedAccess, CodeNoSuchHub, CodeDeviceNotFound, CodeModuleNotFound.
func (h *Hub) Module(ctx context.Context, p *access.Principal, id hubward.Identity) (*hubward.Module, error) {
	return nil, errNotBuilt
}

// Modules returns a device's modules, by id; p as for Module. Errors: CodeDeviceNotFound.
func (h *Hub) Modules(ctx context.Context, p *access.Principal, device string) ([]hubward.Module, error) {
	return nil, errNotBuilt
}

// PutModule creates a module (ifMatch "") or replaces one, as PutDevice does. p has RegistryWrite, or is the device itself.
//
// Errors: those of PutDevice; CodeModuleAlreadyExistsOnDevice; CodeTooManyModulesOnDevice.
//
// Source: learn.microsoft.com/rest/api/iothub/service/modules.
func (h *Hub) PutModule(ctx context.Context, p *access.Principal, m hubward.Module, ifMatch string) (*hubward.Module, error) {
	return nil, errNotBuilt
}

// DeleteModule removes a module, and disconnects it. ifMatch is "*" or an etag. p as for PutModule.
func (h *Hub) DeleteModule(ctx context.Context, p *access.Principal, id hubward.Identity, ifMatch string) error {
	return errNotBuilt
}
