package hub

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/certrequest"
)

// CertificateError is why a device gets no certificate.
type CertificateError = certrequest.Error

// CertificateOperation names what comes of a request for a certificate.
type CertificateOperation = certrequest.Operation

// CertificateResult is the answer to a request for a certificate that was taken: the hub keeps it until the device has it.
type CertificateResult struct {
	RequestID     string
	CorrelationID string
	Certificates  [][]byte          // DER: the device's, the one that has signed it, the root; none: there is an Err
	Err           *CertificateError // nil: there are Certificates
	// Settle is called by a Session, once: had says whether the device has the result. Otherwise it is handed over again, after the
	// next FollowCertificates.
	Settle func(had bool)
	// Received is Settle(true), and returns when that is stored: what the device asks for next, over this connection or the next
	// one, comes behind it.
	Received func(ctx context.Context)
}

const (
	// maxCertificateRequests bounds what waits on one link.
	maxCertificateRequests = 16
	// certificateRetry is after how long the hub tries again to issue a certificate that it could not, for reasons of its own.
	certificateRetry = 5 * time.Second
)

// linkCertificates is what a link has to do with certificates for its identity. A goroutine works on it while there is something to
// do. What a device is to get it reads in the store, so it does not matter on which node it has asked.
type linkCertificates struct {
	mu        sync.Mutex // guards the fields below; a leaf
	settled   []string   // correlation ids of results that the device has
	requests  []certificateAsk
	look      bool // at what is stored
	serving   bool // a goroutine is at work
	ended     bool
	following bool   // the session takes results
	handed    string // the correlation id of what the session was given and has not settled
	timer     *time.Timer
}

type certificateAsk struct {
	request *certrequest.Request
	reply   func(CertificateOperation, error)
}

// ofCertificates returns what the link has to do with certificates: most have nothing.
func (l *Link) ofCertificates() *linkCertificates {
	if c := l.certificates.Load(); c != nil {
		return c
	}
	l.certificates.CompareAndSwap(nil, &linkCertificates{})
	return l.certificates.Load()
}

// RequestCertificate asks the hub for a certificate for the link's device, by a request with that id and body, which is JSON: the
// device's id, its signing request (csr, PKCS #10 in base64), and, if it is to take the place of another request, that one's id or *
// (replace). reply is called once, with the operation when the request was taken, which is durable, or with the reason why not. What
// comes of it the session is handed as a *CertificateResult, this one or a later one of the device, on whatever node; see
// FollowCertificates. RequestCertificate does not keep body.
//
// Errors: a *CertificateError with CodeFormatError, CodeArgumentInvalid, CodeCredentialOperationActive, CodePreconditionFailed,
// CodeCredentialPreconditionFailed, CodeThrottleBacklogLimitExceeded, CodeServiceUnavailable, CodeServerError.
//
// Source: Azure/azure-iot-sdk-java, branch feature/csr, package certificatesigning.
func (l *Link) RequestCertificate(requestID string, body []byte, reply func(CertificateOperation, error)) {
	l.isActive()
	id := l.Principal.Identity
	if id.Module != "" {
		reply(CertificateOperation{}, &CertificateError{Code: hubward.CodeArgumentInvalid, Message: "a hub issues certificates to devices, not to modules"})
		return
	}
	r, err := certrequest.Parse(requestID, id.Device, body)
	if err != nil {
		reply(CertificateOperation{}, err)
		return
	}
	c := l.ofCertificates()
	c.mu.Lock()
	switch {
	case c.ended:
		err = errLinkOver
	case len(c.requests) >= maxCertificateRequests:
		err = &CertificateError{Code: hubward.CodeThrottleBacklogLimitExceeded, Message: "too many requests for certificates are under way", RetryAfter: time.Second}
	default:
		c.requests = append(c.requests, certificateAsk{r, reply})
	}
	c.mu.Unlock()
	if err != nil {
		reply(CertificateOperation{}, CertificateErrorOf(err))
		return
	}
	l.workOnCertificates()
}

// FollowCertificates has the session handed results of the device's requests, or no more of them. It is called again whenever the
// device may take what it did not.
func (l *Link) FollowCertificates(wanted bool) {
	if l.Principal.Identity.Module != "" || !wanted && l.certificates.Load() == nil {
		return
	}
	c := l.ofCertificates()
	c.mu.Lock()
	c.following = wanted
	c.look = c.look || wanted
	c.mu.Unlock()
	if wanted {
		l.workOnCertificates()
	}
}

// lookForCertificates has what is stored looked at.
func (l *Link) lookForCertificates() {
	c := l.ofCertificates()
	c.mu.Lock()
	c.look = true
	c.mu.Unlock()
	l.workOnCertificates()
}

// workOnCertificates starts a goroutine, unless there is one or the link has ended with nothing to note.
func (l *Link) workOnCertificates() {
	c := l.ofCertificates()
	c.mu.Lock()
	start := !c.serving && (!c.ended || len(c.settled) > 0)
	c.serving = c.serving || start
	c.mu.Unlock()
	if start && !l.hub.background(l.serveCertificates) { // the hub has ended
		c.end()
		l.serveCertificates(context.Background())
	}
}

// end has what waits fail, and nothing more come.
func (c *linkCertificates) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.timer != nil {
		c.timer.Stop()
	}
}

// endCertificates is end for a link that may have nothing to do with certificates, from then on either.
func (l *Link) endCertificates() {
	if !l.certificates.CompareAndSwap(nil, &linkCertificates{ended: true}) {
		l.certificates.Load().end()
	}
}

// certificateWork is what there is to do for a link: first what the device has settled, for its next request may follow at once.
type certificateWork struct {
	settled  []string
	requests []certificateAsk
	look     bool
	ended    bool
}

// take returns what there is to do. Without anything it ends the goroutine, which asks.
func (c *linkCertificates) take() (w certificateWork, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w = certificateWork{c.settled, c.requests, c.look && !c.ended, c.ended}
	c.settled, c.requests, c.look = nil, nil, false
	c.serving = len(w.settled) > 0 || len(w.requests) > 0 || w.look
	return w, c.serving
}

func (l *Link) serveCertificates(ctx context.Context) {
	c := l.ofCertificates()
	for {
		w, ok := c.take()
		if !ok {
			return
		}
		for _, correlationID := range w.settled {
			l.freeRequest(ctx, correlationID)
		}
		for _, ask := range w.requests {
			operation, err := CertificateOperation{}, error(errLinkOver)
			if !w.ended && !l.hasLeft() {
				operation, err = l.takeRequest(ctx, ask.request)
			}
			if err != nil {
				ask.reply(CertificateOperation{}, CertificateErrorOf(err))
				continue
			}
			ask.reply(operation, nil)
			w.look = true
		}
		if !w.look {
			continue
		}
		if err := l.workOnRequest(ctx); err != nil && ctx.Err() == nil && !l.hasLeft() {
			l.hub.logger.Warn("a certificate is issued later", "hub", l.state.ref.Name, "device", l.Principal.Identity.String(), "error", err)
			c.lookAfter(certificateRetry, l.lookForCertificates)
		}
	}
}

// hasLeft reports whether the link is its identity's no more.
func (l *Link) hasLeft() bool { return l.hub.links.live(l.key()) != l }

// takeRequest stores a request, if it may be.
func (l *Link) takeRequest(ctx context.Context, r *certrequest.Request) (operation CertificateOperation, err error) {
	c := l.hub.config(l.state)
	if !c.Issuing.Enabled {
		return operation, errNotIssuing
	}
	correlationID, err := l.hub.newGUID()
	if err != nil {
		return operation, err
	}
	err = l.hub.store.EditCertificateRequest(ctx, l.state.ref.Name, l.Principal.Identity, func(slot *certrequest.Slot) (err error) {
		operation, err = slot.Begin(r, correlationID, l.hub.certificateDelay, l.hub.now().UTC())
		return err
	})
	if err == nil { // the same request, made again, is answered again
		certificates := l.ofCertificates()
		certificates.mu.Lock()
		certificates.handed = ""
		certificates.mu.Unlock()
	}
	return operation, err
}

// workOnRequest has the stored request, if there is one, answered, once that is due, and the answer handed to the session, if that
// takes it.
func (l *Link) workOnRequest(ctx context.Context) error {
	h, name, id, c := l.hub, l.state.ref.Name, l.Principal.Identity, l.ofCertificates()
	slot, err := h.store.CertificateRequest(ctx, name, id)
	if err != nil || slot.IsFree(h.now()) {
		return err
	}
	if !slot.Done {
		if wait := slot.Due.Sub(h.now()); wait > 0 {
			c.lookAfter(wait, l.lookForCertificates)
			return nil
		}
		if err := h.answerRequest(ctx, l.state, id, slot); err != nil {
			return err
		}
		if slot, err = h.store.CertificateRequest(ctx, name, id); err != nil || !slot.Done {
			return err
		}
	}
	if !c.hand(slot.CorrelationID) || l.hasLeft() {
		return nil
	}
	l.session.Deliver(&CertificateResult{
		RequestID: slot.ID, CorrelationID: slot.CorrelationID, Certificates: slot.Certificates, Err: slot.Failure,
		Settle:   func(had bool) { l.settleCertificate(slot.CorrelationID, had) },
		Received: func(ctx context.Context) { l.freeRequest(ctx, slot.CorrelationID) },
	})
	return nil
}

// lookAfter looks again after a while, unless the link has ended by then.
func (c *linkCertificates) lookAfter(wait time.Duration, look func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	c.timer = time.AfterFunc(wait, look)
}

// hand reports whether the session is to be given a result: it takes results, and has not got this one.
func (c *linkCertificates) hand(correlationID string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || !c.following || c.handed == correlationID {
		return false
	}
	c.handed = correlationID
	return true
}

// settleCertificate notes that the device has a result, or that it could not be given it. What it asks for next comes behind that.
func (l *Link) settleCertificate(correlationID string, had bool) {
	c := l.ofCertificates()
	c.mu.Lock()
	if had {
		c.settled = append(c.settled, correlationID)
	} else if c.handed == correlationID {
		c.handed = ""
	}
	c.mu.Unlock()
	if had {
		l.workOnCertificates()
	}
}

// freeRequest makes room for the device's next request. What fails, the device gets again when it connects again, which does no harm.
func (l *Link) freeRequest(ctx context.Context, correlationID string) {
	err := l.hub.store.EditCertificateRequest(ctx, l.state.ref.Name, l.Principal.Identity, func(slot *certrequest.Slot) error {
		slot.Settle(correlationID)
		return nil
	})
	if err != nil && ctx.Err() == nil && hubward.CodeOf(err) != hubward.CodeDeviceNotFound {
		l.hub.logger.Warn("a device has a certificate, which could not be noted", "hub", l.state.ref.Name, "device", l.Principal.Identity.String(), "error", err)
	}
}

// answerRequest has the certificate issued that a stored request asks for, or notes why it is not.
func (h *Hub) answerRequest(ctx context.Context, s *state, id hubward.Identity, slot *certrequest.Slot) error {
	chain, err := h.sign(ctx, s, id.Device, slot.CSR)
	var failure *CertificateError
	if err != nil && !errors.As(err, &failure) {
		return err
	}
	r, err := h.store.Identity(ctx, s.ref.Name, id)
	if err != nil {
		return err
	}
	return h.store.EditCertificateRequest(ctx, s.ref.Name, id, func(now *certrequest.Slot) error {
		if now.Finish(slot.CorrelationID, rawOf(chain), failure) {
			h.noteIssued(now, chain, r.Authentication)
		}
		return nil
	})
}

func rawOf(chain []*x509.Certificate) (raw [][]byte) {
	for _, cert := range chain {
		raw = append(raw, cert.Raw)
	}
	return raw
}

// noteIssued remembers a certificate of a device that does not authenticate with an authority: with the certificate it may.
func (h *Hub) noteIssued(slot *certrequest.Slot, chain []*x509.Certificate, auth *hubward.Authentication) {
	if len(chain) == 0 || auth != nil && auth.Type == hubward.AuthCertificate {
		return
	}
	slot.AddUnused(certrequest.Unused{
		Thumbprint: sha256.Sum256(chain[0].Raw), Authentication: digestOf(auth), Until: chain[0].NotAfter,
	}, h.now())
}

// digestOf stands for how an identity authenticates.
func digestOf(auth *hubward.Authentication) [sha256.Size]byte {
	text, _ := json.Marshal(auth) // nothing in it can fail
	return sha256.Sum256(text)
}

// CertificateErrorOf makes of an error what a device may be told of it: to come again, for what is not its own fault.
func CertificateErrorOf(err error) *CertificateError {
	var told *CertificateError
	if errors.As(err, &told) {
		return told
	}
	switch hubward.CodeOf(err) {
	case hubward.CodeServiceUnavailable, hubward.CodeConnectionClosedOnNewOne, hubward.CodeDeviceNotFound:
		return &CertificateError{Code: hubward.CodeServiceUnavailable, Message: "the hub cannot take the request now"}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &CertificateError{Code: hubward.CodeServiceUnavailable, Message: "the hub cannot take the request now"}
	}
	return &CertificateError{Code: hubward.CodeServerError, Message: "the hub has failed to take the request"}
}
