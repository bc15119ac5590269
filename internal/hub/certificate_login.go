package hub

import (
	"context"
	"crypto/sha256"
	"crypto/x509"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/hub/c2d"
	"github.com/hubward/hubward/internal/hub/certrequest"
)

// adopt lets a device in that shows a certificate which the hub has issued to it while it authenticated in another way: from then on it
// authenticates with a certificate authority, and its keys or thumbprints are no more. That happens when the certificate is first
// used, not when it is issued, so that a device which never got it is not shut out; and only if the device still authenticates as it
// did then, so that what an operator has changed since stands. It returns the identity as it is then, nil when there is no such
// certificate.
func (h *Hub) adopt(ctx context.Context, s *state, id hubward.Identity, entry *hubward.Device, chain []*x509.Certificate) (*hubward.Device, error) {
	old := entry.Authentication
	if id.Module != "" || old != nil && old.Type == hubward.AuthCertificate || len(h.config(s).Issuing.Issuer) == 0 {
		return nil, nil
	}
	would := *entry
	would.Authentication = &hubward.Authentication{Type: hubward.AuthCertificate}
	p, err := access.Certificate(chain, id, &would, h.admission(s), h.now())
	if err != nil || p.Authority() != issuerName {
		return nil, nil // what it shows instead is no good either: the caller has told why
	}
	slot, err := h.store.CertificateRequest(ctx, s.ref.Name, id)
	if err != nil {
		return nil, err
	}
	if !slot.HasUnused(sha256.Sum256(chain[0].Raw), digestOf(old), h.now()) {
		return nil, nil
	}
	if err := h.adoptInStore(ctx, s, id, old); err != nil {
		return nil, err
	}
	h.logger.Info("a device authenticates with a certificate of its hub from now on", "hub", s.ref.Name, "device", id.String())
	return h.enabledEntry(ctx, s, id)
}

func (h *Hub) adoptInStore(ctx context.Context, s *state, id hubward.Identity, auth *hubward.Authentication) error {
	etag, err := h.newETag()
	if err != nil {
		return err
	}
	err = h.editIdentity(ctx, s, &IdentityEdit{ID: id, Edit: func(old *Registration) (*Registration, []HubEvent, error) {
		if old == nil {
			return nil, nil, c2d.NotFound(id)
		}
		next := *old
		if sameAuthentication(old.Authentication, auth) {
			next.Authentication, next.ETag = &hubward.Authentication{Type: hubward.AuthCertificate}, etag
		}
		return &next, nil, nil
	}})
	if err != nil {
		return err
	}
	return h.store.EditCertificateRequest(ctx, s.ref.Name, id, func(slot *certrequest.Slot) error {
		slot.Unused = nil
		return nil
	})
}
