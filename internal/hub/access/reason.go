package access

import (
	"errors"

	"github.com/hubward/hubward"
)

// Reason says in a word why a log-in was refused. The peer never learns it; logs and metrics do.
type Reason string

// The reasons.
const (
	ReasonAddress     Reason = "address"     // no rule of the hub allows the peer's
	ReasonCredential  Reason = "credential"  // there is none, or it cannot be read
	ReasonDisabled    Reason = "disabled"    // the identity is
	ReasonExpired     Reason = "expired"     // token or certificate, or a certificate above it, has expired
	ReasonFull        Reason = "full"        // as many of the hub are connected as may be
	ReasonHost        Reason = "host"        // no hub answers to the host name, or another one does
	ReasonKey         Reason = "key"         // signature, key or thumbprint is none of those that are known
	ReasonMethod      Reason = "method"      // the identity authenticates in another way
	ReasonResource    Reason = "resource"    // the credential is for something else
	ReasonSwitchedOff Reason = "switchedOff" // the hub takes no keys of that kind
	ReasonTLS         Reason = "tls"         // the hub wants a newer version than the peer's, or TLS at all
	ReasonUnavailable Reason = "unavailable" // it could not be found out
	ReasonUnknown     Reason = "unknown"     // there is no such policy or identity

	// Of certificates.
	ReasonAuthority           Reason = "authority"           // none of the hub's authorities is above it
	ReasonAuthorityDisabled   Reason = "authorityDisabled"   // one that is disabled is
	ReasonAuthorityUnverified Reason = "authorityUnverified" // one whose key nobody has shown to hold is
	ReasonChain               Reason = "chain"               // it is none of the one above it, or they are too many, or not fit for that
	ReasonCommonName          Reason = "commonName"          // it is of somebody else
	ReasonNotYetValid         Reason = "notYetValid"         // it, or one above it, is not valid yet
	ReasonRevoked             Reason = "revoked"             // it is, or one above it
	ReasonUsage               Reason = "usage"               // it is not for the authentication of clients
	ReasonWeak                Reason = "weak"                // the strength of a key or of a signature does not do
)

// Reasons returns all reasons.
func Reasons() []Reason {
	return []Reason{
		ReasonAddress, ReasonCredential, ReasonDisabled, ReasonExpired, ReasonFull, ReasonHost, ReasonKey, ReasonMethod, ReasonResource,
		ReasonSwitchedOff, ReasonTLS, ReasonUnavailable, ReasonUnknown,
		ReasonAuthority, ReasonAuthorityDisabled, ReasonAuthorityUnverified, ReasonChain, ReasonCommonName, ReasonNotYetValid,
		ReasonRevoked, ReasonUsage, ReasonWeak,
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
