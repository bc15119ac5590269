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

// twinPaths are what a back end's token may be limited to when it is for one twin: the path of its REST calls, or that of the
// identity.
func twinPaths(id hubward.Identity) [][]string {
	identity := access.PathOf(id)
	return [][]string{append([]string{"twins"}, identity[1:]...), identity}
}

func checkIdentity(id hubward.Identity) error {
	if err := hubward.ValidateID(id.Device); err != nil {
		return err
	}
	if id.Module == "" {
		return nil
	}
	return hubward.ValidateID(id.Module)
}

// Twin returns an identity's twin, with its connection state as it is now. p has ServiceConnect.
//
// Errors: CodeUnauthorizedAccess, CodeNoSuchHub, CodeDeviceNotFound, CodeModuleNotFound; CodeArgumentInvalid for an id that is
// none.
func (h *Hub) Twin(ctx context.Context, p *access.Principal, id hubward.Identity) (*hubward.Twin, error) {
	s, _, err := h.permit(p, access.ServiceConnect, twinPaths(id)...)
	if err != nil {
		return nil, err
	}
	twin, err := h.readTwin(ctx, s, id, "")
	h.observer.TwinRead(s.ref.Name, ByService, err == nil, twinSize(twin))
	return twin, err
}

// twinSize is the bytes of what is in a twin; 0 without one.
func twinSize(t *hubward.Twin) int {
	if t == nil {
		return 0
	}
	return len(t.Tags) + len(t.Properties.Desired) + len(t.Properties.Reported)
}

// UpdateTwin merges u into an identity's twin, and returns what it is then, durably. null clears a section; an update in which
// no section has a member changes nothing. ifMatch is an etag of the twin; "" and "*" match any. p has ServiceConnect.
//
// Errors: those of Twin; CodeFormatError, CodeArgumentInvalid naming the property; CodePreconditionFailed.
//
// Source: learn.microsoft.com/rest/api/iothub/service/devices/update-twin.
func (h *Hub) UpdateTwin(ctx context.Context, p *access.Principal, id hubward.Identity, u TwinUpdate, ifMatch string) (*hubward.Twin, error) {
	return h.writeTwin(ctx, p, id, u, ifMatch, false)
}

// ReplaceTwin replaces tags and desired properties; a section that u does not have becomes empty. The rest is as for UpdateTwin.
//
// Source: learn.microsoft.com/rest/api/iothub/service/devices/replace-twin.
func (h *Hub) ReplaceTwin(ctx context.Context, p *access.Principal, id hubward.Identity, u TwinUpdate, ifMatch string) (*hubward.Twin, error) {
	null := []byte("null")
	if u.Tags == nil {
		u.Tags = null
	}
	if u.Desired == nil {
		u.Desired = null
	}
	return h.writeTwin(ctx, p, id, u, ifMatch, true)
}

func (h *Hub) writeTwin(ctx context.Context, p *access.Principal, id hubward.Identity, u TwinUpdate, ifMatch string, replace bool) (*hubward.Twin, error) {
	s, _, err := h.permit(p, access.ServiceConnect, twinPaths(id)...)
	if err != nil {
		return nil, err
	}
	twin, err := h.updateTwin(ctx, s, p, id, u, ifMatch, replace)
	h.observer.TwinUpdated(s.ref.Name, ByService, err == nil, len(u.Tags)+len(u.Desired))
	return twin, err
}

func (h *Hub) updateTwin(
	ctx context.Context, s *state, p *access.Principal, id hubward.Identity, u TwinUpdate, ifMatch string, replace bool,
) (*hubward.Twin, error) {
	change, err := h.newTwinChange(s, p, u, replace)
	if err != nil {
		return nil, err
	}
	if change.isNone() {
		return h.readTwin(ctx, s, id, ifMatch)
	}
	if err := checkIdentity(id); err != nil {
		return nil, err
	}
	return h.editTwin(ctx, s, id, change, ifMatch)
}

// readTwin returns a twin whose etag matches.
func (h *Hub) readTwin(ctx context.Context, s *state, id hubward.Identity, ifMatch string) (*hubward.Twin, error) {
	if err := checkIdentity(id); err != nil {
		return nil, err
	}
	r, err := h.store.Twin(ctx, s.ref.Name, id)
	if err != nil {
		return nil, err
	}
	if err := checkTwinMatch(r, ifMatch); err != nil {
		return nil, err
	}
	return h.liveTwin(ctx, s.ref.Name, r)
}

// editTwin makes a change, tells of it, and returns the twin as this change has left it.
func (h *Hub) editTwin(ctx context.Context, s *state, id hubward.Identity, c *twinChange, ifMatch string) (*hubward.Twin, error) {
	var written Registration
	edit := &TwinEdit{ID: id, Edit: func(r *Registration) ([]HubEvent, error) {
		if err := checkTwinMatch(r, ifMatch); err != nil {
			return nil, err
		}
		event, err := c.apply(r)
		written = *r
		return []HubEvent{event}, err
	}}
	if err := h.store.EditTwins(ctx, s.ref.Name, []*TwinEdit{edit}); err != nil {
		return nil, err
	}
	if edit.Err != nil {
		return nil, edit.Err
	}
	h.eventsAdded(s.ref.Name)
	if c.desired != nil {
		h.desiredChanged(ctx, s.ref.Name, id)
	}
	return h.liveTwin(ctx, s.ref.Name, &written)
}

// checkTwinMatch applies the If-Match rules to a stored twin.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-device-twins, optimistic concurrency.
func checkTwinMatch(r *Registration, ifMatch string) error {
	if ifMatch == "" || ifMatch == "*" || ifMatch == twinETag(r.Twin) {
		return nil
	}
	return &hubward.Error{
		Code: hubward.CodePreconditionFailed, Identity: r.Identity(),
		Message: "The etag does not match that of the twin, which has changed since it was read.",
	}
}
