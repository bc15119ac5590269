package hub

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/hub/certrequest"
	"github.com/hubward/hubward/internal/pki"
)

// IssueCertificate issues a certificate to a device at the request of a back end. csr is the device's signing request: PKCS #10 in PEM,
// or in base64 of DER. p has RegistryWrite in the hub, or is the operator's.
//
// Errors: CodeUnauthorizedAccess; CodeNoSuchHub; CodeDeviceNotFound; CodeArgumentInvalid when csr cannot be read, is too long, or asks for
// what the hub does not issue; CodeCredentialPreconditionFailed when the hub issues none.
func (h *Hub) IssueCertificate(ctx context.Context, p *access.Principal, hub, device, csr string) (*hubward.IssuedCertificate, error) {
	s, err := h.permitIssuing(p, hub, device)
	if err != nil {
		return nil, err
	}
	der, err := decodeSigningRequest(csr)
	if err != nil {
		return nil, err
	}
	id := hubward.Identity{Device: device}
	if err := hubward.ValidateID(device); err != nil {
		return nil, err
	}
	r, err := h.store.Identity(ctx, s.ref.Name, id)
	if err != nil {
		return nil, err
	}
	chain, err := h.sign(ctx, s, device, der)
	var failure *CertificateError
	if errors.As(err, &failure) && failure.Code == hubward.CodeCredentialOperationFailed {
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "csr: %s", failure.Info.CredentialMessage)
	}
	if err != nil {
		return nil, err
	}
	err = h.store.EditCertificateRequest(ctx, s.ref.Name, id, func(slot *certrequest.Slot) error {
		h.noteIssued(slot, chain, r.Authentication)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &hubward.IssuedCertificate{Certificates: string(pki.EncodeCertificates(chain...)), Expiry: hubward.Time{Time: chain[0].NotAfter}}, nil
}

// permitIssuing finds a hub by its name, for who may manage it or write to its registry.
func (h *Hub) permitIssuing(p *access.Principal, hub, device string) (*state, error) {
	if err := h.permitOperator(p); err == nil {
		s, _, err := h.find(hub)
		return s, err
	}
	s, _, err := h.permit(p, access.RegistryWrite, registryPath(device))
	if err != nil {
		return nil, err
	}
	if s.ref.Name != hub {
		return nil, unauthorized(errors.New("the policy is of another hub"))
	}
	return s, nil
}

func decodeSigningRequest(text string) ([]byte, error) {
	if len(text) > 2*certrequest.MaxCSR {
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "csr: it has more than %d characters", 2*certrequest.MaxCSR)
	}
	if block, _ := pem.Decode([]byte(text)); block != nil {
		if block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
			return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "csr: it holds a %.40q, not a certificate request", strings.ToLower(block.Type))
		}
		return block.Bytes, nil
	}
	der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(der) == 0 {
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "csr: it is no certificate request in PEM, nor base64 of one in DER")
	}
	return der, nil
}
