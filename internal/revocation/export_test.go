package revocation

import (
	"crypto/x509"
	"log/slog"
)

func ParseDenyList(text []byte) (map[string][]string, error) { return parseDenyList(text) }

// CRLsRevoke reads lists and reports whether they revoke a certificate of a path.
func CRLsRevoke(text []byte, path []*x509.Certificate) bool {
	crls, err := parseCRLs(text)
	if err != nil {
		return false
	}
	l := &List{logger: slog.New(slog.DiscardHandler)}
	l.current.Store(newIndex(map[string]*file{"a": {crls: crls}}))
	return l.Revoked(path)
}
