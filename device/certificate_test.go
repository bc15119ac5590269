package device_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/sas"
)

func clientCertificate(t *testing.T, name string) *tls.Certificate {
	t.Helper()
	c, err := newClientCertificate(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newClientCertificate makes a certificate that signs itself.
func newClientCertificate(name string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func thumbprint(c *tls.Certificate) hubward.NullString {
	sum := sha256.Sum256(c.Certificate[0])
	return hubward.NullString(hex.EncodeToString(sum[:]))
}

// know has the registry know these thumbprints of the device, and nothing else.
func (h *realHub) know(primary, secondary hubward.NullString) {
	h.t.Helper()
	h.device.Authentication = &hubward.Authentication{
		Type: hubward.AuthSelfSigned, X509Thumbprint: hubward.X509Thumbprint{PrimaryThumbprint: primary, SecondaryThumbprint: secondary},
	}
	var err error
	if h.device, err = h.service.UpdateDevice(h.t.Context(), *h.device); err != nil {
		h.t.Fatal(err)
	}
}

// byCertificate makes a client of the device that logs in by certificate.
func (h *realHub) byCertificate(opts device.Options) *device.Client {
	h.t.Helper()
	cs := sas.ConnectionString{HostName: h.Host, DeviceID: h.device.DeviceID, X509: true}
	opts.CA = h.CA
	if opts.Dial == nil {
		opts.Dial = h.Dial
	}
	c, err := device.NewFromConnectionString(cs.String(), &opts)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { h.close(c) })
	return c
}

func TestHub_logsInByCertificate(t *testing.T) {
	overAll(t, func(t *testing.T, p device.Protocol, h *realHub) {
		certificate := clientCertificate(t, "any name")
		h.know("", thumbprint(certificate))
		c := h.byCertificate(device.Options{Protocol: p, ClientCertificate: certificate})
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.SendTelemetry(t.Context(), &hubward.Message{Body: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		if e := events(t, h.Hub, 1)[0]; e.DeviceID() != h.device.DeviceID || !strings.Contains(e.Annotations["iothub-connection-auth-method"].(string), `"type":"x509Certificate"`) {
			t.Errorf("the event has %v", e.Annotations)
		}
		h.send("m1")
		if err := h.receive(c, "m1").Complete(t.Context()); err != nil {
			t.Error(err)
		}
		if p == device.HTTPS {
			return
		}
		if _, err := c.UpdateReported(t.Context(), map[string]int{"a": 1}); err != nil {
			t.Error(err)
		}
	})
}

func TestHub_refusesTheCertificate(t *testing.T) {
	overAll(t, func(t *testing.T, p device.Protocol, h *realHub) {
		h.know(thumbprint(clientCertificate(t, "one")), "")
		c := h.byCertificate(device.Options{Protocol: p, ClientCertificate: clientCertificate(t, "another")})
		err := c.Connect(t.Context())
		if hubward.CodeOf(err) != hubward.CodeUnauthorizedAccess || !strings.Contains(err.Error(), "its certificate, and the clock") {
			t.Error(err)
		}
	})
}

// A certificate that was renewed counts from the next connection on, whose TLS session is not resumed from one with the old
// certificate. When the registry forgets the old one, the hub ends the connection.
func TestHub_renewedCertificate(t *testing.T) {
	overAll(t, func(t *testing.T, p device.Protocol, h *realHub) {
		old, renewed := clientCertificate(t, "old"), clientCertificate(t, "new")
		h.know(thumbprint(old), thumbprint(renewed))
		var current atomic.Pointer[tls.Certificate]
		current.Store(old)
		c := h.byCertificate(device.Options{
			Protocol: p, TLSConfig: &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(8)},
			GetClientCertificate: func(context.Context) (*tls.Certificate, error) { return current.Load(), nil },
		})
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.SendTelemetry(t.Context(), &hubward.Message{}); err != nil {
			t.Fatal(err)
		}
		current.Store(renewed)
		h.know(thumbprint(renewed), "")
		if err := c.SendTelemetry(t.Context(), &hubward.Message{}); err != nil {
			t.Errorf("with the new certificate: %v", err)
		}
	})
}

// A client that comes back with the same certificate resumes its TLS session, and the hub still knows the certificate.
func TestHub_resumesTheSessionOfACertificate(t *testing.T) {
	overAll(t, func(t *testing.T, p device.Protocol, h *realHub) {
		if p == device.HTTPS {
			return // a connection stays open between calls
		}
		certificate := clientCertificate(t, "d")
		h.know(thumbprint(certificate), "")
		handshakes := make(chan bool, 10)
		connected := make(chan bool, 10)
		cuts := &cutter{dial: h.Dial}
		c := h.byCertificate(device.Options{
			Protocol: p, ClientCertificate: certificate, Dial: cuts.connect,
			TLSConfig: &tls.Config{
				ClientSessionCache: tls.NewLRUClientSessionCache(1),
				VerifyConnection:   func(s tls.ConnectionState) error { handshakes <- s.DidResume; return nil },
			},
			OnState: func(s device.State, _ error) {
				if s == device.Connected {
					connected <- true
				}
			},
		})
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.SendTelemetry(t.Context(), &hubward.Message{}); err != nil { // what the hub has sent before is read
			t.Fatal(err)
		}
		<-connected
		cuts.cut()
		<-connected
		if first, second := <-handshakes, <-handshakes; first || !second {
			t.Errorf("resumed: %v, then %v", first, second)
		}
		if err := c.SendTelemetry(t.Context(), &hubward.Message{}); err != nil {
			t.Error(err)
		}
	})
}

func TestNewFromConnectionString_certificates(t *testing.T) {
	const byCertificate = "HostName=hub;DeviceId=d1;x509=true"
	certificate := clientCertificate(t, "d1")
	get := func(context.Context) (*tls.Certificate, error) { return certificate, nil }
	rows := []struct {
		name, cs string
		opts     device.Options
		want     string // "": accepted
	}{
		{"certificate", byCertificate, device.Options{ClientCertificate: certificate}, ""},
		{"function", byCertificate, device.Options{GetClientCertificate: get}, ""},
		{"module", byCertificate + ";ModuleId=m1", device.Options{ClientCertificate: certificate}, ""},
		{"none", byCertificate, device.Options{}, "needs ClientCertificate or GetClientCertificate"},
		{"both", byCertificate, device.Options{ClientCertificate: certificate, GetClientCertificate: get}, "either"},
		{"no chain", byCertificate, device.Options{ClientCertificate: &tls.Certificate{PrivateKey: certificate.PrivateKey}}, "its private key"},
		{"no key", byCertificate, device.Options{ClientCertificate: &tls.Certificate{Certificate: certificate.Certificate}}, "its private key"},
		{"a key in the connection string", testConnectionString, device.Options{ClientCertificate: certificate}, "with x509=true in place of a key"},
		{"function and a key", testConnectionString, device.Options{GetClientCertificate: get}, "with x509=true in place of a key"},
	}
	for _, row := range rows {
		_, err := device.NewFromConnectionString(row.cs, &row.opts)
		_, httpsErr := device.NewHTTPSFromConnectionString(row.cs, &row.opts)
		for _, err := range []error{err, httpsErr} {
			switch {
			case row.want == "" && err != nil:
				t.Errorf("%s: %v", row.name, err)
			case row.want != "" && (hubward.CodeOf(err) != hubward.CodeArgumentInvalid || err == nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("%s: %v, want one that says %q", row.name, err, row.want)
			}
		}
	}
}

// A certificate that cannot be had is an error of the attempt, which a client repeats.
func TestGetClientCertificate_fails(t *testing.T) {
	cause := errors.New("the file is being written")
	for _, p := range []device.Protocol{device.MQTT, device.MQTTWebSocket, device.AMQP, device.AMQPWebSocket, device.HTTPS} {
		answers := []struct {
			certificate *tls.Certificate
			err         error
		}{{nil, cause}, {nil, nil}, {&tls.Certificate{}, nil}}
		n := 0
		c, err := device.NewFromConnectionString("HostName=hub.example;DeviceId=d1;x509=true", &device.Options{
			Protocol: p,
			GetClientCertificate: func(context.Context) (*tls.Certificate, error) {
				a := answers[n]
				return a.certificate, a.err
			},
			Dial: func(context.Context, string, string) (net.Conn, error) {
				t.Errorf("%s: dialled", p)
				return nil, errors.New("no")
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		for n = range answers {
			err := c.Connect(t.Context())
			if hubward.CodeOf(err) != hubward.CodeServiceUnavailable || !strings.Contains(err.Error(), "no certificate to log in with") || errors.Is(err, cause) != (n == 0) {
				t.Errorf("%s, answer %d: %v", p, n, err)
			}
		}
		c.Close(t.Context())
	}
}

// With a certificate there is no password and no token, as with the other SDKs.
func TestConnect_byCertificateShowsNothingElse(t *testing.T) {
	const cs = "HostName=hub.example;DeviceId=d1;ModuleId=m1;x509=true"
	certificate := clientCertificate(t, "d1/m1")
	connect := func(t *testing.T, p device.Protocol) net.Conn {
		theirs := make(chan net.Conn, 1)
		c, err := device.NewFromConnectionString(cs, device.ForPipe(device.Options{
			Protocol: p, ClientCertificate: certificate,
			Dial: func(context.Context, string, string) (net.Conn, error) {
				a, b := net.Pipe()
				theirs <- b
				return a, nil
			},
		}))
		if err != nil {
			t.Fatal(err)
		}
		go c.Connect(t.Context())
		nc := <-theirs
		t.Cleanup(func() { nc.Close() })
		return nc
	}
	synctest.Test(t, func(t *testing.T) {
		if got := newPeer(t, connect(t, device.MQTT)).connect(); got.HasPassword || got.Password != nil || !got.HasUser || got.ClientID != "d1/m1" {
			t.Errorf("CONNECT %+v", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		first := make([]byte, 8)
		if _, err := io.ReadFull(connect(t, device.AMQP), first); err != nil || string(first) != "AMQP\x00\x01\x00\x00" {
			t.Errorf("AMQP begins with %q, %v", first, err)
		}
	})
	hub := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token, ok := r.Header["Authorization"]; ok || r.URL.Path != "/devices/d1/modules/m1/messages/events" {
			t.Errorf("%s %s, authorization %q", r.Method, r.URL, token)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer hub.Close()
	c, err := device.NewHTTPSFromConnectionString(strings.Replace(cs, "hub.example", strings.TrimPrefix(hub.URL, "https://"), 1), &device.Options{
		ClientCertificate: certificate, TLSConfig: hub.Client().Transport.(*http.Transport).TLSClientConfig,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SendTelemetry(t.Context(), &hubward.Message{}); err != nil {
		t.Error(err)
	}
}
