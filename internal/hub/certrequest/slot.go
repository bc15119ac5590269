package certrequest

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/hubward/hubward"
)

const (
	// Lifetime is how long a request is kept, from when it was taken: as in the cloud.
	Lifetime = 12 * time.Hour
	// MaxPerMinute bounds the requests of a device that are taken. The cloud's number is not published.
	MaxPerMinute = 10
	// maxUnused bounds the certificates of a device that are remembered as not used yet: the newest.
	maxUnused = 8
)

// Slot is what a hub keeps of a device that asks for certificates. The zero Slot is free. Its JSON is how it is stored.
type Slot struct {
	ID            string    `json:"id,omitempty"` // of the request; empty: the slot is free
	Hash          []byte    `json:"hash,omitempty"`
	CSR           []byte    `json:"csr,omitempty"` // until it is Done
	CorrelationID string    `json:"correlationId,omitempty"`
	Due           time.Time `json:"due,omitzero"` // from when on it may be done
	Expires       time.Time `json:"expires,omitzero"`

	Done         bool     `json:"done,omitempty"`
	Certificates [][]byte `json:"certificates,omitempty"` // DER, the device's first; none: there is a Failure
	Failure      *Error   `json:"failure,omitempty"`

	Minute time.Time `json:"minute,omitzero"` // that Count is of: when it began
	Count  int       `json:"count,omitempty"`

	Unused []Unused `json:"unused,omitempty"` // oldest first
}

// Unused is a certificate that was issued to a device while it authenticated in another way, and that it has not logged in with yet.
type Unused struct {
	Thumbprint     [sha256.Size]byte `json:"thumbprint"`     // SHA-256
	Authentication [sha256.Size]byte `json:"authentication"` // stands for how the device authenticated
	Until          time.Time         `json:"until"`
}

// Operation names what comes of a request.
type Operation struct {
	CorrelationID string
	Expires       time.Time
}

// IsEmpty reports whether there is nothing to keep.
func (s *Slot) IsEmpty() bool { return s.ID == "" && s.Count == 0 && len(s.Unused) == 0 }

// IsFree reports whether there is no request at now.
func (s *Slot) IsFree(now time.Time) bool { return s.ID == "" || !now.Before(s.Expires) }

// Begin takes a request, unless another one is in its way. correlationID becomes its own; the answer may be made from delay on.
// The same request made again is the one that is there.
//
// Errors: an *Error with CodeCredentialOperationActive, CodePreconditionFailed, CodeThrottleBacklogLimitExceeded.
func (s *Slot) Begin(r *Request, correlationID string, delay time.Duration, now time.Time) (Operation, error) {
	if s.IsFree(now) {
		s.free()
	}
	switch {
	case s.ID == r.ID && bytes.Equal(s.Hash, r.Hash()) && r.Replace != ReplaceAny && r.Replace != s.ID:
		return Operation{s.CorrelationID, s.Expires}, nil
	case s.ID == "" && r.Replace != "" && r.Replace != ReplaceAny:
		return Operation{}, &Error{
			Code: hubward.CodePreconditionFailed, Message: "replace: the device has no pending request of this id", Info: Info{RequestID: r.Replace},
		}
	case s.ID != "" && r.Replace != ReplaceAny && r.Replace != s.ID:
		return Operation{}, &Error{
			Code: hubward.CodeCredentialOperationActive, Message: "another request of the device for a certificate is pending",
			Info: Info{CorrelationID: s.CorrelationID, RequestID: s.ID, OperationExpires: s.Expires},
		}
	}
	if err := s.count(now); err != nil {
		return Operation{}, err
	}
	s.free()
	s.ID, s.Hash, s.CSR, s.CorrelationID = r.ID, r.Hash(), r.CSR, correlationID
	s.Due, s.Expires = now.Add(delay), now.Add(Lifetime)
	return Operation{s.CorrelationID, s.Expires}, nil
}

// count sees that there are not too many requests.
func (s *Slot) count(now time.Time) error {
	if now.Before(s.Minute) || !now.Before(s.Minute.Add(time.Minute)) {
		s.Minute, s.Count = now, 0
	}
	if s.Count >= MaxPerMinute {
		wait := s.Minute.Add(time.Minute).Sub(now)
		return &Error{
			Code: hubward.CodeThrottleBacklogLimitExceeded, Message: "the device has asked for too many certificates within a minute",
			RetryAfter: (wait + time.Second - 1).Truncate(time.Second),
		}
	}
	s.Count++
	return nil
}

// Finish keeps the answer to a request, if it is still there and has none, and reports whether.
func (s *Slot) Finish(correlationID string, certificates [][]byte, failure *Error) bool {
	if s.ID == "" || s.CorrelationID != correlationID || s.Done {
		return false
	}
	if failure != nil {
		told := *failure
		told.Info.CorrelationID, told.Info.RequestID = s.CorrelationID, s.ID
		failure = &told
	}
	s.Done, s.Certificates, s.Failure, s.CSR = true, certificates, failure, nil
	return true
}

// Settle frees the slot: the device has the answer to that request.
func (s *Slot) Settle(correlationID string) {
	if s.CorrelationID == correlationID {
		s.free()
	}
}

func (s *Slot) free() { *s = Slot{Minute: s.Minute, Count: s.Count, Unused: s.Unused} }

// AddUnused remembers a certificate.
func (s *Slot) AddUnused(u Unused, now time.Time) {
	s.Unused = slices.DeleteFunc(s.Unused, func(old Unused) bool { return now.After(old.Until) })
	if len(s.Unused) >= maxUnused {
		s.Unused = slices.Delete(s.Unused, 0, len(s.Unused)-maxUnused+1)
	}
	s.Unused = append(s.Unused, u)
}

// HasUnused reports whether a certificate was issued and not used yet, and the device still authenticates as it did then.
func (s *Slot) HasUnused(thumbprint, authentication [sha256.Size]byte, now time.Time) bool {
	return slices.ContainsFunc(s.Unused, func(u Unused) bool {
		return u.Thumbprint == thumbprint && u.Authentication == authentication && !now.After(u.Until)
	})
}
