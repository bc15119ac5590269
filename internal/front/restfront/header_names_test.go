package restfront_test

import (
	"bufio"
	"crypto/sha1"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/restfront"
)

// secure serves f's handler with TLS as the program does, and returns the address and a certificate that it trusts
// nobody for: what clients present is taken as it is.
func (f *fixture) secure() (address string, cert tls.Certificate) {
	f.t.Helper()
	other := httptest.NewUnstartedServer(nil) // for its certificate
	other.StartTLS()
	other.Close()
	cert = other.TLS.Certificates[0]
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	server := &http.Server{Handler: f.server.Config.Handler, ReadHeaderTimeout: 10 * time.Second}
	config := &tls.Config{Certificates: other.TLS.Certificates, ClientAuth: tls.RequestClientCert}
	var wg sync.WaitGroup
	wg.Go(func() { server.Serve(restfront.KeepHeaderNames(server, tls.NewListener(l, config))) })
	f.t.Cleanup(func() {
		server.Close()
		wg.Wait()
	})
	return l.Addr().String(), cert
}

func TestKeepHeaderNames_overTLS(t *testing.T) {
	f := newFixture(t)
	token := f.deviceToken(f.create("d1"))
	address, _ := f.secure()
	nc, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	r := f.dial()
	r.nc, r.in = nc, bufio.NewReader(nc)
	for range 3 {
		r.send("POST "+eventsPath+" HTTP/1.1\nHost: hub.example\nAuthorization: "+token+"\niothub-app-runId: 1\nContent-Length: 1\n\nx", 50)
		r.wantStatus(204)
	}
	m := hubward.Message{Properties: []hubward.Property{{Name: "runId", Value: "1"}}, Body: []byte("x")}
	if diff := cmp.Diff([]hubward.Message{m, m, m}, f.storedMessages(token)); diff != "" {
		t.Error(diff)
	}
}

// A client that speaks HTTP to the port is told so, as net/http does for a plain TLS listener.
func TestKeepHeaderNames_plainHTTP(t *testing.T) {
	f := newFixture(t)
	address, _ := f.secure()
	for _, method := range []string{"GET", "POST", "DELETE"} {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(nc, "%s /devices HTTP/1.1\r\nHost: hub.example\r\n\r\n", method)
		answer, err := io.ReadAll(nc)
		nc.Close()
		if !strings.HasPrefix(string(answer), "HTTP/1.0 400 ") || !strings.Contains(string(answer), "HTTPS") {
			t.Errorf("%s: %q, %v", method, answer, err)
		}
	}
}

// What is remembered of a header is bounded: of a larger one the case of names is lost.
func TestKeepHeaderNames_isBounded(t *testing.T) {
	f := newFixture(t)
	token := f.deviceToken(f.create("d1"))
	r := f.dial()
	var want []hubward.Message
	for padding, name := range map[int]string{78 << 10: "A", 82 << 10: "a"} {
		r.send("POST "+eventsPath+" HTTP/1.1\nHost: hub.example\nAuthorization: "+token+"\niothub-app-A: x\npadding: "+
			strings.Repeat("x", padding)+"\nContent-Length: 1\n\nx", 1<<20)
		r.wantStatus(204)
		want = append(want, hubward.Message{Properties: []hubward.Property{{Name: name, Value: "x"}}, Body: []byte("x")})
	}
	if diff := cmp.Diff(want, f.storedMessages(token)); diff != "" {
		t.Error(diff)
	}
}

// A device with a thumbprint needs no token: TLS has seen its certificate.
func TestDeviceCalls_byCertificate(t *testing.T) {
	f := newFixture(t)
	address, cert := f.secure()
	sum := sha1.Sum(cert.Certificate[0])
	thumbprint := hubward.NullString(strings.ToUpper(hex.EncodeToString(sum[:])))
	_, err := f.hub.PutDevice(t.Context(), f.process, hubward.Device{DeviceID: "d1", Authentication: &hubward.Authentication{
		Type: hubward.AuthSelfSigned, X509Thumbprint: hubward.X509Thumbprint{PrimaryThumbprint: thumbprint},
	}}, "")
	if err != nil {
		t.Fatal(err)
	}
	f.create("d2")
	post := func(device string, certs ...tls.Certificate) response {
		client := &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: certs},
		}}
		return f.post(client, "https://"+address+"/devices/"+device+"/messages/events"+version)
	}
	post("d1").wantError(t, hubward.CodeUnauthorizedAccess, "")
	post("d1", cert).wantStatus(t, 204)
	post("d2", cert).wantError(t, hubward.CodeUnauthorizedAccess, "")
	post("d9", cert).wantError(t, hubward.CodeUnauthorizedAccess, "")
}

// post sends x to hub.example at an address.
func (f *fixture) post(client *http.Client, url string) response {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), "POST", url, strings.NewReader("x"))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Host = "hub.example"
	res, err := client.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return response{res, string(body)}
}
