package hub

import (
	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// Session is a device's live link. Front ends implement it; the hub calls it.
type Session interface {
	// Close ends the connection for a reason that is logged. It returns at once and may be called more than once.
	Close(reason error)
}

// Credential is what a device-side peer shows at log-in.
type Credential struct {
	Token string // the SAS token, empty when a certificate is used
}

// ConnectRequest is a device's wish to be connected.
type ConnectRequest struct {
	Host       string // as the client spelt it: selects the hub
	Identity   hubward.Identity
	Credential Credential
	ModelID    string // Plug and Play model, stamped on telemetry
	Session    Session
}

// Link is a device's place in the hub while it is connected: what Connect returns and the front end works with.
type Link struct {
	Principal access.Principal
	ModelID   string

	hub     *state
	session Session
}
