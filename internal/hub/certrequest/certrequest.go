// Package certrequest is what a device asks for that wants a certificate from its hub: how the request is read, what the signing
// request in it has to be, and the one slot that the hub keeps of a device. It is pure: clock, ids and certificates are passed in.
//
//	free ── Begin ──▶ pending ── Finish ──▶ done ── Settle ──▶ free
//	  ▲                 │ ▲                  │
//	  │                 └─┴─ Begin, replace ─┤
//	  └───────────── Expires ────────────────┘
//
// What is refused before it has the slot is answered at once and leaves nothing. From Begin on the answer belongs to the device, not
// to its connection: it is kept until the device has it, another request replaces it, or its time is over.
//
// Source: Azure/azure-iot-sdk-csharp, branch feature/iot-csr-preview, iothub/device/src/csr-scenarions.md.
package certrequest

import (
	"time"

	"github.com/hubward/hubward"
)

// Error is why a device gets no certificate, as it is told. It wraps a *hubward.Error.
type Error struct {
	Code       hubward.Code  `json:"code"`
	Message    string        `json:"message"`
	RetryAfter time.Duration `json:"retryAfter,omitempty"` // 0: a later try is not known to do better
	Info       Info          `json:"info,omitzero"`
}

// Info is what an Error tells of the request, or of the one that is in its way. Empty members are left out.
type Info struct {
	CorrelationID     string    `json:"correlationId,omitempty"`
	CredentialError   string    `json:"credentialError,omitempty"` // what is wrong with the signing request, in a word
	CredentialMessage string    `json:"credentialMessage,omitempty"`
	RequestID         string    `json:"requestId,omitempty"`
	OperationExpires  time.Time `json:"operationExpires,omitzero"`
}

func (e *Error) Error() string { return e.Unwrap().Error() }

// Unwrap returns the error with code and message alone.
func (e *Error) Unwrap() error { return hubward.Errorf(e.Code, "%s", e.Message) }
