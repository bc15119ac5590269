package device_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/mqttwire"
)

const (
	credentialsFilter = "$iothub/credentials/res/#"
	credentialsAnswer = "$iothub/credentials/res/"
	credentialsAsk    = "$iothub/credentials/POST/issueCertificate/?$rid="
)

// issued is the outcome of one call of RequestCertificate.
type issued struct {
	certificate *device.IssuedCertificate
	err         error
}

func request(ctx context.Context, c *device.Client, r device.CertificateRequest) <-chan issued {
	result := make(chan issued, 1)
	go func() {
		certificate, err := c.RequestCertificate(ctx, r)
		result <- issued{certificate, err}
	}()
	return result
}

// asksForCertificate reads a request, which must have that ID, and returns its body.
func (p *peer) asksForCertificate(id string) []byte {
	p.t.Helper()
	packet := p.publish()
	if string(packet.Topic) != credentialsAsk+id {
		p.t.Fatalf("the client published to %s", packet.Topic)
	}
	return append([]byte(nil), packet.Payload...)
}

// says answers a request, and sees the answer acknowledged.
func (p *peer) says(status int, id, body string) {
	p.t.Helper()
	p.deliverTo(fmt.Sprintf("%s%d/?$rid=%s", credentialsAnswer, status, id), 9, false, body)
	p.acknowledged(9)
}

const taken = `{"correlationId":"c1","operationExpires":"2026-01-31T12:52:20.565000000Z"}`

func TestRequestCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a := newPipes(t), authorityOf(t)
		client, p := n.connected(device.Options{})
		csr, key := csrOf(t, "d1")
		result := request(t.Context(), client, device.CertificateRequest{CSR: csr, ID: "r-01", Replace: "*"})
		p.subscribedTo(credentialsFilter)
		body := p.asksForCertificate("r-01")
		want := map[string]string{"id": "d1", "csr": base64.StdEncoding.EncodeToString(csr), "replace": "*"}
		var got map[string]string
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("request (-want +got):\n%s", diff)
		}
		p.says(202, "r-01", taken)
		p.deliverTo(credentialsAnswer+"200/?$rid=other", 7, false, `{}`) // of another program: it is left to the hub
		p.says(200, "r-01&$version=1", a.mustIssue(t, body))
		r := <-result
		if r.err != nil {
			t.Fatal(r.err)
		}
		chain := r.certificate.Chain
		if len(chain) != 2 || chain[0].Subject.CommonName != "d1" || chain[0].CheckSignatureFrom(chain[1]) != nil || r.certificate.CorrelationID != "c1" {
			t.Errorf("%+v", r.certificate)
		}
		certificate, err := r.certificate.TLSCertificate(key)
		if err != nil || len(certificate.Certificate) != 2 || certificate.PrivateKey != key {
			t.Errorf("%v, %v", certificate, err)
		}
		_, other := csrOf(t, "d1")
		if _, err := r.certificate.TLSCertificate(other); hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
			t.Errorf("with another key: %v", err)
		}

		second := request(t.Context(), client, device.CertificateRequest{CSR: csr, ID: "r-02"}) // the subscription is there
		body = p.asksForCertificate("r-02")
		if strings.Contains(string(body), "replace") {
			t.Errorf("request %s", body)
		}
		p.says(200, "r-02", a.mustIssue(t, body))
		if r := <-second; r.err != nil {
			t.Error(r.err)
		}
		n.shut(client, p)
	})
}

// What the hub has taken it answers on whatever connection; what it may not have taken is sent again.
func TestRequestCertificate_overConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a := newPipes(t), authorityOf(t)
		client, p := n.connected(device.Options{})
		csr, _ := csrOf(t, "d1")
		result := request(t.Context(), client, device.CertificateRequest{CSR: csr, ID: "r-01"})
		p.subscribedTo(credentialsFilter)
		first := p.asksForCertificate("r-01")
		p.nc.Close()

		p = <-n.peers
		p.login()
		p.subscribedTo(credentialsFilter)
		if second := p.asksForCertificate("r-01"); string(first) != string(second) {
			t.Errorf("request %s, then %s", first, second)
		}
		p.says(409, "r-01", `{"errorCode":409005,"message":"busy","info":{"requestId":"r-01"}}`) // with the first
		p.nc.Close()

		p = <-n.peers
		p.login()
		p.subscribedTo(credentialsFilter)
		synctest.Wait()
		p.says(200, "r-01", a.mustIssue(t, first)) // nothing was published before
		if r := <-result; r.err != nil || len(r.certificate.Chain) != 2 {
			t.Errorf("%+v", r)
		}
		n.shut(client, p)
	})
}

// A request that replaces another may be sent twice, when it has replaced it already.
func TestRequestCertificate_replaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a := newPipes(t), authorityOf(t)
		client, p := n.connected(device.Options{})
		csr, _ := csrOf(t, "d1")
		replaced := request(t.Context(), client, device.CertificateRequest{CSR: csr, ID: "r-01"})
		p.subscribedTo(credentialsFilter)
		p.asksForCertificate("r-01")
		p.says(202, "r-01", taken)
		result := request(t.Context(), client, device.CertificateRequest{CSR: csr, ID: "r-02", Replace: "r-01"})
		p.asksForCertificate("r-02")
		p.nc.Close()

		p = <-n.peers
		p.login()
		p.subscribedTo(credentialsFilter)
		p.asksForCertificate("r-02")
		p.tell(credentialsAnswer+"412/?$rid=r-02", `{"errorCode":412001,"message":"there is none","info":{"requestId":"r-01"}}`)
		body := p.asksForCertificate("r-02")
		if strings.Contains(string(body), "replace") {
			t.Errorf("request %s", body)
		}
		p.says(202, "r-02", taken)
		p.says(200, "r-02", a.mustIssue(t, body))
		if r := <-result; r.err != nil {
			t.Error(r.err)
		}
		third := request(t.Context(), client, device.CertificateRequest{CSR: csr, ID: "r-03", Replace: "*"})
		p.asksForCertificate("r-03")
		p.says(202, "r-03", taken)
		if r := <-replaced; hubward.CodeOf(r.err) != hubward.CodePreconditionFailed || !strings.Contains(r.err.Error(), "replaced") {
			t.Errorf("%+v", r)
		}
		p.says(412, "r-03", `{"errorCode":412001,"message":"there is none"}`) // it was sent once
		if r := <-third; hubward.CodeOf(r.err) != hubward.CodePreconditionFailed {
			t.Errorf("%+v", r)
		}
		n.shut(client, p)
	})
}

func TestRequestCertificate_refusals(t *testing.T) {
	_, key := csrOf(t, "d1")
	rows := []struct {
		name   string
		status int
		body   string
		code   hubward.Code
		text   string
		want   *device.CertificateRequestError // nil: the error is another
	}{
		{"bad request", 400, `{"errorCode":400040,"message":"failed","trackingId":"t1","timestampUtc":"2026-01-31T12:52:20Z",
			"info":{"correlationId":"c1","credentialError":"FailedToDecodeCsr","credentialMessage":"no good"}}`,
			hubward.CodeCredentialOperationFailed, "no good",
			&device.CertificateRequestError{TrackingID: "t1", CorrelationID: "c1", Reason: "FailedToDecodeCsr"}},
		{"another is pending", 409, `{"errorCode":409005,"message":"busy","info":{"requestId":"r-00","operationExpires":"2026-01-31T12:52:20.565Z"}}`,
			hubward.CodeCredentialOperationActive, "busy",
			&device.CertificateRequestError{RequestID: "r-00", Expires: time.Date(2026, 1, 31, 12, 52, 20, 565_000_000, time.UTC)}},
		{"another is pending, as of 2026-01", 409, `{"errorCode":409004,"info":{"requestId":"r-00"}}`,
			hubward.CodeCredentialOperationPending, "status 409", &device.CertificateRequestError{RequestID: "r-00"}},
		{"throttled", 429, `{"errorCode":429002,"message":"slower","retryAfter":7}`, 429002, "slower", &device.CertificateRequestError{RetryAfter: 7 * time.Second}},
		{"odd pause", 503, `{"errorCode":503001,"retryAfter":1e300}`, hubward.CodeServiceUnavailable, "", &device.CertificateRequestError{}},
		{"no body", 404, ``, hubward.CodeDeviceNotFound, "status 404", &device.CertificateRequestError{}},
		{"a code of another status", 500, `{"errorCode":400004}`, hubward.CodeServerError, "", &device.CertificateRequestError{}},
		{"no JSON", 200, `x`, hubward.CodeServerError, "no certificate", nil},
		{"no certificates", 200, `{"certificates":[]}`, hubward.CodeServerError, "0 of them", nil},
		{"too many", 200, `{"certificates":["` + strings.Repeat(`","`, 10) + `"]}`, hubward.CodeServerError, "11 of them", nil},
		{"no certificate", 200, `{"certificates":["AAAA"]}`, hubward.CodeServerError, "no certificate", nil},
		{"of another key", 200, authorityOf(t).mustIssue(t, []byte(`{"csr":"`+otherCSR(t)+`"}`)), hubward.CodeServerError, "not for the key", nil},
	}
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "d1"}}, key)
		if err != nil {
			t.Fatal(err)
		}
		for i, row := range rows {
			result := request(t.Context(), client, device.CertificateRequest{CSR: csr, ID: "r-01"})
			if i == 0 {
				p.subscribedTo(credentialsFilter)
			}
			p.asksForCertificate("r-01")
			p.says(row.status, "r-01", row.body)
			r := <-result
			if hubward.CodeOf(r.err) != row.code || r.err == nil || !strings.Contains(r.err.Error(), row.text) {
				t.Errorf("%s: %v", row.name, r.err)
			}
			var got *device.CertificateRequestError
			if errors.As(r.err, &got) != (row.want != nil) {
				t.Errorf("%s: %T", row.name, r.err)
			} else if diff := cmp.Diff(row.want, got, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".err" }, cmp.Ignore())); diff != "" {
				t.Errorf("%s (-want +got):\n%s", row.name, diff)
			}
		}
		n.shut(client, p)
	})
}

func otherCSR(t *testing.T) string {
	csr, _ := csrOf(t, "d1")
	return base64.StdEncoding.EncodeToString(csr)
}

func TestRequestCertificate_hubsWithoutAny(t *testing.T) {
	csr, _ := csrOf(t, "d1")
	t.Run("refuses the subscription", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := newPipes(t)
			client, p := n.connected(device.Options{})
			result := request(t.Context(), client, device.CertificateRequest{CSR: csr})
			_, body := p.next(mqttwire.Subscribe)
			packet, err := mqttwire.ParseSubscribe(body)
			if err != nil {
				t.Fatal(err)
			}
			p.send(mqttwire.AppendSuback(nil, packet.ID, 0x80))
			if r := <-result; hubward.CodeOf(r.err) != hubward.CodeInvalidOperation {
				t.Errorf("%+v", r)
			}
			n.shut(client, p) // the connection is still there
		})
	})
	t.Run("ends the connection", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := newPipes(t)
			client, p := n.connected(device.Options{})
			result := request(t.Context(), client, device.CertificateRequest{CSR: csr})
			for range 3 {
				p.next(mqttwire.Subscribe)
				p.nc.Close()
				p = <-n.peers
				p.login()
			}
			if r := <-result; hubward.CodeOf(r.err) != hubward.CodeServiceUnavailable || !strings.Contains(r.err.Error(), "3 times") {
				t.Errorf("%+v", r)
			}
			n.shut(client, p)
		})
	})
}

func TestRequestCertificate_ends(t *testing.T) {
	csr, _ := csrOf(t, "d1")
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		result := request(ctx, client, device.CertificateRequest{CSR: csr, ID: "r-01"})
		p.subscribedTo(credentialsFilter)
		p.asksForCertificate("r-01")
		if r := <-request(t.Context(), client, device.CertificateRequest{CSR: csr, ID: "r-01"}); hubward.CodeOf(r.err) != hubward.CodeInvalidOperation {
			t.Errorf("the same ID at once: %+v", r)
		}
		cancel()
		if r := <-result; !errors.Is(r.err, context.Canceled) {
			t.Errorf("%+v", r)
		}
		var waiting []<-chan issued
		for i := range 4 {
			id := fmt.Sprintf("r-1%d", i)
			waiting = append(waiting, request(t.Context(), client, device.CertificateRequest{CSR: csr, ID: id}))
			p.asksForCertificate(id)
		}
		if r := <-request(t.Context(), client, device.CertificateRequest{CSR: csr}); hubward.CodeOf(r.err) != hubward.CodeInvalidOperation {
			t.Errorf("a fifth: %+v", r)
		}
		n.shut(client, p)
		for _, w := range waiting {
			if r := <-w; hubward.CodeOf(r.err) != hubward.CodeInvalidOperation || !strings.Contains(r.err.Error(), "closed") {
				t.Errorf("%+v", r)
			}
		}
	})
}

func TestRequestCertificate_invalid(t *testing.T) {
	csr, _ := csrOf(t, "d1")
	foreign, _ := csrOf(t, "D1")
	broken := append([]byte(nil), csr...)
	broken[len(broken)-1]++
	of := func(cs string, p device.Protocol) *device.Client {
		c, err := device.NewFromConnectionString(cs, &device.Options{Protocol: p})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	dev := of(testConnectionString, device.MQTT)
	for name, row := range map[string]struct {
		client  *device.Client
		request device.CertificateRequest
		want    string
	}{
		"module":                {of(moduleConnectionString, device.MQTT), device.CertificateRequest{CSR: csr}, "not to modules"},
		"AMQP":                  {of(testConnectionString, device.AMQP), device.CertificateRequest{CSR: csr}, "over MQTT"},
		"HTTPS":                 {of(testConnectionString, device.HTTPS), device.CertificateRequest{CSR: csr}, "over MQTT"},
		"not connected":         {dev, device.CertificateRequest{CSR: csr}, "not connected"},
		"shortest ID":           {dev, device.CertificateRequest{CSR: csr, ID: "r-01"}, "not connected"},
		"ID too short":          {dev, device.CertificateRequest{CSR: csr, ID: "r01"}, "4 to 36"},
		"longest ID":            {dev, device.CertificateRequest{CSR: csr, ID: strings.Repeat("r", 36)}, "not connected"},
		"ID too long":           {dev, device.CertificateRequest{CSR: csr, ID: strings.Repeat("r", 37)}, "4 to 36"},
		"dash first":            {dev, device.CertificateRequest{CSR: csr, ID: "-r01"}, "4 to 36"},
		"dash last":             {dev, device.CertificateRequest{CSR: csr, ID: "r01-"}, "4 to 36"},
		"other characters":      {dev, device.CertificateRequest{CSR: csr, ID: "r_01"}, "4 to 36"},
		"replace an ID":         {dev, device.CertificateRequest{CSR: csr, Replace: "r-01"}, "not connected"},
		"replace nothing known": {dev, device.CertificateRequest{CSR: csr, Replace: "**"}, "Replace"},
		"no CSR":                {dev, device.CertificateRequest{}, "PKCS #10"},
		"signature":             {dev, device.CertificateRequest{CSR: broken}, "PKCS #10"},
		"common name":           {dev, device.CertificateRequest{CSR: foreign}, `"D1"`},
		"at the limit":          {dev, device.CertificateRequest{CSR: make([]byte, 6144)}, "PKCS #10"},
		"above the limit":       {dev, device.CertificateRequest{CSR: make([]byte, 6145)}, "8196 characters"},
	} {
		_, err := row.client.RequestCertificate(t.Context(), row.request)
		if code := hubward.CodeOf(err); err == nil || code != hubward.CodeArgumentInvalid && code != hubward.CodeInvalidOperation || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
