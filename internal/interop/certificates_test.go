//go:build interop

package interop_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	manyHubs     = 100
	namesPerHub  = 16
	namesInACert = 3*namesPerHub + 3 // each with its two endpoints, and NAME.localhost with its own
)

// However many hubs there are, each one's clients see its names alone, in a certificate that their libraries read: OpenSSL
// in Python, and in Node, which both give up on a chain beyond 100 KiB.
func TestCertificates_ofManyHubs(t *testing.T) {
	var asked, want []string
	expect := func(name, answer string) {
		asked, want = append(asked, name), append(want, name+" "+answer)
	}
	label := strings.Repeat("x", 60)
	for i := range manyHubs {
		hubName := fmt.Sprintf("many-%d", i)
		names := []string{hubName + ".example.com"}
		for j := range namesPerHub - 1 {
			names = append(names, fmt.Sprintf("hub-%02d.%s.%s.%s.many-%d.example", j, label, label, label, i))
		}
		if err := hub.Do(t.Context(), "PUT", "/$hubward/hubs/"+hubName, map[string]any{"hostNames": names}, "", nil); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { deleteHub(t, hubName) })
		if i%33 == 0 {
			answer := fmt.Sprintf("verified by %s, %d names", names[0], namesInACert)
			for _, name := range []string{names[0], names[15], strings.Replace(names[15], ".", ".device.", 1), hubName + ".localhost", hubName + ".service.localhost"} {
				expect(name, answer)
			}
		}
	}
	own := "verified by localhost, 7 names"
	expect("localhost", own)
	expect("hubward.localhost", own)
	expect("hubward.device.localhost", own)
	expect("", own)
	awaitCertificate(t, fmt.Sprintf("many-%d.example.com", manyHubs-1))
	want = append(want, "PASSED")
	eachTLSStack(t, func(t *testing.T, s sdk) {
		lines := s.run(t, "certificates", map[string]string{"NAMES": asJSON(t, asked), "PORT": "8883", "TRUST": hub.CA()})
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// Who does not trust the authority is told so, and not that the certificate is self-signed.
func TestCertificates_withoutTrust(t *testing.T) {
	want := map[string]string{"node": "localhost refused UNABLE_TO_VERIFY_LEAF_SIGNATURE", "python": "localhost refused 20"} // X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
	eachTLSStack(t, func(t *testing.T, s sdk) {
		vars := map[string]string{"NAMES": `["localhost"]`, "PORT": "8883", "TRUST": "", "NODE_EXTRA_CA_CERTS": ""}
		if diff := cmp.Diff([]string{want[s.name], "PASSED"}, s.run(t, "certificates", vars)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// eachTLSStack runs test with the families whose TLS is OpenSSL's. Java's is tried by all its other journeys.
func eachTLSStack(t *testing.T, test func(t *testing.T, s sdk)) {
	for _, s := range sdks() {
		if s.name != "java" {
			t.Run(s.name, func(t *testing.T) { test(t, s) })
		}
	}
}

func deleteHub(t *testing.T, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := hub.Do(ctx, "DELETE", "/$hubward/hubs/"+name, nil, "", nil); err != nil {
		t.Error(err)
	}
}

// awaitCertificate waits until the server shows a certificate for a name: it follows the hubs within moments.
func awaitCertificate(t *testing.T, name string) {
	t.Helper()
	roots, err := hub.Roots()
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := tls.Dial("tcp", "localhost:8883", &tls.Config{ServerName: name, RootCAs: roots})
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}
