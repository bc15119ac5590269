package cli_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/cli"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/testhub"
	"github.com/hubward/hubward/sas"
)

// client runs commands against a hub of its own.
type client struct {
	t   *testing.T
	hub *testhub.Hub
	env map[string]string
}

func newClient(t *testing.T) *client {
	t.Helper()
	h := testhub.Start(t)
	return &client{t: t, hub: h, env: map[string]string{"HUBWARD_CONNECTION_STRING": loginOf(h, "iothubowner"), "HUBWARD_CA": h.CAFile}}
}

// loginOf is a policy's connection string with the port that the hub really has.
func loginOf(h *testhub.Hub, policy string) string {
	return strings.Replace(h.ConnectionString(policy), "HostName="+h.Host, "HostName="+hostOf(h), 1)
}

func hostOf(h *testhub.Hub) string { return strings.TrimPrefix(h.HTTPS, "https://") }

// ok runs a command that has to succeed.
func (c *client) ok(args ...string) string {
	c.t.Helper()
	status, stdout, stderr := runLine(c.t, c.env, args...)
	if status != 0 || stderr != "" {
		c.t.Fatalf("%v: status %d, stderr %s", args, status, stderr)
	}
	return stdout
}

// fails runs a command that has to end with status and a line that holds text.
func (c *client) fails(status int, text string, args ...string) {
	c.t.Helper()
	got, stdout, stderr := runLine(c.t, c.env, args...)
	if got != status || !strings.Contains(stderr, text) {
		c.t.Errorf("%v: status %d, stdout %s, stderr %s; want %d and %q", args, got, stdout, stderr, status, text)
	}
}

func fromJSON[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil || strings.Count(text, "\n") != 1 {
		t.Fatalf("%q is not one line of JSON: %v", text, err)
	}
	return v
}

func TestLogin_waysToGiveOne(t *testing.T) {
	h := testhub.Start(t)
	t.Chdir(t.TempDir())
	owner := loginOf(h, "iothubowner")
	data := t.TempDir()
	file := "# made by serve\nHUBWARD_CONNECTION_STRING='" + owner + "'\nexport HUBWARD_CA=\"" + h.CAFile + "\"\n"
	if err := os.WriteFile(filepath.Join(data, "connection-strings.env"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		env  map[string]string
		args []string
	}{
		"flags":       {nil, []string{"--login", owner, "--ca", h.CAFile}},
		"environment": {map[string]string{"HUBWARD_CONNECTION_STRING": owner, "HUBWARD_CA": h.CAFile}, nil},
		"data folder": {map[string]string{"HUBWARD_CONNECTION_STRING": "HostName=other.invalid"}, []string{"--data", data}},
	} {
		if status, _, stderr := runLine(t, test.env, append([]string{"device", "list"}, test.args...)...); status != 0 {
			t.Errorf("%s: status %d, %s", name, status, stderr)
		}
	}
	if err := os.Rename(data, "hubward-data"); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := runLine(t, nil, "device", "list"); status != 0 {
		t.Errorf("./hubward-data: status %d, %s", status, stderr)
	}
}

func TestLogin_refusals(t *testing.T) {
	t.Chdir(t.TempDir())
	c := &client{t: t, env: map[string]string{}}
	for _, way := range []string{"--login", "HUBWARD_CONNECTION_STRING", "connection-strings.env"} {
		c.fails(1, way, "device", "list")
	}
	c.fails(1, "connection-strings.env", "device", "list", "--data", "none")
	c.fails(1, "--ca", "device", "list", "--login", "HostName=h;SharedAccessKeyName=p;SharedAccessKey=aaaa", "--ca", "none.pem")
	c.fails(1, "SharedAccessKeyName", "device", "list", "--login", "HostName=h")
}

// What Notepad and PowerShell make of the files that serve leaves.
func TestLogin_encodings(t *testing.T) {
	h := testhub.Start(t)
	owner := loginOf(h, "iothubowner")
	pem, err := os.ReadFile(h.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	ca, file := filepath.Join(data, "ca.pem"), filepath.Join(data, "connection-strings.env")
	c := &client{t: t, env: map[string]string{}}
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(ca, "\uFEFF"+string(pem))
	write(file, "\uFEFFHUBWARD_CONNECTION_STRING='"+owner+"'\r\nHUBWARD_CA="+ca+"\r\n")
	c.ok("device", "list", "--data", data)

	write(ca, "\xFF\xFE-\x00-\x00")
	c.fails(1, "ca.pem, cannot be read (--ca, HUBWARD_CA): it is UTF-16", "device", "list", "--data", data)
	write(file, "\xFF\xFEH\x00U\x00")
	c.fails(1, "connection-strings.env: it is UTF-16", "device", "list", "--data", data)
}

func TestUnknownAuthority_saysWhatToDo(t *testing.T) {
	c := newClient(t)
	delete(c.env, "HUBWARD_CA")
	t.Chdir(t.TempDir())
	c.fails(1, "--ca", "device", "list")
}

func TestDevice_lifeCycle(t *testing.T) {
	c := newClient(t)
	if out := c.ok("device", "create", "d1"); !strings.Contains(out, "primary key:") || !strings.Contains(out, "enabled") {
		t.Errorf("create prints\n%s", out)
	}
	d1 := fromJSON[hubward.Device](t, c.ok("device", "show", "d1", "-o", "json"))
	key := string(d1.Authentication.SymmetricKey.PrimaryKey)
	c.ok("device", "create", "d2", "--status", "disabled", "--status-reason", "a\x1b[2Jb", "--primary-key", key, "--secondary-key", key)
	if out := c.ok("device", "list"); strings.Contains(out, "\x1b") || len(strings.Split(strings.TrimSpace(out), "\n")) != 3 || !strings.HasPrefix(out, "DEVICE ") {
		t.Errorf("list prints\n%q", out)
	}
	if out := c.ok("device", "show", "d2"); strings.Contains(out, "\x1b") || !strings.Contains(out, `a\u001b[2Jb`) {
		t.Errorf("show prints\n%q", out)
	}
	if out := c.ok("device", "list", "--top", "1", "-o", "json"); fromJSON[hubward.Device](t, out).DeviceID != "d1" {
		t.Errorf("list prints\n%s", out)
	}
	d2 := fromJSON[hubward.Device](t, c.ok("device", "update", "d2", "--status", "enabled", "--regenerate-key", "secondary", "-o", "json"))
	keys := d2.Authentication.SymmetricKey
	if d2.Status != hubward.StatusEnabled || string(keys.PrimaryKey) != key || string(keys.SecondaryKey) == key || d2.StatusReason == "" {
		t.Errorf("update gives %+v", d2)
	}
	c.fails(1, "DeviceAlreadyExists", "device", "create", "d1")
	c.fails(1, "DeviceNotFound", "device", "delete", "none", "d1")
	c.fails(1, "DeviceNotFound", "device", "show", "d1") // deleted although another one failed
	c.ok("device", "delete", "d2")
}

func TestDevice_wrongUsage(t *testing.T) {
	c := newClient(t)
	for _, args := range [][]string{
		{"device", "create"}, {"device", "create", "a", "b"}, {"device", "create", "a", "--primary-key", "x"},
		{"device", "update", "a"}, {"device", "update", "a", "--regenerate-key", "third"}, {"device", "delete"},
		{"device", "list", "-o", "xml"}, {"device", "sas-token", "a", "--ttl", "-1h"}, {"device", "import", "x", "--mode", "y"},
		{"device", "frobnicate"}, {"hub", "create"}, {"policy", "create", "p"}, {"policy", "regenerate", "p"},
		{"hub", "connection-string", "--key", "third"}, {"monitor", "extra"}, {"monitor", "--from", "yesterday"},
		{"monitor", "--count", "-1"}, {"monitor", "--device", "a b"},
	} {
		c.fails(2, "usage: hubward "+args[0], args...)
	}
}

func TestDevice_connectionStringAndToken(t *testing.T) {
	c := newClient(t)
	d := c.hub.CreateDevice("d1")
	text := strings.TrimSpace(c.ok("device", "connection-string", "d1", "--key", "secondary"))
	want := sas.ConnectionString{HostName: "localhost", DeviceID: "d1", SharedAccessKey: string(d.Authentication.SymmetricKey.SecondaryKey)}
	if text != want.String() {
		t.Errorf("got %s, want %s", text, want)
	}
	out := c.ok("device", "sas-token", "d1", "--ttl", "10m", "-o", "json")
	token, err := sas.Parse(fromJSON[map[string]string](t, out)["sasToken"])
	if err != nil || !token.VerifyKey(string(d.Authentication.SymmetricKey.PrimaryKey)) || !token.Covers("devices", "d1") || time.Until(token.Expiry) > 10*time.Minute {
		t.Errorf("token %+v, %v", token, err)
	}
}

func TestHub_lifeCycle(t *testing.T) {
	c := newClient(t)
	if out := c.ok("hub", "create", "two", "--hostname", "two.example", "--partitions", "2", "--retention", "48h"); !strings.Contains(out, "two.example") {
		t.Errorf("create prints\n%s", out)
	}
	if out := c.ok("hub", "list"); strings.Count(out, "\n") != 3 || !strings.Contains(out, "48h0m0s") {
		t.Errorf("list prints\n%s", out)
	}
	type hubJSON struct {
		Name       string
		Partitions int
	}
	if h := fromJSON[hubJSON](t, c.ok("hub", "show", "-o", "json")); h != (hubJSON{testhub.Name, 4}) {
		t.Errorf("show gives %+v", h)
	}
	if h := fromJSON[hubJSON](t, c.ok("hub", "show", "two", "-o", "json")); h != (hubJSON{"two", 2}) {
		t.Errorf("show gives %+v", h)
	}
	c.fails(1, "HubAlreadyExists", "hub", "create", "two")
	c.fails(2, "usage: hubward hub create", "hub", "create", "three", "--partitions", "0")
	c.ok("hub", "delete", "two", "--yes")
	c.fails(1, "HubNotFound", "hub", "show", "two")
}

func TestHub_connectionString(t *testing.T) {
	c := newClient(t)
	// What is printed is good for a login.
	c.env["HUBWARD_CONNECTION_STRING"] = strings.TrimSpace(c.ok("hub", "connection-string", "--key", "secondary"))
	if got := c.env["HUBWARD_CONNECTION_STRING"]; !strings.HasPrefix(got, "HostName="+hostOf(c.hub)+";SharedAccessKeyName=iothubowner;") {
		t.Errorf("got %s", got)
	}
	c.ok("hub", "create", "two")
	out := c.ok("hub", "connection-string", "two", "--policy", "service", "-o", "json")
	cs, err := sas.ParseConnectionString(fromJSON[map[string]string](t, out)["connectionString"])
	if err != nil || !strings.HasPrefix(cs.HostName, "two.localhost:") || cs.SharedAccessKeyName != "service" {
		t.Errorf("got %s, %v", out, err)
	}
	got := strings.TrimSpace(c.ok("hub", "connection-string", "--eventhub"))
	if !strings.HasPrefix(got, "Endpoint=sb://localhost/;SharedAccessKeyName=iothubowner;SharedAccessKey=") || !strings.HasSuffix(got, ";EntityPath="+testhub.Name) {
		t.Errorf("got %s", got)
	}
	c.fails(1, "no policy", "hub", "connection-string", "--policy", "none")
}

func TestPolicy_lifeCycle(t *testing.T) {
	c := newClient(t)
	c.ok("hub", "create", "two")
	type policyJSON struct {
		Name, PrimaryKey string
		Permissions      []string
	}
	made := fromJSON[policyJSON](t, c.ok("policy", "create", "reader", "--permissions", "ServiceConnect, registryread", "--hub", "two", "-o", "json"))
	if diff := cmp.Diff([]string{"RegistryRead", "ServiceConnect"}, made.Permissions); diff != "" {
		t.Error(diff)
	}
	renewed := fromJSON[policyJSON](t, c.ok("policy", "regenerate", "reader", "--key", "primary", "--hub", "two", "-o", "json"))
	if renewed.PrimaryKey == made.PrimaryKey {
		t.Error("the key stayed")
	}
	if out := c.ok("policy", "list", "--hub", "two"); !strings.Contains(out, "reader") || strings.Count(out, "\n") != 7 {
		t.Errorf("list prints\n%s", out)
	}
	if out := c.ok("policy", "list"); strings.Contains(out, "reader") {
		t.Errorf("list prints\n%s", out)
	}
	c.ok("policy", "delete", "reader", "--hub", "two")
	c.fails(1, "PolicyNotFound", "policy", "delete", "reader", "--hub", "two")
}

type quietSession struct{}

func (quietSession) Deliver(hub.Delivery) {}
func (quietSession) Close(error)          {}

// sender logs a device in and returns a function that stores its telemetry.
func sender(t *testing.T, h *testhub.Hub, id string) func(hubward.Message) {
	t.Helper()
	h.CreateDevice(id)
	link, err := h.App.Hub().Connect(t.Context(), h.Process(), hub.ConnectRequest{Identity: hubward.Identity{Device: id}, Session: quietSession{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.Disconnect)
	stored := make(chan error, 1)
	in := link.Ingest(func(_ int, err error) { stored <- err })
	return func(m hubward.Message) {
		t.Helper()
		if err := in.Telemetry(t.Context(), &m); err != nil {
			t.Fatal(err)
		}
		if err := <-stored; err != nil {
			t.Fatal(err)
		}
	}
}

func TestMonitor_printsForPeople(t *testing.T) {
	c := newClient(t)
	send := sender(t, c.hub, "MyFirstDevice")
	send(hubward.Message{Body: []byte("{ \"windSpeed\": 12.5 }"), MessageID: "m1", Properties: []hubward.Property{{Name: "alert", Value: "tr\x1b[31mue"}, {Name: "\x07", Value: "\u202e"}}})
	send(hubward.Message{Body: []byte("\x1b]0;title\x07\nline two \u009b2J")})
	send(hubward.Message{Body: []byte{0xff, 0}})
	out := c.ok("monitor", "--from", "earliest", "--count", "3")
	var got []string
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		if !strings.HasPrefix(line, "    ") {
			if _, err := time.Parse(time.RFC3339, line[:24]); err != nil {
				t.Errorf("line %q: %v", line, err)
			}
			line = line[24:]
		}
		got = append(got, line)
	}
	want := []string{
		`  MyFirstDevice  {"windSpeed":12.5}`,
		`    \u0007: \u202e`,
		`    alert: tr\u001b[31mue`,
		`  MyFirstDevice  \u001b]0;title\u0007\nline two \u009b2J`,
		`  MyFirstDevice  /wA= (2 bytes, base64)`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	verbose := c.ok("monitor", "--from", "10m", "--count", "1", "-v")
	for _, want := range []string{"    system messageId: m1\n", "    annotation iothub-connection-device-id: MyFirstDevice\n", "    annotation x-opt-sequence-number: 0\n"} {
		if !strings.Contains(verbose, want) {
			t.Errorf("-v lacks %q:\n%s", want, verbose)
		}
	}
}

func TestMonitor_printsJSON(t *testing.T) {
	c := newClient(t)
	sender(t, c.hub, "other")(hubward.Message{Body: []byte("not this one")})
	sender(t, c.hub, "d1")(hubward.Message{Body: []byte(`{"a":"` + "\u009b" + `<"}`)})
	out := c.ok("monitor", "--device", "d1", "--from", "2020-01-01T00:00:00Z", "--count", "1", "-o", "json")
	e := fromJSON[struct {
		Body        struct{ A string }
		Annotations map[string]any
	}](t, out)
	if e.Body.A != "\u009b<" || e.Annotations["iothub-connection-device-id"] != "d1" || strings.Contains(out, "\u009b") {
		t.Errorf("got %q", out)
	}
}

func TestMonitor_endsOnInterrupt(t *testing.T) {
	c := newClient(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out, errs := new(lockedBuffer), new(lockedBuffer)
	env := cli.Env{Stdout: out, Stderr: errs, Getenv: func(name string) string { return c.env[name] }}
	status := make(chan int, 1)
	go func() { status <- cli.Main(ctx, env, []string{"monitor", "--from", "earliest", "--device", "d1"}) }()
	eventually(t, "the warning", func() bool { return strings.Contains(errs.String(), "there is no device d1") })
	sender(t, c.hub, "d1")(hubward.Message{Body: []byte("hello")})
	eventually(t, "the event", func() bool { return strings.Contains(out.String(), "hello") })
	interrupt()
	if got := <-status; got != 0 {
		t.Errorf("status %d, %s", got, errs.String())
	}
}

func TestMonitor_refusals(t *testing.T) {
	c := newClient(t)
	c.fails(1, "ConsumerGroupNotFound", "monitor", "--consumer-group", "none")
	c.env["HUBWARD_CONNECTION_STRING"] = loginOf(c.hub, "registryRead")
	c.fails(1, "Unauthorized", "monitor", "--count", "1")
}
