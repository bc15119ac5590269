package hub

import (
	"context"
	"encoding/json"

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

// Delivery is what the hub hands to a connected identity: a *C2DDelivery, a *MethodCall, a *DesiredChange or a
// *CertificateResult.
type Delivery any

// MethodCall is a direct method that a back end calls. The hub hands out no more than 1,000 at once to a link, nor 4 MiB of
// payloads, and none before Link.TakeMethods. The answer comes back by Link.RespondMethod, or not at all: the hub knows when it
// has waited long enough.
type MethodCall struct {
	ID      uint64 // of the call; no other call to the link, or to an earlier or later one of the identity, has it
	Name    string
	Payload []byte // JSON; "null" when the caller gave none: clients answer an empty body themselves, with an error
}

// DesiredChange tells of a change of an identity's desired properties. Patch is JSON: what changed, null for what was
// removed, and $version.
type DesiredChange struct {
	Version int64           `json:"version"` // of the desired properties after the change
	Patch   json.RawMessage `json:"patch"`
	// Sent is called by a Session, once, when the change was written to the connection: the next one comes then. The store
	// keeps none.
	Sent func() `json:"-"`
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
