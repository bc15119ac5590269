package certrequest_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/certrequest"
)

func errorOf(t *testing.T, err error) *certrequest.Error {
	t.Helper()
	var e *certrequest.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v", err)
	}
	return e
}

func ec(t testing.TB, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func csr(t testing.TB, key crypto.Signer, name pkix.Name) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: name}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestParse_good(t *testing.T) {
	longest := strings.Repeat("QUJD", certrequest.MaxCSR/4)
	for body, want := range map[string]certrequest.Request{
		`{"id":"d1","csr":"QUJD"}`:                            {CSR: []byte("ABC")},
		` {"csr":"QUJD","replace":null,"id":"d1"} `:           {CSR: []byte("ABC")},
		`{"id":"\u0064\u0031","csr":"QUI=","replace":"*"}`:    {CSR: []byte("AB"), Replace: "*"},
		`{"id":"d1","csr":"QUJD","replace":"a-b1"}`:           {CSR: []byte("ABC"), Replace: "a-b1"},
		`{"id":"d1","csr":"` + longest + `","replace":"*"}`:   {CSR: bytes.Repeat([]byte("ABC"), certrequest.MaxCSR/4), Replace: "*"},
		`{"id":"d1","csr":"QUJD","replace":"` + id(36) + `"}`: {CSR: []byte("ABC"), Replace: id(36)},
	} {
		want.ID = "r"
		got, err := certrequest.Parse("r", "d1", []byte(body))
		if err != nil || !cmp.Equal(got, &want) {
			t.Errorf("%.80s: %+v, %v", body, got, err)
		}
	}
}

func id(n int) string { return strings.Repeat("x", n) }

// Each thing that may be wrong is told in a text of its own.
func TestParse_refusals(t *testing.T) {
	bodies := []string{
		"", " ", "[]", `"x"`, "null", "7",
		`{"csr":"QUJD"}`, `{"id":null,"csr":"QUJD"}`, `{"id":"","csr":"QUJD"}`, `{"id":7,"csr":"QUJD"}`, `{"id":"D1","csr":"QUJD"}`,
		`{"id":"d1"}`, `{"id":"d1","csr":null}`, `{"id":"d1","csr":""}`, `{"id":"d1","csr":["QUJD"]}`, `{"id":"d1","csr":"QUJ"}`,
		`{"id":"d1","csr":"QUJD\nQUJD"}`, `{"id":"d1","csr":"` + id(certrequest.MaxCSR+1) + `"}`, `{"id":"d1","csr":"Ä"}`,
		`{"id":"d1","csr":"QUJD","replace":""}`, `{"id":"d1","csr":"QUJD","replace":"**"}`, `{"id":"d1","csr":"QUJD","replace":"abc"}`,
		`{"id":"d1","csr":"QUJD","replace":"-abc"}`, `{"id":"d1","csr":"QUJD","replace":"abc-"}`, `{"id":"d1","csr":"QUJD","replace":false}`,
		`{"id":"d1","csr":"QUJD","replace":"` + id(37) + `"}`, `{"id":"d1","csr":"QUJD","replace":"a_bc"}`,
		`{"id":"d1","csr":"QUJD","ID":"d1"}`, `{"id":"d1","csr":"QUJD","":1}`, `{"id":"d1","csr":"QUJD","id":"d1"}`, `{"id":"d1","csr":"QUJD","größe":1}`,
	}
	texts := make(map[string]bool)
	for _, body := range bodies {
		_, err := certrequest.Parse("r", "d1", []byte(body))
		e := errorOf(t, err)
		if e.Code != hubward.CodeArgumentInvalid || strings.Contains(e.Message, ";") || strings.ContainsFunc(e.Message, func(r rune) bool { return r > '~' }) {
			t.Errorf("%.80s: %v", body, err)
		}
		texts[e.Message] = true
	}
	if len(texts) < 16 {
		t.Errorf("%d texts", len(texts))
	}
	for _, body := range []string{"x", "{", `{"id":"d1"}{}`, "{\"id\":\"\xff\"}", `{"id":"d1",}`, "{\"id\":\"d1\"\x00}"} {
		_, err := certrequest.Parse("r", "d1", []byte(body))
		if e := errorOf(t, err); e.Code != hubward.CodeFormatError {
			t.Errorf("%s: %v", body, err)
		}
	}
	for rid, ok := range map[string]bool{"": false, "x": true, "-": false, "a-b": true, "a-": false, id(128): true, id(129): false, "a b": false, "ä": false} {
		if _, err := certrequest.Parse(rid, "d1", []byte(`{"id":"d1","csr":"QUJD"}`)); (err == nil) != ok {
			t.Errorf("id %q: %v", rid, err)
		}
	}
}

func TestCheckCSR_keys(t *testing.T) {
	for _, test := range []struct {
		key  crypto.Signer
		kind string
	}{
		{ec(t, elliptic.P224()), ""}, {ec(t, elliptic.P256()), "ec-p256"}, {ec(t, elliptic.P384()), "ec-p384"}, {ec(t, elliptic.P521()), "ec-p521"},
		{rsaKey(t, 2040), ""}, {rsaKey(t, 2048), "rsa-2048"}, {rsaKey(t, 2056), "rsa-2048"}, {rsaKey(t, 3072), "rsa-3072"}, {ed25519Key(t), ""},
	} {
		der := csr(t, test.key, pkix.Name{CommonName: "d1"})
		if kind := certrequest.KindOf(test.key.Public()); kind != test.kind {
			t.Errorf("%q, want %q", kind, test.kind)
		}
		for _, kinds := range [][]string{certrequest.KeyKinds, {test.kind}, slices.DeleteFunc(slices.Clone(certrequest.KeyKinds), func(k string) bool { return k == test.kind })} {
			_, err := certrequest.CheckCSR(der, "d1", kinds)
			if ok := test.kind != "" && slices.Contains(kinds, test.kind); (err == nil) != ok {
				t.Errorf("%s, of %v: %v", test.kind, kinds, err)
			} else if !ok && errorOf(t, err).Info.CredentialError != "CsrKeyNotAllowed" {
				t.Errorf("%v", err)
			}
		}
	}
}

func ed25519Key(t *testing.T) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestCheckCSR_refusals(t *testing.T) {
	key := ec(t, elliptic.P256())
	good := csr(t, key, pkix.Name{CommonName: "d1", Organization: []string{"o"}})
	if public, err := certrequest.CheckCSR(good, "d1", certrequest.KeyKinds); err != nil || !key.Public().(*ecdsa.PublicKey).Equal(public) {
		t.Fatal(err)
	}
	forged := slices.Clone(good)
	forged[len(forged)-1] ^= 1
	names := pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
		{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "d1"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "d1"},
	}}
	for _, test := range []struct {
		word string
		der  []byte
	}{
		{"FailedToDecodeCsr", nil}, {"FailedToDecodeCsr", []byte("ABC")}, {"FailedToDecodeCsr", good[:len(good)-1]}, {"FailedToDecodeCsr", append(slices.Clone(good), 0)},
		{"CsrSignatureInvalid", forged},
		{"CsrSubjectInvalid", csr(t, key, pkix.Name{CommonName: "D1"})}, {"CsrSubjectInvalid", csr(t, key, pkix.Name{})},
		{"CsrSubjectInvalid", csr(t, key, pkix.Name{CommonName: "d1/m"})}, {"CsrSubjectInvalid", csr(t, key, names)},
	} {
		_, err := certrequest.CheckCSR(test.der, "d1", certrequest.KeyKinds)
		if e := errorOf(t, err); e.Code != hubward.CodeCredentialOperationFailed || e.Info.CredentialError != test.word || e.Info.CredentialMessage == "" {
			t.Errorf("%+v, want %s", e, test.word)
		}
	}
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func wantCode(t *testing.T, err error, want hubward.Code) *certrequest.Error {
	t.Helper()
	e := errorOf(t, err)
	if e.Code != want {
		t.Errorf("%v, want %d", err, want)
	}
	return e
}

func TestSlot_expires(t *testing.T) {
	var s certrequest.Slot
	o, err := s.Begin(&certrequest.Request{ID: "r1", CSR: []byte("1")}, "c1", time.Second, start)
	if err != nil || o.CorrelationID != "c1" || !o.Expires.Equal(start.Add(12*time.Hour)) || !s.Due.Equal(start.Add(time.Second)) {
		t.Fatalf("%+v, %+v, %v", o, s, err)
	}
	r2 := &certrequest.Request{ID: "r2", CSR: []byte("2")}
	last := start.Add(12*time.Hour - 1)
	_, err = s.Begin(r2, "c2", 0, last)
	if e := wantCode(t, err, hubward.CodeCredentialOperationActive); e.Info != (certrequest.Info{CorrelationID: "c1", RequestID: "r1", OperationExpires: o.Expires}) {
		t.Errorf("%+v", e.Info)
	}
	if s.IsFree(last) || !s.IsFree(last.Add(1)) {
		t.Error("it is free too early or too late")
	}
	if o, err := s.Begin(r2, "c2", 0, last.Add(1)); err != nil || o.CorrelationID != "c2" {
		t.Errorf("%+v, %v", o, err)
	}
	if s.Finish("c1", [][]byte{{1}}, nil) || s.Done {
		t.Error("an answer to the request that is no more was kept")
	}
}

func TestSlot_sameRequest(t *testing.T) {
	var s certrequest.Slot
	begin := func(id, csr, replace, correlation string) (string, error) {
		o, err := s.Begin(&certrequest.Request{ID: id, CSR: []byte(csr), Replace: replace}, correlation, 0, start)
		return o.CorrelationID, err
	}
	if got, err := begin("r1", "1", "", "c1"); got != "c1" || err != nil {
		t.Fatal(got, err)
	}
	s.Finish("c1", [][]byte{{1}}, nil)
	for _, replace := range []string{"", "r000"} { // the second: it has replaced that already
		if got, err := begin("r1", "1", replace, "c2"); got != "c1" || err != nil || !s.Done {
			t.Errorf("replace %q: %s, %v", replace, got, err)
		}
	}
	_, err := begin("r1", "2", "", "c2")
	wantCode(t, err, hubward.CodeCredentialOperationActive)
	_, err = begin("r2", "1", "", "c2")
	wantCode(t, err, hubward.CodeCredentialOperationActive)
	if got, err := begin("r1", "2", "r1", "c2"); got != "c2" || err != nil || s.Done || s.Certificates != nil {
		t.Errorf("%s, %v, %+v", got, err, s)
	}
	s.Settle("c1")
	if s.ID != "r1" {
		t.Error("the answer to another one frees it")
	}
	s.Settle("c2")
	if !s.IsFree(start) {
		t.Error("it is not free")
	}
	_, err = begin("r2", "1", "r1", "c3")
	if e := wantCode(t, err, hubward.CodePreconditionFailed); e.Info.RequestID != "r1" {
		t.Errorf("%+v", e)
	}
}

func TestSlot_rate(t *testing.T) {
	var s certrequest.Slot
	now := start
	begin := func() error {
		_, err := s.Begin(&certrequest.Request{ID: "r", CSR: []byte("1"), Replace: "*"}, "c", 0, now)
		return err
	}
	for i := range certrequest.MaxPerMinute {
		if err := begin(); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		now = now.Add(time.Second)
	}
	for wait := 50 * time.Second; wait > 0; wait -= 25 * time.Second {
		if e := wantCode(t, begin(), hubward.CodeThrottleBacklogLimitExceeded); e.RetryAfter != wait {
			t.Errorf("after %s, want %s", e.RetryAfter, wait)
		}
		now = now.Add(25 * time.Second)
	}
	now = start.Add(time.Minute - 1)
	if e := wantCode(t, begin(), hubward.CodeThrottleBacklogLimitExceeded); e.RetryAfter != time.Second {
		t.Errorf("after %s", e.RetryAfter)
	}
	now = start.Add(time.Minute)
	if err := begin(); err != nil {
		t.Error(err)
	}
}

func TestSlot_failure(t *testing.T) {
	var s certrequest.Slot
	if _, err := s.Begin(&certrequest.Request{ID: "r1", CSR: []byte("1")}, "c1", 0, start); err != nil {
		t.Fatal(err)
	}
	_, bad := certrequest.CheckCSR(nil, "d1", nil)
	failure := errorOf(t, bad)
	if !s.Finish("c1", nil, failure) || s.CSR != nil || s.Failure.Info.RequestID != "r1" || s.Failure.Info.CorrelationID != "c1" || failure.Info.RequestID != "" {
		t.Errorf("%+v, %+v", s.Failure, failure)
	}
	if s.Finish("c1", [][]byte{{1}}, nil) {
		t.Error("it has two answers")
	}
}

func TestSlot_unused(t *testing.T) {
	var s certrequest.Slot
	for i := range byte(10) {
		s.AddUnused(certrequest.Unused{Thumbprint: [32]byte{i}, Authentication: [32]byte{1}, Until: start.Add(time.Hour)}, start)
	}
	for i := range byte(10) {
		if got := s.HasUnused([32]byte{i}, [32]byte{1}, start); got != (i >= 2) {
			t.Errorf("%d: %t", i, got)
		}
	}
	if s.HasUnused([32]byte{9}, [32]byte{2}, start) || s.HasUnused([32]byte{9}, [32]byte{1}, start.Add(time.Hour+1)) || !s.HasUnused([32]byte{9}, [32]byte{1}, start.Add(time.Hour)) {
		t.Error("it counts for another, or too long, or too short")
	}
	s.AddUnused(certrequest.Unused{Thumbprint: [32]byte{20}, Until: start.Add(3 * time.Hour)}, start.Add(2*time.Hour))
	if len(s.Unused) != 1 {
		t.Errorf("%d are kept", len(s.Unused))
	}
}

func FuzzParse(f *testing.F) {
	for _, body := range []string{"", "{}", `{"id":"d1","csr":"QUJD","replace":"*"}`, `{"id":"d1","csr":"QUJD","replace":null}`, `{"id":{"a":[1e9]}}`, "[[[[", `{"\u0069d":"d1"}`, "\ufeff{}"} {
		f.Add("rid-1", []byte(body))
	}
	f.Fuzz(func(t *testing.T, rid string, body []byte) {
		r, err := certrequest.Parse(rid, "d1", body)
		if err != nil {
			if e := errorOf(t, err); e.Code.HTTPStatus() != 400 || strings.ContainsFunc(e.Message, func(c rune) bool { return c < ' ' || c > '~' }) {
				t.Errorf("%+v", e)
			}
			return
		}
		again := fmt.Sprintf(`{"id":"d1","csr":%q,"replace":%q}`, base64.StdEncoding.EncodeToString(r.CSR), r.Replace)
		if r.Replace == "" {
			again = strings.Replace(again, `"replace":""`, `"replace":null`, 1)
		}
		if got, err := certrequest.Parse(r.ID, "d1", []byte(again)); err != nil || !cmp.Equal(got, r) {
			t.Errorf("%s: %+v, %v, want %+v", again, got, err, r)
		}
	})
}

func FuzzCheckCSR(f *testing.F) {
	for _, key := range []crypto.Signer{ec(f, elliptic.P256()), ec(f, elliptic.P521()), rsaKey(f, 2048)} {
		for _, name := range []string{"d1", "D1", "größe", ""} {
			f.Add(csr(f, key, pkix.Name{CommonName: name, Organization: []string{"o"}}))
		}
	}
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, der []byte) {
		key, err := certrequest.CheckCSR(der, "d1", certrequest.KeyKinds)
		if err != nil {
			errorOf(t, err)
			return
		}
		parsed, err := x509.ParseCertificateRequest(der)
		if err != nil || parsed.CheckSignature() != nil || parsed.Subject.CommonName != "d1" || certrequest.KindOf(key) == "" {
			t.Errorf("accepted: %v", err)
		}
	})
}
