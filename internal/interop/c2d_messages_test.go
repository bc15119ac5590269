//go:build interop

package interop_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// defaultUser is what the hub gives as the user id of a message that has none, to those protocols that need one.
const defaultUser = "hubward"

// guid is a made-up message id.
var guid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// backEnds opens every client that sends messages to devices, by name.
func backEnds(t *testing.T) map[string]c2dSender {
	t.Helper()
	node, python := familyOf(t, "node"), familyOf(t, "python")
	return map[string]c2dSender{
		"node-amqp":      node.openBackEnd(t, "c2d_service", map[string]string{"TRANSPORT": "amqp"}),
		"node-amqp-ws":   node.openBackEnd(t, "c2d_service", map[string]string{"TRANSPORT": "amqp-ws"}),
		"python-amqp":    python.openBackEnd(t, "c2d_service", map[string]string{"TRANSPORT": "amqp"}),
		"python-amqp-ws": python.openBackEnd(t, "c2d_service", map[string]string{"TRANSPORT": "amqp-ws"}),
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
	if from == "rest" {
		all.UserID = "operator 7/ä"
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
	case r.name == "http": // the SDK looks at no other header
		m.UserID, m.ContentType, m.ContentEncoding, m.Ack = "", "", "", ""
	case strings.HasPrefix(r.name, "amqp") && m.UserID == "":
		m.UserID = defaultUser
	}
	return m
}

// Every client that sends, with every client that receives: what comes is what was sent. The first back end's messages
// are there before the device is.
func TestC2D_messages(t *testing.T) {
	from := backEnds(t)
	names := []string{"rest", "node-amqp", "node-amqp-ws", "python-amqp", "python-amqp-ws"}
	expiry := time.Now().Add(30 * time.Minute).Truncate(time.Second)
	together(t, receivers(), func(t *testing.T, r receiving) {
		device, cs := createDevice(t, "messages-"+r.String())
		send := func(name string) []message {
			list := samples(name, name+" to "+r.String(), expiry)
			if r.name == "http" { // what no header can carry is left out
				list = list[:4]
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
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			c.t.Errorf("message %q (-want +got):\n%.2000s", m.ID, diff)
		}
	}
}
