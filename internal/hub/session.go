package hub

import (
	"context"

	"github.com/hubward/hubward"
)

// Session is an identity's live link as its front end holds it. Front ends implement it; the hub calls it, whatever node
// the call began on. Its methods return at once.
type Session interface {
	// Deliver hands something to the identity. What the front end cannot hand on now, because the device has not asked for
	// it or the protocol has no way, it answers at once, as the delivery's kind says.
	Deliver(d Delivery)
	// Close ends the connection for a reason that is logged. It may be called more than once.
	Close(reason error)
}

// Delivery is what the hub hands to a connected identity: a *C2DDelivery, a *MethodCall or a *DesiredChange.
type Delivery any

// MethodCall is a direct method that a back end calls.
type MethodCall struct {
	Name    string
	Payload []byte // JSON; nil: none
	// Respond is called once, with what the device answers, or the error that keeps it from that: CodeDeviceNotOnline when
	// it does not take methods. Later calls do nothing. It does not block.
	Respond func(MethodResult, error)
}

// MethodResult is a device's answer to a method.
type MethodResult struct {
	Status  int    `json:"status"`
	Payload []byte `json:"payload"` // JSON; nil: none
}

// DesiredChange tells of a change of an identity's desired properties. Who does not listen drops it: it is in the twin.
type DesiredChange struct {
	Patch   []byte // JSON: what changed
	Version int64  // of the desired properties after it
}

// errNotOnline is the answer of an identity that has no connection, or does not take what it is sent.
func errNotOnline(id hubward.Identity) error {
	return &hubward.Error{Code: hubward.CodeDeviceNotOnline, Identity: id, Message: "The device '" + id.String() + "' is not online."}
}

// LoadSession begins the session of a connected identity. A clean one forgets what is stored; otherwise what an earlier
// connection left behind is returned, and present says whether there was anything.
func (l *Link) LoadSession(ctx context.Context, clean bool) (state []byte, present bool, err error) {
	if clean {
		return nil, false, l.SaveSession(ctx, nil)
	}
	return l.hub.store.Session(ctx, l.state.ref.Name, l.Principal.Identity)
}

// SaveSession stores what is to outlive the connection, nil to forget it, and returns when that is durable.
//
// Errors: CodeConnectionClosedOnNewOne for a link that was taken over: the session is another's now; the store's.
func (l *Link) SaveSession(ctx context.Context, state []byte) error {
	if l.hub.links.live(l.key()) != l {
		return errTakenOver
	}
	return l.hub.store.SaveSession(ctx, l.state.ref.Name, l.Principal.Identity, l.claim.Fence, state)
}
