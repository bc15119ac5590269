//go:build interop

package interop_test

import (
	"bufio"
	"crypto/x509"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hubward/hubward"
)

// revokedSerial is the serial number that the hub's deny list has, in hexadecimal digits.
const revokedSerial = "5D7C0E6A14B2F3918D7A3C5E9B02F16A"

// refusedLogIn is one by certificate that the hub does not take.
type refusedLogIn struct {
	device string // also the case's name
	auth   hubward.AuthType
	status hubward.Status
	chain  []*certificate // what the client sends
	reason string         // as the hub's metrics have it
}

// refusedLogIns are one for each reason that a certificate can give.
func refusedLogIns(t *testing.T, s *credentials) []refusedLogIn {
	t.Helper()
	foreign := certificateOf(t, "foreign root", true, nil, nil)
	disabled := certificateOf(t, "disabled root", true, nil, nil)
	registerAuthority(t, "table-disabled", disabled)
	managed(t, http.MethodPatch, "/certificates/table-disabled", map[string]any{"isDisabled": true}, nil)
	changed := func(device string, change func(*x509.Certificate)) []*certificate {
		return []*certificate{certificateOf(t, device, false, s.intermediate, change), s.intermediate}
	}
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	early := func(c *x509.Certificate) { c.NotBefore = time.Now().Add(30 * time.Minute) }
	server := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	revoked := func(c *x509.Certificate) { c.SerialNumber.SetString(revokedSerial, 16) }
	by, on := hubward.AuthCertificate, hubward.StatusEnabled
	return []refusedLogIn{
		{"refused-foreign", by, on, []*certificate{certificateOf(t, "refused-foreign", false, foreign, nil), foreign}, "authority"},
		{"refused-incomplete", by, on, changed("refused-incomplete", nil)[:1], "authority"},
		{"refused-authority", by, on, []*certificate{certificateOf(t, "refused-authority", false, disabled, nil)}, "authorityDisabled"},
		{"refused-name", by, on, changed("somebody-else", nil), "commonName"},
		{"refused-expired", by, on, changed("refused-expired", expired), "expired"},
		{"refused-early", by, on, changed("refused-early", early), "notYetValid"},
		{"refused-usage", by, on, changed("refused-usage", server), "usage"},
		{"refused-revoked", by, on, changed("refused-revoked", revoked), "revoked"},
		{"refused-thumbprint", hubward.AuthSelfSigned, on, []*certificate{certificateOf(t, "refused-thumbprint", false, nil, nil)}, "key"},
		{"refused-method", hubward.AuthSAS, on, changed("refused-method", nil), "method"},
		{"refused-disabled", by, hubward.StatusDisabled, changed("refused-disabled", nil), "disabled"},
	}
}

// A certificate that is not to be let in is refused on each SDK and transport with the SDK's own error for it, and the hub's
// operator is told why.
func TestTable_refused(t *testing.T) {
	all := map[string]clients{}
	for sdk := range transportsOf {
		all[sdk] = openClients(t, sdk)
	}
	for _, r := range refusedLogIns(t, newCredentials(t)) {
		t.Run(r.device, func(t *testing.T) { r.try(t, all) })
	}
}

func (r refusedLogIn) try(t *testing.T, all map[string]clients) {
	createDevice(t, r.device)
	identity := &hubward.Device{DeviceID: r.device, Status: r.status, Authentication: &hubward.Authentication{Type: r.auth}}
	if r.auth == hubward.AuthSelfSigned {
		identity.Authentication.X509Thumbprint = thumbprints(certificateOf(t, "another", false, nil, nil), false)
	}
	putDevice(t, identity, "*")
	before, tries := refusalsSoFar(t), 0
	var group sync.WaitGroup
	for sdk, driven := range all {
		for _, transport := range transportsOf[sdk] {
			tries++
			group.Go(func() { r.refuse(t, driven, sdk, transport) })
		}
	}
	group.Wait()
	after := refusalsSoFar(t)
	for reason, n := range before {
		after[reason] -= n
	}
	maps.DeleteFunc(after, func(_ string, n int) bool { return n == 0 })
	if n := after[r.reason]; len(after) != 1 || n < tries {
		t.Errorf("%d log-ins were refused for %v, want %q", tries, after, r.reason)
	}
}

// refuse tries it with one SDK and transport.
func (r refusedLogIn) refuse(t *testing.T, driven clients, sdk, transport string) {
	client := r.device + "-" + sdk + "-" + transport
	o := driven.do(t, "open", fields{
		"client": client, "transport": transport, "host": hostOf(sdk), "device": r.device,
		"certificate": chainPEM(r.chain...), "privateKey": r.chain[0].keyPEM(t),
	})
	if o.failure == nil { // open connects to nothing over HTTP, and in Node asks for nothing over AMQP
		o = driven.do(t, "send", fields{"client": client, "message": cell{sdk, transport, withAuthority, false}.telemetry()})
	}
	want := map[string]string{"node": "UnauthorizedError", "python": "CredentialError", "java": "UNAUTHORIZED", "go": "IotHubUnauthorizedAccess"}[sdk]
	if o.failure == nil || o.failure.Name != want {
		t.Errorf("%s over %s: the error was to be %s, and is %+v", sdk, transport, want, o.failure)
	}
	driven.do(t, "close", fields{"client": client}) // of what has failed; what comes of it is of no interest
}

// refusalLine is a line of the metrics: how many log-ins were refused for a reason.
var refusalLine = regexp.MustCompile(`^hubward_logins_refused_total\{.*reason="(\w+)".*\} (\d+)$`)

// refusalsSoFar returns how many log-ins were refused so far, by reason.
func refusalsSoFar(t *testing.T) map[string]int {
	t.Helper()
	admin := hub.Args[slices.Index(hub.Args, "--admin")+1]
	resp, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	found := map[string]int{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if m := refusalLine.FindStringSubmatch(lines.Text()); m != nil {
			n, err := strconv.Atoi(m[2])
			if err != nil {
				t.Fatal(err)
			}
			found[m[1]] += n
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}
