package hub

import (
	"context"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// InvokeMethod calls a direct method of an identity that is connected to whatever node, and returns its answer. It waits for
// the identity to connect, and to take methods, as long as the call says; then for its answer. p has ServiceConnect.
//
// Errors: CodeUnauthorizedAccess, CodeNoSuchHub; CodeArgumentInvalid names the field; CodeMessageTooLarge; CodeDeviceNotFound,
// also for a disabled one, CodeModuleNotFound; CodeDeviceNotOnline; CodeDeviceConnectionClosed when it went without an answer;
// CodeGatewayTimeout; CodeBadDeviceResponse for an answer that is too long or no JSON; CodeThrottled when too many calls to it
// are under way; ctx's error.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-direct-methods.
func (h *Hub) InvokeMethod(ctx context.Context, p *access.Principal, id hubward.Identity, call hubward.MethodCall) (hubward.MethodResult, error) {
	return hubward.MethodResult{}, errNotBuilt
}

// TakeMethods says whether the session takes direct methods.
func (l *Link) TakeMethods(yes bool) {}

// RespondMethod gives the answer to a call: the status is the device's own; payload is JSON, empty for none, and is copied.
// An answer to a call that nobody waits for (any more), or that was answered, is dropped.
func (l *Link) RespondMethod(id uint64, status int, payload []byte) {}
