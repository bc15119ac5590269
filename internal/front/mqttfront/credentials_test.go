package mqttfront_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/cluster/localcluster"
	"github.com/hubward/hubward/internal/eventlog/memlog"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/mqttwire"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

const (
	credentialsFilter = "$iothub/credentials/res/#"
	credentialsAsk    = "$iothub/credentials/POST/issueCertificate/?$rid="
	// issuingTakes is how long the hub of these tests takes to issue a certificate.
	issuingTakes = time.Second
)

// certificates is a hub of two nodes that issues certificates, and the device d1 at the first.
type certificates struct {
	t       *testing.T
	nodes   [2]*fixture
	device  *hubward.Device
	key     *ecdsa.PrivateKey
	session bool // CleanSession=0
	qos     byte
	*client
	packets uint16
}

func newCertificates(t *testing.T, qos byte) *certificates {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), sqlstore.Options{Path: sqlstore.Memory})
	if err != nil {
		t.Fatal(err)
	}
	log := memlog.Open(memlog.Options{})
	t.Cleanup(func() {
		log.Close()
		store.Close()
	})
	c := &certificates{t: t, qos: qos}
	cluster := localcluster.New(localcluster.Options{})
	operator := access.Process(access.HubRef{})
	for i := range c.nodes {
		h, err := hub.Open(t.Context(), hub.Options{
			Store: store, Log: log, Cluster: cluster, Node: strconv.Itoa(i), CertificateDelay: issuingTakes,
		})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if _, err := h.CreateHub(t.Context(), operator, hub.NewHub{Name: "plant"}); err != nil {
				t.Fatal(err)
			}
			on := true
			if _, err := h.UpdateCertificateIssuer(t.Context(), operator, "plant", hub.IssuerChange{Enabled: &on}); err != nil {
				t.Fatal(err)
			}
		}
		config, err := h.Hub(operator, "plant")
		if err != nil {
			t.Fatal(err)
		}
		c.nodes[i] = &fixture{
			t: t, hub: h, store: store, log: log, plant: access.Process(access.HubRef{Name: "plant", Created: config.Created}),
		}
		c.nodes[i].serve()
	}
	c.device = c.nodes[0].createDevice("d1")
	if c.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	return c
}

// connects has the device connect to a node.
func (c *certificates) connects(node int) {
	c.t.Helper()
	packet := login(c.t, c.device)
	packet.CleanSession = !c.session
	c.client = c.nodes[node].connected(packet)
}

func (c *certificates) leaves() {
	c.t.Helper()
	c.send(mqttwire.AppendDisconnect(nil), nil)
	c.expectEnd()
}

func (c *certificates) subscribes() {
	c.t.Helper()
	c.subscribe(c.qos, credentialsFilter)
}

// csr is a signing request of that common name, in base64.
func (c *certificates) csr(name string) string {
	c.t.Helper()
	return base64.StdEncoding.EncodeToString(signingRequest(c.t, name, c.key))
}

func signingRequest(t *testing.T, name string, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: name, Organization: []string{"not copied"}}, DNSNames: []string{"not.copied"},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// asks publishes a body, which is acknowledged at once. more are members behind id and csr.
func (c *certificates) asks(rid, body string) {
	c.t.Helper()
	c.packets++
	c.publish(1, c.packets, credentialsAsk+rid, body)
	c.expectPuback(c.packets)
}

func (c *certificates) body(more string) string {
	c.t.Helper()
	return fmt.Sprintf(`{"id":"d1","csr":%q%s}`, c.csr("d1"), more)
}

// answer is what comes on the topic of answers.
type answer struct {
	status int
	rid    string
	body   map[string]any
	raw    string
}

// gets reads an answer, which has to have that status and id, acknowledges it at QoS 1, and checks what all answers have in common.
func (c *certificates) gets(status int, rid string) answer {
	c.t.Helper()
	a, id := c.reads()
	c.acknowledges(id)
	if a.status != status || a.rid != rid {
		c.t.Fatalf("got %d for %q: %s; want %d for %q", a.status, a.rid, a.raw, status, rid)
	}
	return a
}

func (c *certificates) acknowledges(id uint16) {
	c.t.Helper()
	if id != 0 {
		c.send(mqttwire.AppendPuback(nil, id), nil)
	}
}

// reads reads an answer without acknowledging it.
func (c *certificates) reads() (a answer, id uint16) {
	c.t.Helper()
	p, err := readPublish(c.in)
	if err != nil {
		c.t.Fatal(err)
	}
	if p.QoS != c.qos || (p.ID != 0) != (c.qos == 1) || p.Retain {
		c.t.Errorf("QoS %d, id %d, retain %t; subscribed at %d", p.QoS, p.ID, p.Retain, c.qos)
	}
	rest, ok := strings.CutPrefix(string(p.Topic), "$iothub/credentials/res/")
	status, rid, found := strings.Cut(rest, "/?$rid=")
	if a.status, err = strconv.Atoi(status); err != nil || !ok || !found {
		c.t.Fatalf("topic %s", p.Topic)
	}
	a.rid, a.raw = rid, string(p.Payload)
	if err := json.Unmarshal(p.Payload, &a.body); err != nil {
		c.t.Fatalf("%s: %v", p.Payload, err)
	}
	c.checkForm(&a)
	return a, p.ID
}

// members are those that an answer has to have, by its status: 0 is all refusals. Optional ones have a question mark.
var members = map[int][]string{
	200: {"certificates", "correlationId"},
	202: {"correlationId", "operationExpires"},
	0:   {"errorCode", "info?", "message", "retryAfter?", "timestampUtc", "trackingId"},
}

func (c *certificates) checkForm(a *answer) {
	c.t.Helper()
	want, ok := members[a.status]
	if !ok {
		want = members[0]
		if int(a.body["errorCode"].(float64))/1000 != a.status {
			c.t.Errorf("status %d: %s", a.status, a.raw)
		}
		if _, err := time.Parse("2006-01-02T15:04:05.000000000Z", a.body["timestampUtc"].(string)); err != nil {
			c.t.Error(err)
		}
	}
	for name := range maps.Keys(a.body) {
		if !slices.Contains(want, name) && !slices.Contains(want, name+"?") {
			c.t.Errorf("a member %s: %s", name, a.raw)
		}
	}
	for _, name := range want {
		if _, ok := a.body[name]; !ok && !strings.HasSuffix(name, "?") {
			c.t.Errorf("no %s: %s", name, a.raw)
		}
	}
	if strings.Contains(a.raw, "null") || strings.ContainsFunc(a.raw, func(r rune) bool { return r < ' ' || r > '~' }) {
		c.t.Errorf("null, or no ASCII: %s", a.raw)
	}
}

// getsError reads a refusal.
func (c *certificates) getsError(rid string, code hubward.Code) map[string]any {
	c.t.Helper()
	a := c.gets(code.HTTPStatus(), rid)
	if got := hubward.Code(a.body["errorCode"].(float64)); got != code {
		c.t.Errorf("error %d, want %d: %s", got, code, a.raw)
	}
	info, _ := a.body["info"].(map[string]any)
	return info
}

// getsCertificate reads a chain, and sees that it is the device's.
func (c *certificates) getsCertificate(rid string) []*x509.Certificate {
	c.t.Helper()
	return c.chainOf(c.gets(200, rid))
}

func (c *certificates) chainOf(a answer) []*x509.Certificate {
	c.t.Helper()
	var chain []*x509.Certificate
	for _, text := range a.body["certificates"].([]any) {
		der, err := base64.StdEncoding.DecodeString(text.(string))
		if err != nil {
			c.t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			c.t.Fatal(err)
		}
		chain = append(chain, cert)
	}
	if len(chain) != 3 {
		c.t.Fatalf("%d certificates", len(chain))
	}
	leaf := chain[0]
	if leaf.Subject.String() != "CN=d1" || !c.key.PublicKey.Equal(leaf.PublicKey) || len(leaf.DNSNames) > 0 {
		c.t.Errorf("the certificate is of %s, %v", leaf.Subject, leaf.DNSNames)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(chain[2])
	between.AddCert(chain[1])
	if _, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: time.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		c.t.Error(err)
	}
	return chain
}

// getsNothing sees that there is no answer, for longer than the hub takes.
func (c *certificates) getsNothing() {
	c.t.Helper()
	time.Sleep(2 * issuingTakes)
	c.ping()
}

func (c *certificates) begins() {
	c.t.Helper()
	c.connects(0)
	c.subscribes()
}

// refused is a scenario in which a body is refused at once.
func refused(code hubward.Code, body func(c *certificates) string) func(*certificates) {
	return func(c *certificates) {
		c.begins()
		c.asks("rid-1", body(c))
		c.getsError("rid-1", code)
		c.getsNothing()
	}
}

func fixed(body string) func(*certificates) string { return func(*certificates) string { return body } }

func failed(word string, csr func(c *certificates) string) func(*certificates) {
	return func(c *certificates) {
		c.begins()
		c.asks("rid-1", fmt.Sprintf(`{"id":"d1","csr":%q}`, csr(c)))
		taken := c.gets(202, "rid-1")
		info := c.getsError("rid-1", hubward.CodeCredentialOperationFailed)
		if info["credentialError"] != word || info["correlationId"] != taken.body["correlationId"] || info["requestId"] != "rid-1" {
			c.t.Errorf("info %v", info)
		}
		c.asks("rid-2", c.body("")) // nothing is left
		c.gets(202, "rid-2")
		c.getsCertificate("rid-2")
	}
}

// scenarios are what a device may do that wants a certificate, in the numbers under which they were run against the cloud.
//
// Source: Azure/azure-iot-sdk-csharp, branch feature/iot-csr-preview, iothub/device/src/csr-scenarions.md.
var scenarios = map[string]func(*certificates){
	"001 empty body":       refused(hubward.CodeArgumentInvalid, fixed("")),
	"002 no JSON":          refused(hubward.CodeFormatError, fixed(`{"id":"d1","csr"`)),
	"003 no csr":           refused(hubward.CodeArgumentInvalid, fixed(`{"id":"d1"}`)),
	"004 empty csr":        refused(hubward.CodeArgumentInvalid, fixed(`{"id":"d1","csr":""}`)),
	"005 csr not base64":   refused(hubward.CodeArgumentInvalid, fixed(`{"id":"d1","csr":"-----BEGIN"}`)),
	"006 csr too long":     refused(hubward.CodeArgumentInvalid, fixed(`{"id":"d1","csr":"`+strings.Repeat("A", 8196)+`"}`)),
	"007 no id":            refused(hubward.CodeArgumentInvalid, func(c *certificates) string { return fmt.Sprintf(`{"csr":%q}`, c.csr("d1")) }),
	"008 id of another":    refused(hubward.CodeArgumentInvalid, func(c *certificates) string { return fmt.Sprintf(`{"id":"d2","csr":%q}`, c.csr("d2")) }),
	"009 unknown member":   refused(hubward.CodeArgumentInvalid, func(c *certificates) string { return c.body(`,"Replace":"*"`) }),
	"010 no such replace":  refused(hubward.CodeArgumentInvalid, func(c *certificates) string { return c.body(`,"replace":"-no-"`) }),
	"011 nothing pending":  replaceNothing,
	"012 no PKCS #10":      failed("FailedToDecodeCsr", func(*certificates) string { return "AAAA" }),
	"013 wrong subject":    failed("CsrSubjectInvalid", func(c *certificates) string { return c.csr("D1") }),
	"014 no rid":           noID,
	"015 a certificate":    happy,
	"016 before SUBSCRIBE": beforeSubscribe,
	"017, 018 UNSUBSCRIBE between 202 and 200, then SUBSCRIBE": func(c *certificates) {
		c.begins()
		c.asks("rid-1", c.body(""))
		c.gets(202, "rid-1")
		c.unsubscribe(credentialsFilter)
		c.getsNothing()
		c.subscribes()
		c.getsCertificate("rid-1")
		c.getsNothing()
	},
	"019 reconnect with a session": func(c *certificates) {
		c.session = true
		reconnectBetween(c)
		c.getsCertificate("rid-1")
		c.getsNothing()
	},
	"020, 021 reconnect without a session, then SUBSCRIBE": func(c *certificates) {
		reconnectBetween(c)
		c.getsNothing()
		c.subscribes()
		c.getsCertificate("rid-1")
		c.getsNothing()
	},
	"022 two in sequence": func(c *certificates) {
		c.begins()
		serials := make(map[string]bool)
		for _, rid := range []string{"rid-1", "rid-2", "rid-2"} {
			c.asks(rid, c.body(`,"replace":null`))
			c.gets(202, rid)
			serials[c.getsCertificate(rid)[0].SerialNumber.String()] = true
		}
		if len(serials) != 3 {
			c.t.Errorf("%d serial numbers", len(serials))
		}
	},
	"023 two at once":      func(c *certificates) { twoAtOnce(c, false) },
	"024 second after 202": func(c *certificates) { twoAtOnce(c, true) },
	"025 replace by id":    func(c *certificates) { replaces(c, "rid-1") },
	"025 replace any":      func(c *certificates) { replaces(c, "*") },
	"026 never subscribed": func(c *certificates) {
		c.connects(0)
		c.asks("rid-1", c.body(""))
		c.getsNothing()
	},
}

func TestCertificates_scenarios(t *testing.T) {
	for qos := range byte(2) {
		for name, scenario := range scenarios {
			t.Run(fmt.Sprintf("QoS %d/%s", qos, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { scenario(newCertificates(t, qos)) })
			})
		}
	}
}

func replaceNothing(c *certificates) {
	c.begins()
	c.asks("rid-1", c.body(`,"replace":"rid-0"`))
	if info := c.getsError("rid-1", hubward.CodePreconditionFailed); info["requestId"] != "rid-0" {
		c.t.Errorf("info %v", info)
	}
	c.getsNothing()
	c.asks("rid-1", c.body(`,"replace":"*"`)) // whatever there is: nothing
	c.gets(202, "rid-1")
	c.getsCertificate("rid-1")
}

func noID(c *certificates) {
	c.begins()
	c.asks("", c.body(""))
	c.packets++
	c.publish(1, c.packets, strings.TrimSuffix(credentialsAsk, "/?$rid="), c.body(""))
	c.expectPuback(c.packets)
	c.getsNothing()
}

func happy(c *certificates) {
	c.begins()
	began := time.Now()
	c.asks("0f8fad5b-d9cb-469f-a165-70867728950e", c.body(""))
	taken := c.gets(202, "0f8fad5b-d9cb-469f-a165-70867728950e")
	done := c.gets(200, "0f8fad5b-d9cb-469f-a165-70867728950e")
	expires, err := time.Parse("2006-01-02T15:04:05.000000000Z", taken.body["operationExpires"].(string))
	if err != nil || expires.Sub(began).Round(time.Hour) != 12*time.Hour {
		c.t.Errorf("expires %v, %v", expires, err)
	}
	if done.body["correlationId"] != taken.body["correlationId"] {
		c.t.Errorf("%s, and then %s", taken.raw, done.raw)
	}
	leaf := c.chainOf(done)[0]
	if got := leaf.NotAfter.Sub(began).Round(time.Hour); got != 90*24*time.Hour {
		c.t.Errorf("valid for %s", got)
	}
	c.getsNothing()
}

func beforeSubscribe(c *certificates) {
	c.connects(0)
	c.asks("rid-1", "no JSON")
	c.asks("rid-1", c.body(""))
	c.getsNothing()
	c.subscribes()
	c.getsCertificate("rid-1") // the one answer that is kept
	c.getsNothing()
}

// reconnectBetween has the device come back, at the other node, between 202 and 200.
func reconnectBetween(c *certificates) {
	c.begins()
	c.asks("rid-1", c.body(""))
	c.gets(202, "rid-1")
	c.leaves()
	c.connects(1)
}

func twoAtOnce(c *certificates, after bool) {
	c.begins()
	first, second := c.body(""), c.body("")
	c.asks("rid-1", first)
	var taken answer
	if after {
		taken = c.gets(202, "rid-1")
	}
	c.publish(0, 0, credentialsAsk+"rid-2", second)
	if !after {
		taken = c.gets(202, "rid-1")
	}
	info := c.getsError("rid-2", hubward.CodeCredentialOperationActive)
	if info["requestId"] != "rid-1" || info["correlationId"] != taken.body["correlationId"] || info["operationExpires"] != taken.body["operationExpires"] {
		c.t.Errorf("info %v, taken %s", info, taken.raw)
	}
	c.asks("rid-1", first) // the same once more is no other
	if again := c.gets(202, "rid-1"); again.raw != taken.raw {
		c.t.Errorf("%s, and then %s", taken.raw, again.raw)
	}
	c.getsCertificate("rid-1")
	c.getsNothing()
}

func replaces(c *certificates, which string) {
	c.begins()
	c.asks("rid-1", c.body(""))
	c.gets(202, "rid-1")
	c.asks("rid-2", c.body(`,"replace":"rid-0"`))
	c.getsError("rid-2", hubward.CodeCredentialOperationActive)
	c.asks("rid-2", c.body(fmt.Sprintf(`,"replace":%q`, which)))
	c.gets(202, "rid-2")
	c.getsCertificate("rid-2")
	c.getsNothing() // of the one that was replaced
}
