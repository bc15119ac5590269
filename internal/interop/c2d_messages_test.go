//go:build interop

package interop_test

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// defaultUser is what the hub gives as the user id of a message that has none, to those protocols that need one.
const defaultUser = "hubward"

// guid is a made-up message id.
var guid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// backEnds opens every client that sends messages to devices, by name.
func backEnds(t *testing.T) map[string]c2dSender {
	t.Helper()
	node, python, java := familyOf(t, "node"), familyOf(t, "python"), familyOf(t, "java")
	return map[string]c2dSender{
		"node-amqp":      node.openBackEnd(t, "c2d_service", map[string]string{"TRANSPORT": "amqp"}),
		"node-amqp-ws":   node.openBackEnd(t, "c2d_service", map[string]string{"TRANSPORT": "amqp-ws"}),
		"python-amqp":    python.openBackEnd(t, "c2d_service", map[string]string{"TRANSPORT": "amqp"}),
		"python-amqp-ws": python.openBackEnd(t, "c2d_service", map[string]string{"TRANSPORT": "amqp-ws"}),
		"java-amqp":      java.openBackEnd(t, "c2d_service", map[string]string{"TRANSPORT": "amqp"}),
		"java-amqp-ws":   java.openBackEnd(t, "c2d_service", map[string]string{"TRANSPORT": "amqp-ws"}),
		"rest":           restBackEnd{},
	}
}

// samples are what each back end sends to each device. Their ids begin with prefix.
func samples(from, prefix string, expiry time.Time) []message {
	all := message{
		ID: prefix + " m-:.+%_#*?!(),=@;$'/&1", CorrelationID: "cause/1 & 2 + 3 %", ContentType: "application/json",
		ContentEncoding: "utf-8", Ack: "negative", Expiry: expiry.UnixMilli(),
		Properties: map[string]string{"colour": "blue/green & more = + % €", "n": "1"}, Body: `{"turn":"left","degrees":90.5,"why":"ä €"}`,
	}
	java := strings.HasPrefix(from, "java")
	if from == "rest" || java {
		all.UserID = "operator 7/ä"
	}
	if java { // whose SDK has no way to give these
		all.ContentType, all.ContentEncoding = "", ""
	}
	list := []message{
		all,
		{ID: "01234567-89ab-4cde-8f01-23456789abcd", CorrelationID: "fedcba98-7654-4321-8fed-cba987654321", Body: "plain"},
		{Body: "nothing but a body"},
		{ID: prefix + " large", Body: strings.Repeat("sixteen letters ", 3750)}, // 60,000 bytes: several frames
	}
	if from != "rest" {
		list = append(list, message{ID: prefix + " awkward", Properties: map[string]string{"awkward name/ä&=": "= &/ä", "empty": ""}, Body: "x"})
	}
	for i := range list {
		if java && list[i].Ack == "" { // the SDK sends one with each message
			list[i].Ack = "none"
		}
	}
	return list
}

// shown is what the SDK of r shows of a message that a back end sent to a device.
func (r receiving) shown(m message, device, from string) message {
	if r.sdk == "python" {
		return m
	}
	m.To = "/devices/" + device + "/messages/devicebound" // as the SDKs write it
	if from == "rest" {
		m.To = "/devices/" + device + "/messages/deviceBound" // as the hub does
	}
	switch {
	case r.sdk == "java":
		return r.shownByJava(m)
	case r.name == "http": // the SDK looks at no other header
		m.UserID, m.ContentType, m.ContentEncoding, m.Ack = "", "", "", ""
	case strings.HasPrefix(r.name, "amqp") && m.UserID == "":
		m.UserID = defaultUser
	}
	return m
}

// shownByJava is what the Java SDK shows: neither the acknowledgement nor the expiry, and over MQTT only what there is room for.
func (r receiving) shownByJava(m message) message {
	m.Ack, m.Expiry = "", 0
	switch {
	case strings.HasPrefix(r.name, "mqtt"):
		m.UserID, m.To = "", ""
	case strings.HasPrefix(r.name, "amqp"):
		m.UserID = strings.ReplaceAll(cmp.Or(m.UserID, defaultUser), "ä", `\xc3\xa4`) // as Proton prints bytes
	default: // the SDK looks for other headers
		m.ContentType, m.ContentEncoding = "", ""
	}
	return m
}

// Every client that sends, with every client that receives: what comes is what was sent. The first back end's messages
// are there before the device is.
func TestC2D_messages(t *testing.T) {
	from := backEnds(t)
	names := []string{"rest", "node-amqp", "node-amqp-ws", "python-amqp", "python-amqp-ws", "java-amqp", "java-amqp-ws"}
	expiry := time.Now().Add(30 * time.Minute).Truncate(time.Second)
	together(t, receivers(), func(t *testing.T, r receiving) {
		device, cs := createDevice(t, "messages-"+r.String())
		send := func(name string) []message {
			list := samples(name, name+" to "+r.String(), expiry)
			if r.name == "http" { // what no header can carry is left out
				list = list[:4]
			}
			if r.sdk == "java" && strings.HasPrefix(r.name, "mqtt") {
				list[len(list)-1].Properties = maps.Clone(list[len(list)-1].Properties)
				delete(list[len(list)-1].Properties, "empty") // it would end the connection, again and again
			}
			mustSend(t, from[name], device.DeviceID, list...)
			return list
		}
		want := send(names[0])
		c := r.open(t, cs)
		r.wantAll(c, device.DeviceID, names[0], want)
		for _, name := range names[1:] {
			r.wantAll(c, device.DeviceID, name, send(name))
		}
		waitForQueue(t, device.DeviceID, 0)
		c.stop()
		c.finish()
	})
}

// wantAll waits for deliveries of these messages, in order if the SDK keeps one. A message that was sent without an id comes
// with one that the hub has given it.
func (r receiving) wantAll(c *client, device, from string, want []message) {
	c.t.Helper()
	came := make([]message, len(want))
	for i := range came {
		came[i] = c.nextMessage()
	}
	if r.anyOrder() {
		want = slices.Clone(want)
		for _, list := range [][]message{want, came} {
			slices.SortFunc(list, func(a, b message) int { return strings.Compare(a.Body, b.Body) })
		}
	}
	for i, m := range want {
		got, want := came[i], r.shown(m, device, from)
		if m.ID == "" {
			if !guid.MatchString(got.ID) {
				c.t.Errorf("a message without an id came as %q", got.ID)
			}
			want.ID = got.ID
		}
		if r.sdk == "java" && want.CorrelationID == "" && guid.MatchString(got.CorrelationID) {
			got.CorrelationID = "" // the SDK has made one up
		}
		if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			c.t.Errorf("message %q (-want +got):\n%.2000s", m.ID, diff)
		}
	}
}
