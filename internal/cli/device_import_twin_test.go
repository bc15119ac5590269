package cli_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hubward/hubward"
)

// twinOf is a twin in short: its counters, tags and desired properties.
func (c *client) twinOf(device string) string {
	c.t.Helper()
	twin := fromJSON[hubward.Twin](c.t, c.ok("twin", "show", device, "-o", "json"))
	desired, err := hubward.PlainSection(twin.Properties.Desired)
	if err != nil {
		c.t.Fatal(err)
	}
	return fmt.Sprintf("%d %s %s", twin.Version, twin.Tags, desired)
}

func (c *client) wantTwin(device, want string) {
	c.t.Helper()
	if got := c.twinOf(device); got != want {
		c.t.Errorf("the twin of %s is %s, want %s", device, got, want)
	}
}

// What a row says of the twin becomes its tags and desired properties; what it does not say leaves them alone.
func TestDeviceImport_twins(t *testing.T) {
	c := newClient(t)
	const (
		full   = `{"id":"a","twinETag":"AAAAAAAAAAk=","tags":{"floor":1},"properties":{"desired":{"x":1.50,"$metadata":{"$lastUpdated":"2020-01-01T00:00:00Z"},"$version":9},"reported":{"y":1}}}`
		merges = `{"id":"a","importMode":"updateTwin","twinETag":"AAAAAAAAAAk=","tags":{"room":2},"properties":{"desired":{"x":null}}}`
		stale  = `{"id":"a","importMode":"updateTwinIfMatchETag","twinETag":"AAAAAAAAAAk=","tags":{"room":3}}`
		clears = `{"id":"a","tags":{}}`
	)
	c.ok("device", "import", file(t, full+"\n"+`{"id":"b"}`))
	c.wantTwin("a", `2 {"floor":1} {"x":1.50}`)
	c.wantTwin("b", `2 {} {}`)
	c.ok("device", "import", file(t, full)) // its etag is none that it has to have
	c.wantTwin("a", `3 {"floor":1} {"x":1.50}`)
	c.ok("device", "import", file(t, full+"\n"+`{"id":"b","tags":{"n":1}}`), "--without-twins")
	c.ok("device", "import", file(t, `{"id":"a","tags":null}`))
	c.wantTwin("a", `3 {"floor":1} {"x":1.50}`)
	c.wantTwin("b", `2 {} {}`)
	c.ok("device", "import", file(t, merges))
	c.wantTwin("a", `4 {"floor":1,"room":2} {}`)
	if _, stderr := c.importing(1, file(t, stale)); !strings.Contains(stderr, "line 1: a: The etag does not match") {
		t.Errorf("stderr %s", stderr)
	}
	c.ok("device", "import", file(t, clears))
	c.wantTwin("a", `5 {} {}`)
	if _, stderr := c.importing(1, file(t, `{"id":"a","tags":{"b":[{"$c":1}]}}`)); !strings.Contains(stderr, "line 1: a: ") || !strings.Contains(stderr, "$c") {
		t.Errorf("stderr %s", stderr)
	}
}

// newAnswering is a client of a hub that answers whatever it is asked.
func newAnswering(t *testing.T, answer func(*http.Request) string) *client {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, answer(r))
	}))
	t.Cleanup(server.Close)
	return &client{t: t, env: loginAt(t, server)}
}

// A hub that warns of a row is content without twins.
func TestDeviceImport_warnings(t *testing.T) {
	c := newAnswering(t, func(r *http.Request) string {
		body, err := io.ReadAll(r.Body)
		if err != nil || !strings.Contains(string(body), "floor") {
			return `{"isSuccessful":true,"errors":[],"warnings":[]}`
		}
		return `{"isSuccessful":true,"errors":[],"warnings":[{"deviceId":"a","warningCode":"x","warningStatus":"no twin"}]}`
	})
	name := file(t, `{"id":"a","tags":{"floor":1}}`+"\n"+`{"id":"b"}`)
	stdout, stderr := c.importing(1, name)
	if stdout != "2 devices done, 0 failed\n" || !strings.Contains(stderr, "line 1: a: warning: no twin") || !strings.Contains(stderr, "1 of 2 devices are done in part: --without-twins") {
		t.Errorf("stdout %s, stderr %s", stdout, stderr)
	}
	if out := c.ok("device", "import", name, "--without-twins"); out != stdout {
		t.Errorf("import prints %q", out)
	}
}
