package device

import (
	"crypto"
	"slices"
	"sync"

	"github.com/hubward/hubward"
)

// certificateCall is a request for a certificate that has no certificate yet.
type certificateCall struct {
	// Set before it is pushed, never changed after.
	device string
	key    crypto.PublicKey       // of the request
	answer chan certificateAnswer // holds one

	// certificateCalls.mu guards the fields below, once it is pushed.
	request  CertificateRequest // Replace may change
	tried    bool               // the present connection was asked about it
	sent     bool               // it was sent on the present connection
	repeated bool               // it was sent on an earlier one
	taken    bool               // the hub has taken it, and keeps it over connections
	losses   int                // connections that ended while it was tried
}

type certificateAnswer struct {
	issued *IssuedCertificate
	err    error
}

// certificateCalls are the requests that have no answer, over the client's connections.
//
// C1: a request that the hub has taken is not sent again: the hub keeps the certificate until a connection takes it.
// C2: an answer is acknowledged when its call has it, so that the hub keeps what nobody has waited for.
type certificateCalls struct {
	mu    sync.Mutex // guards the field below, and those of the calls; a leaf
	calls []*certificateCall
}

// push adds a call. It reports false when there are too many, or one of the same ID.
func (s *certificateCalls) push(call *certificateCall) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.calls) >= maxCertificateCalls || s.findLocked(call.request.ID) != nil {
		return false
	}
	s.calls = append(s.calls, call)
	return true
}

// drop forgets a call.
func (s *certificateCalls) drop(call *certificateCall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = slices.DeleteFunc(s.calls, func(other *certificateCall) bool { return other == call })
}

func (s *certificateCalls) findLocked(id string) *certificateCall {
	for _, call := range s.calls {
		if call.request.ID == id {
			return call
		}
	}
	return nil
}

func (s *certificateCalls) wanted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls) > 0
}

// try notes that the present connection is asked for the answers to all calls.
func (s *certificateCalls) try() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, call := range s.calls {
		call.tried = true
	}
}

// next returns the ID and the body of the oldest request that is to be sent, which counts as sent; "" when there is none.
func (s *certificateCalls) next() (id string, body []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, call := range s.calls {
		if call.sent || call.taken {
			continue
		}
		call.tried, call.sent = true, true
		body, err := call.body()
		return call.request.ID, body, err
	}
	return "", nil, nil
}

// waits reports whether somebody waits for an answer.
func (s *certificateCalls) waits(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.findLocked(id) != nil
}

// settle takes an answer. It reports false for one that nobody waits for.
func (s *certificateCalls) settle(id string, status int, body []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	call := s.findLocked(id)
	switch {
	case call == nil:
		return false
	case status == statusTaken:
		s.takeLocked(call)
	case status == statusIssued:
		s.answerLocked(call, call.readIssued(body))
	default:
		s.refuseLocked(call, readCertificateRefusal(status, body))
	}
	return true
}

// The statuses of answers: first that the hub has taken the request, then that there is a certificate. All others are refusals.
const (
	statusTaken  = 202
	statusIssued = 200
)

// takeLocked notes that the hub has taken a request. Those before it that it replaces get no answer.
func (s *certificateCalls) takeLocked(call *certificateCall) {
	call.taken = true
	replace := call.request.Replace
	for _, other := range slices.Clone(s.calls[:slices.Index(s.calls, call)]) {
		if replace == replaceAnyRequest || replace == other.request.ID {
			s.answerLocked(other, certificateAnswer{err: hubward.Errorf(hubward.CodePreconditionFailed, "the request for a certificate was replaced by another")})
		}
	}
}

// refuseLocked takes a refusal. One that an earlier sending of the same request explains is none.
func (s *certificateCalls) refuseLocked(call *certificateCall, e *CertificateRequestError) {
	switch code := e.err.Code; {
	case (code == hubward.CodeCredentialOperationActive || code == hubward.CodeCredentialOperationPending) && e.RequestID == call.request.ID:
		s.takeLocked(call)
	case code == hubward.CodePreconditionFailed && call.repeated && call.request.Replace != "": // it has replaced the other already
		call.request.Replace, call.sent = "", false
	default:
		s.answerLocked(call, certificateAnswer{err: e})
	}
}

func (s *certificateCalls) answerLocked(call *certificateCall, a certificateAnswer) {
	call.answer <- a
	s.calls = slices.DeleteFunc(s.calls, func(other *certificateCall) bool { return other == call })
}

// maxCertificateLosses is after how many lost connections in a row a request is given up: hubs that know nothing of
// certificates end a connection that asks for one.
const maxCertificateLosses = 3

// rewind prepares for a new connection: nothing is sent on it yet.
func (s *certificateCalls) rewind() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, call := range slices.Clone(s.calls) {
		if call.tried && !call.taken {
			call.losses++
		}
		call.repeated = call.repeated || call.sent
		call.tried, call.sent = false, false
		if call.losses >= maxCertificateLosses {
			s.answerLocked(call, certificateAnswer{err: hubward.Errorf(hubward.CodeServiceUnavailable,
				"the connection was lost %d times while a certificate was requested: the hub may not issue any", call.losses)})
		}
	}
}

// fail gives all calls an error, because the hub takes none.
func (s *certificateCalls) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, call := range slices.Clone(s.calls) {
		s.answerLocked(call, certificateAnswer{err: err})
	}
}
