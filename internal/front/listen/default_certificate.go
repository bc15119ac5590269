package listen

import (
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// localNames are in the default certificate, because the first hub answers to them whatever it is called. The SDKs for C
// and Java want a dot in a host name: hence NAME.localhost.
var localNames = []string{"localhost", "*.localhost", "127.0.0.1", "::1"}

// defaultNames are the names of the first hub, under which clients without SNI have always found it, and the local ones.
func defaultNames(hubs []HubNames) []string {
	if len(hubs) == 0 {
		return localNames
	}
	return unique(slices.Concat(hubs[0].all(), localNames))
}

// defaultPair reads the server's certificate, and issues it when that is due.
func (c *Certificates) defaultPair(ca *authority, names []string) (*tls.Certificate, error) {
	pair, leaf, err := c.readPair()
	reason := c.reissue(ca, leaf, err, names)
	if reason == "" {
		return pair, err
	}
	if ca.key == nil {
		if err != nil {
			return nil, err
		}
		c.logger.Warn("the server's certificate is due, but the authority's key is not there", "reason", reason, "key", filepath.Join(c.dir, caKeyFile))
		return pair, nil
	}
	var key crypto.Signer // stays while only names change: the certificates of the other hubs are for it too
	if pair != nil && keyTypeOf(leaf) == c.keyType && !c.isDue(leaf) {
		key, _ = pair.PrivateKey.(crypto.Signer)
	}
	if pair, err = c.issue(ca, names, key); err != nil {
		return nil, err
	}
	c.logger.Info("issued the server's certificate", "reason", reason, "until", pair.Leaf.NotAfter, "count", len(names), "names", logged(names))
	return pair, nil
}

// readPair reads server.pem and server-key.pem. The leaf comes back even where it does not fit the key, to tell whose
// it is.
func (c *Certificates) readPair() (*tls.Certificate, *x509.Certificate, error) {
	file := filepath.Join(c.dir, serverFile)
	leaf, err := readCertificate(file)
	if err != nil {
		return nil, nil, err
	}
	pair, err := loadPair(file, filepath.Join(c.dir, serverKeyFile))
	if err != nil {
		return nil, leaf, fmt.Errorf("%s and %s: %w", file, serverKeyFile, err)
	}
	return pair, leaf, nil
}

// reissue says why the server's certificate has to be issued again; empty: it is good, or not ours to replace.
func (c *Certificates) reissue(ca *authority, leaf *x509.Certificate, err error, names []string) string {
	switch {
	case errors.Is(err, fs.ErrNotExist) && leaf == nil:
		return "there is none"
	case leaf == nil || !isOurs(leaf):
		return ""
	case err != nil:
		return "its key is not there"
	}
	return c.fault(ca, leaf, names)
}

// fault says what is wrong with a certificate of our own; empty: nothing.
func (c *Certificates) fault(ca *authority, leaf *x509.Certificate, names []string) string {
	switch {
	case leaf.CheckSignatureFrom(ca.cert) != nil:
		return "an earlier authority issued it"
	case c.isDue(leaf) && leaf.NotAfter.Before(ca.cert.NotAfter):
		return "it ends soon"
	case keyTypeOf(leaf) != c.keyType:
		return "it has another kind of key"
	}
	have := namesOf(leaf)
	if missing := without(names, have); len(missing) > 0 {
		return "it lacks " + inWords(missing)
	}
	if more := without(have, names); len(more) > 0 {
		return "it has names that are not its own any more: " + inWords(more)
	}
	return ""
}

func (c *Certificates) isDue(leaf *x509.Certificate) bool {
	return c.now().Add(renewBefore).After(leaf.NotAfter)
}

// issue makes the server's certificate and writes it, with a new key if key is nil.
func (c *Certificates) issue(ca *authority, names []string, key crypto.Signer) (*tls.Certificate, error) {
	fresh := key == nil
	var err error
	if fresh {
		if key, err = newKey(c.keyType, c.rand); err != nil {
			return nil, err
		}
	}
	leaf, err := ca.issue(names, key, c.now(), c.rand)
	if err != nil {
		return nil, err
	}
	if fresh {
		text, err := encodeKey(key)
		if err != nil {
			return nil, err
		}
		if err := ReplaceFile(filepath.Join(c.dir, serverKeyFile), text, 0o600); err != nil {
			return nil, err
		}
	}
	if err := ReplaceFile(filepath.Join(c.dir, serverFile), encodeCertificates(leaf), 0o644); err != nil {
		return nil, err
	}
	return pairOf(leaf, key), nil
}

func pairOf(leaf *x509.Certificate, key crypto.PrivateKey) *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// isOurs reports whether an authority of ours issued a certificate.
func isOurs(leaf *x509.Certificate) bool {
	return slices.Contains(leaf.Issuer.Organization, organization)
}

// all returns all names of the hub.
func (h *HubNames) all() []string { return unique(slices.Concat(h.Hosts, h.Aliases)) }

// unique returns names in their order, each once.
func unique(names []string) []string {
	var all []string
	for _, name := range names {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// namesOf are the names in a certificate, as they are given to issue.
func namesOf(leaf *x509.Certificate) []string {
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// without returns the names that are not among others.
func without(names, others []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(others, name) })
}

// inWords is a text of what may be many names.
func inWords(names []string) string {
	text := strings.Join(logged(names), " ")
	if more := len(names) - maxLogged; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// isLocal reports whether only this machine knows itself by that name: no given certificate is expected to hold it.
func isLocal(name string) bool {
	return slices.Contains(localNames, name) || strings.HasSuffix(name, ".localhost")
}

func keyTypeOf(cert *x509.Certificate) string {
	if _, ok := cert.PublicKey.(*rsa.PublicKey); ok {
		return KeyRSA
	}
	return KeyECDSA
}
