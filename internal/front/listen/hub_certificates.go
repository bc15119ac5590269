package listen

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// addHubs gives certificates to hubs beyond the first. They are all for the server's key: one process has them all, so
// that a key for each would protect nobody, and an RSA key takes long to make.
func (c *Certificates) addHubs(s *shown, ca *authority, hubs []HubNames) {
	old := make(map[string]*x509.Certificate)
	if before := c.current.Load(); before != nil {
		for _, h := range before.hubs {
			old[h.hub] = h.pair.Leaf
		}
	}
	c.dropOthers(hubs)
	for _, h := range hubs {
		leaf, err := c.hubLeaf(ca, &h, s.fallback, old[h.Hub])
		if err != nil {
			c.logger.Error("a hub's certificate could not be issued: its clients get the default one", "hub", h.Hub, "error", err)
		}
		if leaf != nil {
			s.add(h, pairOf(leaf, s.fallback.PrivateKey))
		}
	}
}

// hubLeaf returns a hub's certificate: the one that is in use, the one in its file, or a new one. One that cannot be
// written is good until the end of the process; it comes with the error.
func (c *Certificates) hubLeaf(ca *authority, h *HubNames, server *tls.Certificate, leaf *x509.Certificate) (*x509.Certificate, error) {
	names, file := h.all(), c.hubFile(h.Hub)
	if len(names) == 0 {
		return nil, nil
	}
	if leaf == nil {
		leaf, _ = readCertificate(file) // nobody but us writes it: what is wrong is written again
	}
	reason := "there is none"
	if leaf != nil {
		reason = c.hubFault(ca, leaf, server, names)
	}
	if reason == "" {
		return leaf, nil
	}
	if ca.key == nil {
		return nil, errors.New(reason + ", and the authority's key is not there")
	}
	leaf, err := ca.issue(names, server.PrivateKey.(crypto.Signer), c.now(), c.rand)
	if err != nil {
		return nil, err
	}
	c.logger.Info("issued a hub's certificate", "hub", h.Hub, "reason", reason, "until", leaf.NotAfter, "count", len(names), "names", logged(names))
	if err := os.MkdirAll(filepath.Join(c.dir, hubsFolder), 0o700); err != nil {
		return leaf, err
	}
	return leaf, ReplaceFile(file, encodeCertificates(leaf), 0o644)
}

func (c *Certificates) hubFault(ca *authority, leaf *x509.Certificate, server *tls.Certificate, names []string) string {
	public, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(server.Leaf.PublicKey) {
		return "it is for another key"
	}
	return c.fault(ca, leaf, names)
}

// hubFile is a hub's own: names of hubs differ in more than case, and have letters, digits and hyphens only.
func (c *Certificates) hubFile(hub string) string {
	return filepath.Join(c.dir, hubsFolder, strings.ToLower(hub)+".pem")
}

// dropOthers removes the certificates of hubs that are no more.
func (c *Certificates) dropOthers(hubs []HubNames) {
	known := make(map[string]bool)
	for _, h := range hubs {
		known[filepath.Base(c.hubFile(h.Hub))] = true
	}
	entries, err := os.ReadDir(filepath.Join(c.dir, hubsFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.logger.Warn("certificates of deleted hubs could not be looked for", "error", err)
	}
	for _, e := range entries {
		if known[e.Name()] {
			continue
		}
		if err := os.Remove(filepath.Join(c.dir, hubsFolder, e.Name())); err != nil {
			c.logger.Warn("the certificate of a deleted hub could not be removed", "error", err)
		}
	}
}
