package access_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// party is a certificate with its key.
type party struct {
	cert *x509.Certificate
	key  crypto.Signer
}

var lastSerial int64

// issue makes a certificate below one of issuer, or a self-signed one. change is done to its template.
func issue(t testing.TB, name string, issuer *party, change func(*x509.Certificate)) *party {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return issueFor(t, key, name, issuer, change)
}

func issueFor(t testing.TB, key crypto.Signer, name string, issuer *party, change func(*x509.Certificate)) *party {
	t.Helper()
	lastSerial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(lastSerial), Subject: pkix.Name{CommonName: name},
		NotBefore: now, NotAfter: now.Add(24 * time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &party{cert, key}
}

// ca is a change that makes an authority.
func ca(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.ExtKeyUsage = true, true, nil
	c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
}

func all(changes ...func(*x509.Certificate)) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		for _, change := range changes {
			change(c)
		}
	}
}

func between(from, until time.Duration) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(from), now.Add(until) }
}

func usages(u ...x509.ExtKeyUsage) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.ExtKeyUsage = u }
}

func certs(parties ...*party) []*x509.Certificate {
	var list []*x509.Certificate
	for _, p := range parties {
		list = append(list, p.cert)
	}
	return list
}

func admitting(parties ...*party) access.Authorities {
	var list []access.Authority
	for _, p := range parties {
		list = append(list, access.Authority{Name: p.cert.Subject.CommonName, Certificate: p.cert, Verified: true})
	}
	return access.NewAuthorities(list)
}

// logIn logs d1 in with certificates of authorities.
func logIn(chain []*x509.Certificate, a access.Authorities, at time.Time) (access.Principal, error) {
	return access.Certificate(chain, hubward.Identity{Device: "d1"}, device(hubward.AuthCertificate), &access.Admission{Authorities: a}, at)
}

func newKey(t testing.TB, key crypto.Signer, err error) crypto.Signer {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestCertificate_ofAuthority(t *testing.T) {
	root := issue(t, "root", nil, ca)
	middle := issue(t, "middle", root, ca)
	low := issue(t, "low", middle, ca)
	stranger := issue(t, "stranger", nil, ca)
	namesake := issue(t, "root", nil, ca) // another root of that name
	leaf := issue(t, "d1", low, nil)
	flat := issue(t, "flat", root, all(ca, func(c *x509.Certificate) { c.MaxPathLenZero = true }))
	deep := issue(t, "deep", flat, ca)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	strong := newKey(t, rsaKey, err)
	shortKey, err := rsa.GenerateKey(rand.Reader, 1024)
	short := newKey(t, shortKey, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	ed := newKey(t, edKey, err)
	p224Key, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	p224 := newKey(t, p224Key, err)
	signer := issueFor(t, strong, "signer", root, ca)
	sha1Signed := []*party{issue(t, "d1", signer, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA }), signer}
	hour := now.Add(time.Hour)
	byRoot := admitting(root)
	for _, test := range []struct {
		what   string
		chain  []*x509.Certificate
		by     access.Authorities
		at     time.Time
		reason access.Reason // empty: let in
	}{
		{"below a root", certs(issue(t, "d1", root, nil)), byRoot, hour, ""},
		{"with intermediates", certs(leaf, low, middle), byRoot, hour, ""},
		{"in any order", certs(leaf, middle, low), byRoot, hour, ""},
		{"with the root", certs(leaf, root, low, middle), byRoot, hour, ""},
		{"with others", certs(leaf, stranger, low, leaf, middle, low), byRoot, hour, ""},
		{"below a registered intermediate", certs(leaf, low), admitting(middle), hour, ""},
		{"right below one", certs(leaf), admitting(low), hour, ""},
		{"of a root with a namesake", certs(leaf, low, middle), admitting(namesake, root), hour, ""},
		{"RSA", certs(issueFor(t, strong, "d1", root, nil)), byRoot, hour, ""},
		{"Ed25519", certs(issueFor(t, ed, "d1", root, nil)), byRoot, hour, ""},
		{"for anything", certs(issue(t, "d1", root, usages())), byRoot, hour, ""},
		{"for any usage", certs(issue(t, "d1", root, usages(x509.ExtKeyUsageAny))), byRoot, hour, ""},
		{"for servers and clients", certs(issue(t, "d1", root, usages(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth))), byRoot, hour, ""},
		{"in its first second", certs(leaf, low, middle), byRoot, now, ""},
		{"in its last second", certs(leaf, low, middle), byRoot, now.Add(24 * time.Hour), ""},

		{"no authority at all", certs(leaf, low, middle), access.Authorities{}, hour, access.ReasonAuthority},
		{"a foreign authority", certs(leaf, low, middle), admitting(stranger), hour, access.ReasonAuthority},
		{"a foreign authority that is sent", certs(issue(t, "d1", stranger, nil), stranger), byRoot, hour, access.ReasonAuthority},
		{"an authority of that name", certs(issue(t, "d1", namesake, nil), namesake), byRoot, hour, access.ReasonChain},
		{"a missing intermediate", certs(leaf, middle), byRoot, hour, access.ReasonAuthority},
		{"a self-signed one", certs(issue(t, "d1", nil, nil)), byRoot, hour, access.ReasonAuthority},
		{"another device", certs(issue(t, "d2", root, nil)), byRoot, hour, access.ReasonCommonName},
		{"another case", certs(issue(t, "D1", root, nil)), byRoot, hour, access.ReasonCommonName},
		{"a module of it", certs(issue(t, "d1/m", root, nil)), byRoot, hour, access.ReasonCommonName},
		{"no name", certs(issue(t, "", root, nil)), byRoot, hour, access.ReasonCommonName},
		{"the name as an alternative", certs(issue(t, "x", root, func(c *x509.Certificate) { c.DNSNames = []string{"d1"} })), byRoot, hour, access.ReasonCommonName},
		{"two names", certs(issue(t, "d1", root, func(c *x509.Certificate) {
			c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: []int{2, 5, 4, 3}, Value: "d0"}, {Type: []int{2, 5, 4, 3}, Value: "d1"}}
		})), byRoot, hour, access.ReasonCommonName},
		{"before its time", certs(leaf, low, middle), byRoot, now.Add(-time.Second), access.ReasonNotYetValid},
		{"after its time", certs(leaf, low, middle), byRoot, now.Add(24*time.Hour + time.Second), access.ReasonExpired},
		{"an expired intermediate", certs(below(t, issue(t, "old", root, all(ca, between(0, time.Minute))))...), byRoot, hour, access.ReasonExpired},
		{"an intermediate before its time", certs(below(t, issue(t, "new", root, all(ca, between(2*time.Hour, 3*time.Hour))))...), byRoot, hour, access.ReasonNotYetValid},
		{"an expired authority", certs(issue(t, "d1", issue(t, "old", nil, all(ca, between(0, time.Minute))), nil)), byRoot, hour, access.ReasonAuthority},
		{"for servers", certs(issue(t, "d1", root, usages(x509.ExtKeyUsageServerAuth))), byRoot, hour, access.ReasonUsage},
		{"below an authority for servers", certs(below(t, issue(t, "servers", root, all(ca, usages(x509.ExtKeyUsageServerAuth))))...), byRoot, hour, access.ReasonUsage},
		{"below a device", certs(below(t, issue(t, "d0", root, nil))...), byRoot, hour, access.ReasonChain},
		{"below one that may sign no certificates", certs(below(t, issue(t, "crl", root, all(ca, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })))...), byRoot, hour, access.ReasonChain},
		{"too deep", certs(append(below(t, deep), flat)...), byRoot, hour, access.ReasonChain},
		{"RSA with 1024 bits", certs(issueFor(t, short, "d1", root, nil)), byRoot, hour, access.ReasonWeak},
		{"signed with SHA-1", certs(sha1Signed...), byRoot, hour, access.ReasonWeak},
		{"P-224", certs(issueFor(t, p224, "d1", root, nil)), byRoot, hour, access.ReasonWeak},
		{"below RSA with 1024 bits", certs(below(t, issueFor(t, short, "short", root, ca))...), byRoot, hour, access.ReasonWeak},
	} {
		t.Run(test.what, func(t *testing.T) {
			for range 2 { // the second time from what is remembered
				p, err := logIn(test.chain, test.by, test.at)
				if test.reason == "" {
					if err != nil || p.Authority() == "" || p.Method != "x509" || p.Expires.After(test.chain[0].NotAfter) || p.Generation != "1" {
						t.Errorf("%+v, %v", p, err)
					}
					continue
				}
				wantRefusal(t, test.what, p, err)
				if got := access.ReasonOf(err); got != test.reason {
					t.Errorf("refused because of %s, want %s: %v", got, test.reason, errors.Unwrap(err))
				}
			}
		})
	}
}

// below returns a certificate of d1 that issuer issued, and issuer's.
func below(t *testing.T, issuer *party) []*party {
	return []*party{issue(t, "d1", issuer, nil), issuer}
}

func TestCertificate_ofAuthorityThatLetsNobodyIn(t *testing.T) {
	root := issue(t, "root", nil, ca)
	middle := issue(t, "middle", root, ca)
	chain := certs(issue(t, "d1", middle, nil), middle)
	for reason, a := range map[access.Reason]access.Authority{
		access.ReasonAuthorityDisabled:   {Verified: true, Disabled: true},
		access.ReasonAuthorityUnverified: {},
	} {
		a.Name, a.Certificate = "plant-ca", root.cert
		p, err := logIn(chain, access.NewAuthorities([]access.Authority{a}), now)
		wantRefusal(t, string(reason), p, err)
		if got := access.ReasonOf(err); got != reason || !strings.Contains(errors.Unwrap(err).Error(), "plant-ca") {
			t.Errorf("refused because of %s, want %s: %v", got, reason, errors.Unwrap(err))
		}
	}
}

func TestCertificate_ofModule(t *testing.T) {
	root := issue(t, "root", nil, ca)
	a := &access.Admission{Authorities: admitting(root)}
	id := hubward.Identity{Device: "d1", Module: "m"}
	if p, err := access.Certificate(certs(issue(t, "d1/m", root, nil)), id, device(hubward.AuthCertificate), a, now); err != nil || p.Scope != access.ScopeModule {
		t.Errorf("%+v, %v", p, err)
	}
	for _, name := range []string{"d1", "m", "d1/M", "d1/m/", "d2/m"} {
		p, err := access.Certificate(certs(issue(t, name, root, nil)), id, device(hubward.AuthCertificate), a, now)
		wantRefusal(t, name, p, err)
	}
}

// What a client sends is bounded, and so is what a look at it costs.
func TestCertificate_chainIsBounded(t *testing.T) {
	root := issue(t, "root", nil, ca)
	leaf := issue(t, "d1", root, nil)
	fill := func(n int) []*x509.Certificate {
		chain := certs(leaf)
		for len(chain) < n {
			chain = append(chain, root.cert)
		}
		return chain
	}
	for n, ok := range map[int]bool{9: true, 10: true, 11: false} {
		if _, err := logIn(fill(n), admitting(root), now); (err == nil) != ok {
			t.Errorf("%d certificates: %v", n, err)
		}
	}
	big := issue(t, "big", root, func(c *x509.Certificate) { c.DNSNames = []string{strings.Repeat("x", 31<<10)} })
	if _, err := logIn(certs(leaf, big), admitting(root), now); err != nil {
		t.Errorf("31 KiB: %v", err)
	}
	if _, err := logIn(certs(leaf, big, root, root, root), admitting(root), now); access.ReasonOf(err) != access.ReasonChain {
		t.Errorf("more than 32 KiB: %v", err)
	}
	// Authorities of one name, each of which may have issued each.
	junk := certs(issue(t, "d1", issue(t, "loop", root, ca), nil))
	for range 8 {
		junk = append(junk, issue(t, "loop", issue(t, "loop", nil, ca), ca).cert)
	}
	if _, err := logIn(append(junk, root.cert), admitting(root), now); access.ReasonOf(err) != access.ReasonChain || !strings.Contains(errors.Unwrap(err).Error(), "too many ways") {
		t.Errorf("junk: %v", err)
	}
}

func TestAdmits(t *testing.T) {
	root, other := issue(t, "root", nil, ca), issue(t, "other", nil, ca)
	middle := issue(t, "middle", root, ca)
	cross := issueFor(t, middle.key, "middle", other, ca) // the same authority, below another root
	leaf := issue(t, "d1", middle, between(0, time.Hour))
	p, err := logIn(certs(leaf, middle, cross), admitting(root), now)
	if err != nil || p.Authority() != "root" || !p.Expires.Equal(leaf.cert.NotAfter) {
		t.Fatalf("%+v, %v", p, err)
	}
	revoked := func(serials ...*party) access.Revoked {
		return func(path *access.Path) bool {
			for _, c := range path.Certificates {
				for _, s := range serials {
					if c.SerialNumber.Cmp(s.cert.SerialNumber) == 0 {
						return true
					}
				}
			}
			return false
		}
	}
	for what, try := range map[string]struct {
		admission access.Admission
		at        time.Time
		reason    access.Reason
	}{
		"nothing changed":             {access.Admission{Authorities: admitting(root)}, now, ""},
		"more authorities":            {access.Admission{Authorities: admitting(other, root)}, now, ""},
		"another one above it":        {access.Admission{Authorities: admitting(other)}, now, ""},
		"none":                        {access.Admission{}, now, access.ReasonAuthority},
		"replaced":                    {access.Admission{Authorities: admitting(issueFor(t, root.key, "root", nil, ca))}, now, ""},
		"a namesake":                  {access.Admission{Authorities: admitting(issue(t, "root", nil, ca))}, now, access.ReasonChain},
		"disabled":                    {access.Admission{Authorities: access.NewAuthorities([]access.Authority{{Name: "root", Certificate: root.cert, Verified: true, Disabled: true}})}, now, access.ReasonAuthorityDisabled},
		"expired":                     {access.Admission{Authorities: admitting(root)}, now.Add(2 * time.Hour), access.ReasonExpired},
		"revoked":                     {access.Admission{Authorities: admitting(root), Revoked: revoked(leaf)}, now, access.ReasonRevoked},
		"another is revoked":          {access.Admission{Authorities: admitting(root), Revoked: revoked(other)}, now, ""},
		"one above it is revoked":     {access.Admission{Authorities: admitting(root), Revoked: revoked(middle)}, now, access.ReasonRevoked},
		"one of two above is revoked": {access.Admission{Authorities: admitting(root, other), Revoked: revoked(middle)}, now, ""},
	} {
		t.Run(what, func(t *testing.T) {
			d := device(hubward.AuthCertificate)
			next, err := p.Speak(p.Identity, d, &try.admission, try.at)
			for i, err := range []error{try.admission.Admits(&p, try.at), err} {
				if got := access.ReasonOf(err); try.reason == "" && err != nil || try.reason != "" && got != try.reason {
					t.Errorf("%d: refused because of %s, want %s: %v", i, got, try.reason, err)
				}
			}
			if err == nil && (next.Authority() == "" || next.Method != "x509") {
				t.Errorf("%+v", next)
			}
		})
	}
	for what, auth := range map[string]hubward.AuthType{"keys": hubward.AuthSAS, "a thumbprint": hubward.AuthSelfSigned, "nothing": hubward.AuthNone} {
		if _, err := p.Speak(p.Identity, device(auth), &access.Admission{Authorities: admitting(root)}, now); err == nil {
			t.Errorf("the identity authenticates with %s now, and still speaks", what)
		}
	}
}

// A chain that was verified once is known again, until one of its certificates ends, and by those authorities alone.
func TestAuthorities_remember(t *testing.T) {
	root := issue(t, "root", nil, ca)
	middle := issue(t, "middle", root, all(ca, between(0, time.Hour)))
	chain := certs(issue(t, "d1", middle, nil), middle)
	a := admitting(root)
	for _, try := range []struct {
		at         time.Time
		ok         bool
		remembered int
	}{
		{now.Add(-time.Second), false, 0}, {now, true, 1}, {now.Add(time.Hour), true, 1},
		{now.Add(time.Hour + time.Second), false, 1}, {now.Add(-time.Second), false, 1}, {now, true, 1},
	} {
		_, err := logIn(chain, a, try.at)
		if (err == nil) != try.ok || access.Remembered(a) != try.remembered {
			t.Errorf("%s: %v, %d remembered", try.at, err, access.Remembered(a))
		}
	}
	// Whether it is revoked, and whose certificate it is, is looked at each time.
	revoked := &access.Admission{Authorities: a, Revoked: func(*access.Path) bool { return true }}
	if _, err := access.Certificate(chain, hubward.Identity{Device: "d1"}, device(hubward.AuthCertificate), revoked, now); access.ReasonOf(err) != access.ReasonRevoked {
		t.Errorf("a revoked one that is remembered: %v", err)
	}
	p, err := access.Certificate(chain, hubward.Identity{Device: "d2"}, device(hubward.AuthCertificate), &access.Admission{Authorities: a}, now)
	wantRefusal(t, "another device", p, err)
	for range 3 {
		if _, err := logIn(certs(issue(t, "d1", root, nil)), a, now); err != nil {
			t.Fatal(err)
		}
	}
	if n := access.Remembered(a); n != 4 {
		t.Errorf("%d chains are remembered", n)
	}
	if n := access.RememberMany(a, chain); n != access.MaxRemembered {
		t.Errorf("%d chains are remembered, more than %d", n, access.MaxRemembered)
	}
}

func BenchmarkCertificate(b *testing.B) {
	root := issue(b, "root", nil, ca)
	middle := issue(b, "middle", root, ca)
	chain := certs(issue(b, "d1", middle, nil), middle)
	b.Run("verified", func(b *testing.B) {
		for b.Loop() {
			if _, err := logIn(chain, admitting(root), now); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("remembered", func(b *testing.B) {
		a := admitting(root)
		for b.Loop() {
			if _, err := logIn(chain, a, now); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Whatever a client sends as certificates, the hub looks at it in bounded time, and lets in nobody whom no authority has signed.
func FuzzCertificate(f *testing.F) {
	root, other := issue(f, "root", nil, ca), issue(f, "other", nil, ca)
	middle := issue(f, "middle", other, ca)
	for _, parties := range [][]*party{
		{issue(f, "d1", other, nil)}, {issue(f, "d1", middle, nil), middle}, {issue(f, "d1", middle, nil), middle, other},
		{issue(f, "d1", nil, nil), root}, {issue(f, "d1", issue(f, "root", nil, ca), nil), root},
	} {
		var der []byte
		for _, p := range parties {
			der = append(der, p.cert.Raw...)
		}
		f.Add(der)
	}
	a := admitting(root)
	f.Fuzz(func(t *testing.T, der []byte) {
		chain, err := x509.ParseCertificates(der)
		if err != nil || len(chain) == 0 {
			return
		}
		if p, err := logIn(chain, a, now); err == nil || p.Permissions != 0 {
			t.Errorf("%x is let in", der)
		}
	})
}
