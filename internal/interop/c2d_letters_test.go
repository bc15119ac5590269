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
func backEnds(t *testing.T) map[string]poster {
	t.Helper()
	node, python := familyOf(t, "node"), familyOf(t, "python")
	return map[string]poster{
		"node-amqp":      node.openBackEnd(t, "c2d_service", map[string]string{"TRANSPORT": "amqp"}),
		"node-amqp-ws":   node.openBackEnd(t, "c2d_service", map[string]string{"TRANSPORT": "amqp-ws"}),
		"python-amqp":    python.openBackEnd(t, "c2d_service", map[string]string{"TRANSPORT": "amqp"}),
		"python-amqp-ws": python.openBackEnd(t, "c2d_service", map[string]string{"TRANSPORT": "amqp-ws"}),
		"rest":           restPoster{},
	}
}

// letters are what each back end sends to each device. Their ids begin with prefix.
func letters(from, prefix string, expiry time.Time) []letter {
	all := letter{
		ID: prefix + " m-:.+%_#*?!(),=@;$'/&1", CorrelationID: "cause/1 & 2 + 3 %", ContentType: "application/json",
		ContentEncoding: "utf-8", Ack: "negative", Expiry: expiry.UnixMilli(),
		Properties: map[string]string{"colour": "blue/green & more = + % €", "n": "1"}, Body: `{"turn":"left","degrees":90.5,"why":"ä €"}`,
	}
	if from == "rest" {
		all.UserID = "operator 7/ä"
	}
	list := []letter{
		all,
		{ID: "01234567-89ab-4cde-8f01-23456789abcd", CorrelationID: "fedcba98-7654-4321-8fed-cba987654321", Body: "plain"},
		{Body: "nothing but a body"},
		{ID: prefix + " large", Body: strings.Repeat("sixteen letters ", 3750)}, // 60,000 bytes: several frames
	}
	if from != "rest" {
		list = append(list, letter{ID: prefix + " awkward", Properties: map[string]string{"awkward name/ä&=": "= &/ä", "empty": ""}, Body: "x"})
	}
	return list
}

// shown is what the SDK of r shows of a letter to a device.
func (r receiving) shown(l letter, device string) letter {
	switch {
	case r.sdk == "python":
	case r.name == "http":
		// The SDK looks at no other header.
		l.UserID, l.ContentType, l.ContentEncoding, l.Ack = "", "", "", ""
		l.To = "/devices/" + device + "/messages/deviceBound"
	case strings.HasPrefix(r.name, "amqp"):
		if l.UserID == "" {
			l.UserID = defaultUser
		}
		l.To = "/devices/" + device + "/messages/devicebound"
	default:
		l.To = "/devices/" + device + "/messages/deviceBound"
	}
	return l
}

// Every client that sends, with every client that receives: what comes is what was sent. The first back end's messages
// are there before the device is.
func TestC2D_letters(t *testing.T) {
	from := backEnds(t)
	names := []string{"rest", "node-amqp", "node-amqp-ws", "python-amqp", "python-amqp-ws"}
	expiry := time.Now().Add(30 * time.Minute).Truncate(time.Second)
	together(t, receivers(), func(t *testing.T, r receiving) {
		device, cs := createDevice(t, "letters-"+r.String())
		send := func(name string) []letter {
			list := letters(name, name+" to "+r.String(), expiry)
			if r.name == "http" { // what no header can carry is left out
				list = list[:4]
			}
			mustPost(t, from[name], device.DeviceID, list...)
			return list
		}
		want := send(names[0])
		c := r.open(t, cs)
		r.wantLetters(c, device.DeviceID, want)
		for _, name := range names[1:] {
			r.wantLetters(c, device.DeviceID, send(name))
		}
		waitForQueue(t, device.DeviceID, 0)
		c.stop()
		c.finish()
	})
}

// wantLetters waits for deliveries of these letters, in order if the SDK keeps one. Where there was no id and no expiry, there is one.
func (r receiving) wantLetters(c *client, device string, want []letter) {
	c.t.Helper()
	hour := time.Now().Add(time.Hour).UnixMilli()
	came := make([]letter, len(want))
	for i := range came {
		came[i] = c.nextLetter()
	}
	if r.anyOrder() {
		want = slices.Clone(want)
		for _, list := range [][]letter{want, came} {
			slices.SortFunc(list, func(a, b letter) int { return strings.Compare(a.Body, b.Body) })
		}
	}
	for i, l := range want {
		got, want := came[i], r.shown(l, device)
		if l.ID == "" {
			if !guid.MatchString(got.ID) {
				c.t.Errorf("a message without an id came as %q", got.ID)
			}
			want.ID = got.ID
		}
		if l.Expiry == 0 {
			if got.Expiry < hour-120_000 || got.Expiry > hour+1000 {
				c.t.Errorf("message %q without an expiry has %s, want an hour from now", got.ID, time.UnixMilli(got.Expiry))
			}
			want.Expiry = got.Expiry
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			c.t.Errorf("message %q (-want +got):\n%.2000s", l.ID, diff)
		}
	}
}
