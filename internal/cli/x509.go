package cli

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/pki"
)

// What certificates are good for that the command makes, unless --validity says otherwise.
const (
	authorityLife = 10 * 365 * 24 * time.Hour
	clientLife    = 365 * 24 * time.Hour
)

// certificateFiles are the files of a certificate and of its key that a command makes.
type certificateFiles struct{ certificate, key string }

// filesFor names the files for an identity or an authority in a folder. What a file system may take amiss in an id becomes _.
func filesFor(folder, name string) certificateFiles {
	base := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._", r) {
			return r
		}
		return '_'
	}, name)
	return certificateFiles{filepath.Join(folder, base+".pem"), filepath.Join(folder, base+"-key.pem")}
}

// write writes both files, the key for its owner's eyes only, or neither. A file that is there is never written over.
func (f certificateFiles) write(key crypto.Signer, certs ...*x509.Certificate) error {
	text, err := pki.EncodeKey(key)
	if err != nil {
		return err
	}
	if err := writeNew(f.key, text, 0o600); err != nil {
		return err
	}
	if err := writeNew(f.certificate, pki.EncodeCertificates(certs...), 0o644); err != nil {
		os.Remove(f.key)
		return err
	}
	return nil
}

// settle is called with what the hub has said of files, if any, that were written before: what it has refused leaves none behind.
// Without its answer it may know of them.
func (f certificateFiles) settle(err error) error {
	var refused *hubward.Error
	switch {
	case err == nil || f.key == "":
		return err
	case errors.As(err, &refused):
		return errors.Join(err, os.Remove(f.certificate), os.Remove(f.key))
	}
	return fmt.Errorf("%w; the hub may know it or not, %s and %s are there", err, f.certificate, f.key)
}

func writeNew(name string, text []byte, mode fs.FileMode) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already, and is not written over: move it away, or name another place with --out", name)
	}
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		os.Remove(name)
	}
	return err
}

// readPEM reads a file that is to hold a certificate or a key.
func readPEM(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, pki.MaxCertificate+1))
	if err == nil && len(text) > pki.MaxCertificate {
		err = fmt.Errorf("%s: has more than %d bytes", name, pki.MaxCertificate)
	}
	return text, err
}

func readKey(name string) (crypto.Signer, error) {
	text, err := readPEM(name)
	if err != nil {
		return nil, err
	}
	key, err := pki.ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return key, nil
}

// readAuthority reads an authority's certificate, with those above it behind it, and its key.
func readAuthority(certFile, keyFile string) (*pki.Authority, []*x509.Certificate, error) {
	text, err := readPEM(certFile)
	if err != nil {
		return nil, nil, err
	}
	chain, err := pki.ParseCertificates(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", certFile, err)
	}
	key, err := readKey(keyFile)
	if err != nil {
		return nil, nil, err
	}
	a, err := pki.NewAuthority(chain[0], key)
	if err != nil {
		return nil, nil, fmt.Errorf("%s, %s: %w", certFile, keyFile, err)
	}
	return a, chain, nil
}

// x509Flags are how a command is told that an identity authenticates with a certificate: one that is there, or one that the command
// makes, with its key.
type x509Flags struct {
	byAuthority        bool
	primary, secondary string // thumbprints
	selfSigned         bool
	ca, caKey, out     string
	validity           durationFlag
	validityChanged    func() bool
}

func (f *x509Flags) add(cmd *cobra.Command) {
	f.validity = durationFlag(clientLife)
	flags := cmd.Flags()
	flags.BoolVar(&f.byAuthority, "x509-registered", false, "it has a certificate of an authority of the hub, or of one below one")
	flags.StringVar(&f.primary, "primary-thumbprint", "", "`thumbprint` of the certificate that it has: 40 or 64 hexadecimal digits")
	flags.StringVar(&f.secondary, "secondary-thumbprint", "", "`thumbprint` of another certificate that it may have")
	flags.BoolVar(&f.selfSigned, "x509", false, "make a key and a certificate, and register its thumbprint in place of keys")
	flags.StringVar(&f.ca, "x509-ca", "", "PEM `file` with the certificate of a registered authority, or of one below it, that signs one instead")
	flags.StringVar(&f.caKey, "x509-key", "", "PEM `file` with the key of --x509-ca")
	flags.StringVar(&f.out, "out", ".", "`folder` that the files of key and certificate go to")
	flags.Var(&f.validity, "validity", "how long the certificate is valid")
	f.validityChanged = func() bool { return flags.Changed("validity") || flags.Changed("out") }
}

// wanted reports whether the identity is to authenticate with a certificate, and makes whether one is to be made.
func (f *x509Flags) wanted() bool { return f.byAuthority || f.primary+f.secondary != "" || f.makes() }

func (f *x509Flags) makes() bool { return f.selfSigned || f.ca != "" || f.caKey != "" }

// problem says what does not go together; empty: it does.
func (f *x509Flags) problem() string {
	ways := 0
	for _, given := range []bool{f.byAuthority, f.primary+f.secondary != "", f.selfSigned, f.ca+f.caKey != ""} {
		if given {
			ways++
		}
	}
	switch {
	case ways > 1:
		return "give one of --x509, --x509-ca with --x509-key, --x509-registered, and thumbprints"
	case (f.ca == "") != (f.caKey == ""):
		return "give both --x509-ca and --x509-key"
	case !f.makes() && f.validityChanged():
		return "--validity and --out are for a certificate that the command makes: give --x509, or --x509-ca and --x509-key"
	}
	return ""
}

// authentication returns how an identity authenticates, with the files of a certificate that was made for it, if any.
func (f *x509Flags) authentication(id hubward.Identity) (*hubward.Authentication, certificateFiles, error) {
	switch {
	case f.makes():
		return f.make(id)
	case f.byAuthority:
		return &hubward.Authentication{Type: hubward.AuthCertificate}, certificateFiles{}, nil
	}
	return &hubward.Authentication{Type: hubward.AuthSelfSigned, X509Thumbprint: hubward.X509Thumbprint{
		PrimaryThumbprint: hubward.NullString(f.primary), SecondaryThumbprint: hubward.NullString(f.secondary),
	}}, certificateFiles{}, nil
}

// make makes key and certificate of an identity, writes their files, and returns how the identity authenticates with them.
func (f *x509Flags) make(id hubward.Identity) (*hubward.Authentication, certificateFiles, error) {
	files := filesFor(f.out, id.String())
	key, err := pki.NewKey(rand.Reader)
	if err != nil {
		return nil, files, err
	}
	if f.selfSigned {
		cert, err := pki.SelfSigned(id.String(), key, time.Now(), time.Duration(f.validity), rand.Reader)
		if err != nil {
			return nil, files, err
		}
		sum := sha256.Sum256(cert.Raw)
		thumbprint := hubward.NullString(strings.ToUpper(hex.EncodeToString(sum[:])))
		return &hubward.Authentication{
			Type: hubward.AuthSelfSigned, X509Thumbprint: hubward.X509Thumbprint{PrimaryThumbprint: thumbprint},
		}, files, files.write(key, cert)
	}
	a, above, err := readAuthority(f.ca, f.caKey)
	if err != nil {
		return nil, files, err
	}
	cert, err := a.Issue(id.String(), key.Public(), time.Now(), time.Duration(f.validity), rand.Reader)
	if err != nil {
		return nil, files, err
	}
	chain := []*x509.Certificate{cert}
	for _, c := range above {
		if c.CheckSignatureFrom(c) != nil { // who has the root needs not be sent it
			chain = append(chain, c)
		}
	}
	return &hubward.Authentication{Type: hubward.AuthCertificate}, files, files.write(key, chain...)
}

// readSigningRequest reads a file with a signing request, and returns it as text.
func readSigningRequest(name string) (string, error) {
	text, err := readPEM(name)
	if err != nil {
		return "", err
	}
	if block, _ := pem.Decode(text); block != nil {
		return string(text), nil
	}
	if _, err := x509.ParseCertificateRequest(text); err != nil {
		return "", fmt.Errorf("%s: is no signing request, in PEM or in DER", name)
	}
	return base64.StdEncoding.EncodeToString(text), nil
}
