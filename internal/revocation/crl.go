package revocation

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"
)

// maxSigners bounds the authorities of one name that are remembered for a list.
const maxSigners = 16

// crl is a list of revoked certificates, as an authority publishes it.
type crl struct {
	rawIssuer, issuer      string
	number                 *big.Int // grows with each list of the issuer; 0: not told
	thisUpdate, nextUpdate time.Time
	revoked                map[string]struct{} // serial numbers, big endian

	list *x509.RevocationList // without its entries

	mu      sync.Mutex // guards signers; a leaf
	signers map[[sha256.Size]byte]bool
}

// parseCRLs reads the lists of a PEM text, or the one of DER.
func parseCRLs(text []byte) ([]*crl, error) {
	block, rest := pem.Decode(text)
	if block == nil {
		c, err := parseCRL(text)
		if err != nil {
			return nil, err
		}
		return []*crl{c}, nil
	}
	var crls []*crl
	for ; block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			return nil, fmt.Errorf("it holds a %.40q, which is no list of revoked certificates", block.Type)
		}
		c, err := parseCRL(block.Bytes)
		if err != nil {
			return nil, err
		}
		crls = append(crls, c)
	}
	return crls, nil
}

// errPartial refuses lists that are to be put together with others, or speak for other authorities: half of one is worse than none.
var errPartial = errors.New("it has a critical extension: lists that are a part of another one, or speak for several authorities, are not taken")

func parseCRL(der []byte) (*crl, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("it is no list of revoked certificates, in PEM or in DER: %w", err)
	}
	if anyCritical(list.Extensions) {
		return nil, errPartial
	}
	c := &crl{
		rawIssuer: string(list.RawIssuer), issuer: list.Issuer.String(), number: list.Number,
		thisUpdate: list.ThisUpdate, nextUpdate: list.NextUpdate, revoked: make(map[string]struct{}, len(list.RevokedCertificateEntries)),
		list: list, signers: make(map[[sha256.Size]byte]bool),
	}
	if c.number == nil {
		c.number = new(big.Int)
	}
	for i := range list.RevokedCertificateEntries {
		e := &list.RevokedCertificateEntries[i]
		if anyCritical(e.Extensions) {
			return nil, errPartial
		}
		c.revoked[string(e.SerialNumber.Bytes())] = struct{}{}
	}
	list.RevokedCertificateEntries = nil
	//lint:ignore SA1019 It is filled in, too, and would be kept.
	list.RevokedCertificates = nil
	return c, nil
}

func anyCritical(extensions []pkix.Extension) bool {
	for _, e := range extensions {
		if e.Critical {
			return true
		}
	}
	return false
}

// signedBy reports whether the list is signed with the key of an authority, and whether that is asked for the first time.
func (c *crl) signedBy(issuer *x509.Certificate) (ok, first bool) {
	key := sha256.Sum256(issuer.Raw)
	c.mu.Lock()
	ok, known := c.signers[key]
	c.mu.Unlock()
	if known {
		return ok, false
	}
	ok = c.list.CheckSignatureFrom(issuer) == nil
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.signers) < maxSigners {
		c.signers[key] = ok
	}
	return ok, true
}
