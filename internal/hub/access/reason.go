package access

import (
	"errors"

	"github.com/hubward/hubward"
)

// Reason says in a word why a log-in was refused. The peer never learns it; logs and metrics do.
type Reason string

// The reasons.
const (
	ReasonCredential  Reason = "credential"  // there is none, or it cannot be read
	ReasonDisabled    Reason = "disabled"    // the identity is
	ReasonExpired     Reason = "expired"     // token or certificate has expired, or is not valid yet
	ReasonHost        Reason = "host"        // no hub answers to the host name, or another one does
	ReasonKey         Reason = "key"         // signature, key or thumbprint is none of those that are known
	ReasonMethod      Reason = "method"      // the identity authenticates in another way
	ReasonResource    Reason = "resource"    // the credential is for something else
	ReasonUnavailable Reason = "unavailable" // it could not be found out
	ReasonUnknown     Reason = "unknown"     // there is no such policy or identity
)

// Reasons returns all reasons.
func Reasons() []Reason {
	return []Reason{
		ReasonCredential, ReasonDisabled, ReasonExpired, ReasonHost, ReasonKey, ReasonMethod, ReasonResource,
		ReasonUnavailable, ReasonUnknown,
	}
}

// Refuse makes the one answer that all failed log-ins get, CodeUnauthorizedAccess. Reason and text are the cause, which is
// never sent.
func Refuse(reason Reason, text string) error {
	return &hubward.Error{Code: hubward.CodeUnauthorizedAccess, Message: "Unauthorized", Err: &refusal{reason, text}}
}

type refusal struct {
	reason Reason
	text   string
}

func (r *refusal) Error() string { return r.text }

// ReasonOf returns why err, which a log-in ended with, refuses it.
func ReasonOf(err error) Reason {
	var r *refusal
	if errors.As(err, &r) {
		return r.reason
	}
	switch hubward.CodeOf(err) {
	case hubward.CodeUnauthorizedAccess:
		return ReasonCredential
	case hubward.CodeHubNotFound, hubward.CodeNoSuchHub:
		return ReasonHost
	case hubward.CodeDeviceNotFound, hubward.CodeModuleNotFound:
		return ReasonUnknown
	}
	return ReasonUnavailable
}
