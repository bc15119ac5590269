package revocation_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/pki"
	"github.com/hubward/hubward/internal/revocation"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type folder struct {
	t    *testing.T
	dir  string
	logs bytes.Buffer
	list *revocation.List
}

func newFolder(t *testing.T) *folder { return &folder{t: t, dir: t.TempDir()} }

func (f *folder) write(name string, text []byte) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), text, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *folder) open() error {
	var err error
	f.list, err = revocation.Open(f.dir, func() time.Time { return now }, slog.New(slog.NewTextHandler(&f.logs, nil)))
	return err
}

func authority(t testing.TB, name string) *pki.Authority {
	t.Helper()
	a, err := pki.MakeAuthority(name, now, 24*time.Hour, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// device returns the path of a device's certificate.
func device(t testing.TB, a *pki.Authority) []*x509.Certificate {
	t.Helper()
	key, err := pki.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Issue("d1", key.Public(), now, time.Hour, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{c, a.Certificate}
}

// crl makes an authority's list of revoked certificates.
func crl(t testing.TB, a *pki.Authority, number int64, change func(*x509.RevocationList), revoked ...*x509.Certificate) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: now, NextUpdate: now.Add(time.Hour)}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: now})
	}
	if change != nil {
		change(list)
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.Certificate, a.Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func asPEM(lists ...[]byte) (text []byte) {
	for _, der := range lists {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})...)
	}
	return text
}

func TestRevoked_byAuthority(t *testing.T) {
	a, namesake, other := authority(t, "ca"), authority(t, "ca"), authority(t, "other")
	bad, good := device(t, a), device(t, a)
	foreign := device(t, namesake)
	foreign[0].SerialNumber = bad[0].SerialNumber
	for what, files := range map[string]map[string][]byte{
		"DER":         {"ca.crl": crl(t, a, 1, nil, bad[0])},
		"PEM":         {"ca.PEM": asPEM(crl(t, a, 1, nil, bad[0]))},
		"two in PEM":  {"all.pem": asPEM(crl(t, other, 1, nil), crl(t, a, 1, nil, bad[0]))},
		"the newer":   {"1.crl": crl(t, a, 9, nil), "2.crl": crl(t, a, 10, nil, bad[0])},
		"of its key":  {"1.crl": crl(t, namesake, 2, nil), "2.crl": crl(t, a, 1, nil, bad[0])},
		"out of date": {"ca.crl": crl(t, a, 1, func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = now.Add(-2*time.Hour), now.Add(-time.Hour) }, bad[0])},
	} {
		t.Run(what, func(t *testing.T) {
			f := newFolder(t)
			for name, text := range files {
				f.write(name, text)
			}
			if err := f.open(); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if !f.list.Revoked(bad) {
					t.Error("a certificate that is listed is not revoked")
				}
				if f.list.Revoked(good) || f.list.Revoked(bad[1:]) {
					t.Error("one that is not is")
				}
				if f.list.Revoked(bad[:1]) || f.list.Revoked(foreign) {
					t.Error("a list counts for an authority whose key has not signed it")
				}
			}
			if s := f.list.Stats(); s.Files != len(files) || s.Broken != 0 || s.Certificates != 1 || s.NextUpdate.IsZero() {
				t.Errorf("%+v", s)
			}
			if warned := strings.Contains(f.logs.String(), "level=WARN msg=\"read a list"); warned != (what == "out of date") {
				t.Errorf("logs:\n%s", f.logs.String())
			}
		})
	}
}

// An authority that is revoked by the one above it takes what it has issued along.
func TestRevoked_authorityBetween(t *testing.T) {
	root, middle := authority(t, "root"), authority(t, "middle")
	f := newFolder(t)
	f.write("root.crl", crl(t, root, 1, nil, middle.Certificate))
	if err := f.open(); err != nil {
		t.Fatal(err)
	}
	path := append(device(t, middle), root.Certificate)
	middle.Certificate.RawIssuer = root.Certificate.RawSubject // as if the root had issued it
	if !f.list.Revoked(path) || f.list.Revoked(path[:2]) {
		t.Error("the authority between is on the root's list")
	}
}

func TestRevoked_byDenyList(t *testing.T) {
	a := authority(t, "Plant CA")
	path := device(t, a)
	serial := path[0].SerialNumber.Text(16)
	colons := ""
	for i := 0; i < len(serial); i += 2 {
		colons += ":" + serial[i:i+2]
	}
	for what, test := range map[string]struct {
		text    string
		revoked bool
	}{
		"nothing":              {"", false},
		"comments":             {"# nothing\n\n   \n#" + serial, false},
		"a serial":             {serial, true},
		"in upper case":        {strings.ToUpper(serial) + "\r\n", true},
		"with colons":          {"\t" + colons[1:] + " \n", true},
		"as openssl prints it": {"serial=" + strings.ToUpper(serial), true},
		"with 0x":              {"0x00" + serial, true},
		"after a mark":         {"\ufeff" + serial, true},
		"its issuer":           {serial + " CN=Plant CA", true},
		"another issuer":       {serial + " CN=Other CA", false},
		"one of two issuers":   {serial + " CN=Other CA\n" + serial + "\tCN=Plant CA\n", true},
		"the authority":        {a.Certificate.SerialNumber.Text(16), true},
		"another":              {serial + "00", false},
	} {
		f := newFolder(t)
		f.write("deny.txt", []byte(test.text))
		if err := f.open(); err != nil {
			t.Errorf("%s: %v", what, err)
		} else if got := f.list.Revoked(path); got != test.revoked {
			t.Errorf("%s: revoked %t", what, got)
		}
	}
}

// What cannot be read ends the start, and names file and line.
func TestOpen_refusals(t *testing.T) {
	a := authority(t, "ca")
	critical := func(l *x509.RevocationList) {
		l.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}
	}
	for what, test := range map[string]struct {
		name, text string
		want       string
	}{
		"no list":             {"a.crl", "hello", "a.crl: it is no list"},
		"an empty file":       {"a.pem", "", "a.pem: it is no list"},
		"a cut list":          {"a.crl", string(crl(t, a, 1, nil)[:40]), "no list"},
		"a certificate":       {"a.pem", string(pki.EncodeCertificates(a.Certificate)), "CERTIFICATE"},
		"a partial list":      {"a.der", string(crl(t, a, 1, critical)), "critical"},
		"no serial":           {"a.txt", "12\nhello\n", "a.txt: line 2"},
		"a serial of 65":      {"a.txt", strings.Repeat("ab", 65), "64 bytes"},
		"a long line":         {"a.txt", strings.Repeat("a", 1<<20), "64 bytes"},
		"only colons":         {"a.txt", "::", "line 1"},
		"an issuer's word":    {"a.txt", "12 Plant", "name of an issuer"},
		"no text":             {"a.txt", "12\xff", "UTF-8"},
		"in another encoding": {"a.txt", "1\x002\x00", "line 1"},
	} {
		f := newFolder(t)
		f.write(test.name, []byte(test.text))
		if err := f.open(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", what, err, test.want)
		}
	}
	f := newFolder(t)
	f.dir = filepath.Join(f.dir, "none")
	if err := f.open(); err == nil {
		t.Error("a folder that is not there can be read")
	}
}

func TestOpen_passesOver(t *testing.T) {
	f := newFolder(t)
	f.write("README", []byte("lists of revoked certificates"))
	f.write(".ca.crl.swp", []byte("half"))
	f.write(".txt", []byte("half"))
	if err := f.open(); err != nil || f.list.Stats().Files != 0 {
		t.Errorf("%v, %+v", err, f.list.Stats())
	}
	if logs := f.logs.String(); strings.Count(logs, "passed over") != 1 || !strings.Contains(logs, "README") {
		t.Errorf("logs:\n%s", logs)
	}
}

func TestReload(t *testing.T) {
	a := authority(t, "ca")
	one, two := device(t, a), device(t, a)
	serial := func(path []*x509.Certificate) []byte { return []byte(path[0].SerialNumber.Text(16) + "\n") }
	f := newFolder(t)
	if err := f.open(); err != nil {
		t.Fatal(err)
	}
	step := func(what string, wantChanged, wantErr bool, revoked ...bool) {
		t.Helper()
		changed, err := f.list.Reload(false)
		if changed != wantChanged || (err != nil) != wantErr || (f.list.Stats().Broken > 0) != wantErr {
			t.Errorf("%s: changed %t, %v, %+v", what, changed, err, f.list.Stats())
		}
		if got := []bool{f.list.Revoked(one), f.list.Revoked(two)}; fmt.Sprint(got) != fmt.Sprint(revoked) {
			t.Errorf("%s: revoked %v, want %v", what, got, revoked)
		}
	}
	step("nothing", false, false, false, false)
	f.write("deny.txt", serial(one))
	step("a new file", true, false, true, false)
	step("the same", false, false, true, false)
	f.write("ca.crl", crl(t, a, 1, nil, two[0]))
	step("another file", true, false, true, true)
	f.write("deny.txt", []byte("half a"))
	step("a broken one", false, true, true, true)
	step("still broken", false, true, true, true)
	if n := strings.Count(f.logs.String(), "level=ERROR"); n != 1 {
		t.Errorf("it is logged %d times", n)
	}
	f.write("ca.crl", crl(t, a, 2, nil))
	step("another is replaced", true, true, true, false)
	f.write("deny.txt", append(serial(one), serial(two)...))
	step("mended", true, false, true, true)
	if err := os.Remove(filepath.Join(f.dir, "deny.txt")); err != nil {
		t.Fatal(err)
	}
	step("gone", true, false, false, false)
	f.write("new.txt", []byte("broken from the start"))
	step("a new broken one", false, true, false, false)
	if err := os.Remove(filepath.Join(f.dir, "new.txt")); err != nil {
		t.Fatal(err)
	}
	f.write("deny.txt", serial(one))
	step("again", true, false, true, false)
	if err := os.Rename(f.dir, f.dir+"-away"); err != nil {
		t.Fatal(err)
	}
	step("the folder is gone", false, true, true, false)
	if err := os.Rename(f.dir+"-away", f.dir); err != nil {
		t.Fatal(err)
	}
	step("it is back", false, false, true, false)
	if changed, err := f.list.Reload(true); !changed || err != nil {
		t.Errorf("all: %t, %v", changed, err)
	}
}

func TestReload_tooManyFiles(t *testing.T) {
	f := newFolder(t)
	for i := range 256 {
		f.write(fmt.Sprint(i, ".txt"), nil)
	}
	if err := f.open(); err != nil {
		t.Error(err)
	}
	f.write("one-more.txt", nil)
	if _, err := f.list.Reload(false); err == nil || f.list.Stats().Broken != 1 {
		t.Errorf("%v, %+v", err, f.list.Stats())
	}
}

func TestOpen_tooLarge(t *testing.T) {
	f := newFolder(t)
	for size, ok := range map[int]bool{16 << 20: true, 16<<20 + 1: false} {
		f.write("large.txt", bytes.Repeat([]byte{'#'}, size))
		if err := f.open(); (err == nil) != ok {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	f.write("large.txt", nil)
	for i := range 5 {
		f.write(fmt.Sprint(i, ".txt"), bytes.Repeat([]byte{'#'}, 13<<20))
	}
	if err := f.open(); err == nil {
		t.Error("65 MiB are read")
	}
}

// Whatever stands in a deny list, it is read in bounded memory, and what is taken is a serial number.
func FuzzDenyList(f *testing.F) {
	for _, seed := range []string{"", "# x\n12", "0x12 CN=a", "serial=AB:CD\tCN=a,O=b\r\n", "\ufeff00", "12\n\n34 CN=#0c\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		denied, err := revocation.ParseDenyList(text)
		if err != nil {
			return
		}
		n := 0
		for serial, issuers := range denied {
			n += len(issuers)
			if len(serial) > 64 || len(serial) > 0 && serial[0] == 0 {
				t.Errorf("serial %x", serial)
			}
		}
		if n > bytes.Count(text, []byte{'\n'})+1 {
			t.Errorf("%d lines are read of %q", n, text)
		}
	})
}

// Whatever stands in a list of an authority, it revokes nothing for one that has not signed it.
func FuzzCRL(f *testing.F) {
	a, other := authority(f, "ca"), authority(f, "ca")
	path := device(f, other)
	f.Add(crl(f, a, 1, nil, path[0]))
	f.Add(asPEM(crl(f, a, 1, nil, path[0])))
	f.Fuzz(func(t *testing.T, text []byte) {
		if revocation.CRLsRevoke(text, path) {
			t.Errorf("%x revokes", text)
		}
	})
}
