package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/cli"
)

const scriptedTwin = `200 {"deviceId":"d1","etag":"AAAAAAAAAAI=","deviceEtag":"MQ==","status":"enabled","statusUpdateTime":"0001-01-01T00:00:00",` +
	`"connectionState":"Connected","lastActivityTime":"2026-01-31T00:49:39.1234567Z","cloudToDeviceMessageCount":0,"authenticationType":"sas",` +
	`"x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},"modelId":"dtmi:a;1","version":5,"tags":{"room":"a\u001b<"},` +
	`"properties":{"desired":{"n":9007199254740993,"$metadata":{"n":{}},"$version":3},"reported":{"$metadata":{},"$version":1}},"capabilities":{"iotEdge":false}}`

func TestTwinShow(t *testing.T) {
	c, hub := newScriptedClient(t)
	hub.answers["GET /twins/d1"] = scriptedTwin
	hub.answers["GET /twins/d1/modules/m1"] = strings.Replace(scriptedTwin, `"deviceId":"d1"`, `"deviceId":"d1","moduleId":"m1"`, 1)
	want := `device:         d1
status:         enabled
connection:     Connected
last activity:  2026-01-31 00:49:39Z
model:          dtmi:a;1
etag:           AAAAAAAAAAI=
version:        5
tags:
  {
    "room": "a\u001b<"
  }
desired (version 3):
  {
    "n": 9007199254740993
  }
reported (version 1):
  {}
`
	if diff := cmp.Diff(want, c.ok("twin", "show", "d1")); diff != "" {
		t.Error(diff)
	}
	out := c.ok("twin", "show", "d1", "-o", "json")
	if twin := fromJSON[hubward.Twin](t, out); twin.Version != 5 || hubward.SectionVersion(twin.Properties.Desired) != 3 || !strings.Contains(out, `"n":9007199254740993`) {
		t.Errorf("-o json prints %s", out)
	}
	if out := c.ok("twin", "show", "d1", "--module", "m1"); !strings.Contains(out, "\nmodule:         m1\n") {
		t.Errorf("it prints\n%s", out)
	}
	c.fails(1, "DeviceNotFound (none)", "twin", "show", "none")
}

func TestTwinWrites(t *testing.T) {
	c, hub := newScriptedClient(t)
	const patch, put = "PATCH /twins/d1", "PUT /twins/d1"
	hub.answers[patch], hub.answers[put], hub.answers["PATCH /twins/d1/modules/m1"] = scriptedTwin, scriptedTwin, scriptedTwin
	file := filepath.Join(t.TempDir(), "tags.json")
	if err := os.WriteFile(file, []byte("\uFEFF{\"a\": 1.0}\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ args, call, want, etag string }{
		{`update d1 --tags {"a":1}`, patch, `{"tags":{"a":1}}`, ""},
		{`update d1 --desired {"n":9007199254740993,"gone":null} --etag AAAAAAAAAAE=`, patch, `{"properties":{"desired":{"n":9007199254740993,"gone":null}}}`, `"AAAAAAAAAAE="`},
		{`update d1 --tags null --desired {} --etag "AAAAAAAAAAE="`, patch, `{"tags":null,"properties":{"desired":{}}}`, `"AAAAAAAAAAE="`},
		{`update d1 --tags @` + file, patch, `{"tags":{"a":1.0}}`, ""},
		{`update d1 --module m1 --desired - --tags @` + file, "PATCH /twins/d1/modules/m1", `{"tags":{"a":1.0},"properties":{"desired":{"from":"stdin"}}}`, ""},
		{`replace d1 --tags {"a":1}`, put, `{"tags":{"a":1},"properties":{"desired":{}}}`, ""},
		{`replace d1 --desired {"a":1} --etag *`, put, `{"tags":{},"properties":{"desired":{"a":1}}}`, `"*"`},
	} {
		var out, errs bytes.Buffer
		env := cli.Env{Stdin: strings.NewReader(` {"from": "stdin"} `), Stdout: &out, Stderr: &errs, Getenv: func(name string) string { return c.env[name] }}
		args := append([]string{"twin"}, strings.Fields(test.args)...)
		if status := cli.Main(t.Context(), env, args); status != 0 || !strings.Contains(out.String(), "desired (version 3):\n") {
			t.Errorf("%s: status %d, %s\n%s", test.args, status, &errs, &out)
		}
		if hub.bodies[test.call] != test.want || hub.etags[test.call] != test.etag {
			t.Errorf("%s: sent %s with %s, want %s with %s", test.args, hub.bodies[test.call], hub.etags[test.call], test.want, test.etag)
		}
	}
	hub.answers[patch] = `412 {"Message":"ErrorCode:PreconditionFailed;the etag is another one."}`
	c.fails(1, "PreconditionFailed (d1): the etag is another one: it was changed meanwhile", "twin", "update", "d1", "--tags", "{}", "--etag", "x")
}

func TestTwin_wrongUsage(t *testing.T) {
	c := &client{t: t, env: map[string]string{"HUBWARD_CONNECTION_STRING": "HostName=h.invalid;SharedAccessKeyName=p;SharedAccessKey=" + wrongKey}}
	folder := t.TempDir()
	file := filepath.Join(folder, "x.json")
	for _, test := range []struct {
		status     int
		args, want string
	}{
		{2, "show", "ID is missing"},
		{2, "show /b", "no device id"},
		{2, "show d1 --module /b", "--module"},
		{2, "update d1", "nothing to write: give --tags, --desired or both"},
		{2, "update d1 --tags - --desired -", "both be standard input"},
		{2, "update d1 --tags {a:1}", "--tags: no JSON: invalid character 'a' looking for beginning of object key string (byte 2); the shell takes quotes away"},
		{2, "update d1 --desired [1]", "--desired is no JSON object"},
		{2, "replace d1 --tags 5", "--tags is no JSON object"},
		{2, "update d1 --tags {}x", "--tags: no JSON"},
		{1, "update d1 --tags @" + file, "--tags: " + file + ": no such file"},
		{1, "update d1 --tags @" + folder, "--tags: " + folder + ": is a directory"},
		{1, "update d1 --tags -", "--tags: standard input: no JSON: unexpected end of JSON input"},
		{2, "watch d1 --count -1", "--count -1 is negative"},
		{2, "watch d1 --from yesterday", "--from"},
		{2, "frobnicate", `there is no command "frobnicate"`},
	} {
		c.fails(test.status, test.want, append([]string{"twin"}, strings.Fields(test.args)...)...)
	}
	if err := os.WriteFile(file, []byte("{\x00\"\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.fails(1, "--tags: "+file+": it is UTF-16", "twin", "update", "d1", "--tags", "@"+file)
	for _, size := range []int{1 << 20, 1<<20 + 1} {
		if err := os.WriteFile(file, append([]byte("{}"), bytes.Repeat([]byte(" "), size-2)...), 0o600); err != nil {
			t.Fatal(err)
		}
		want := map[bool]string{true: "h.invalid", false: "it is larger than 1048576 bytes"}[size == 1<<20]
		c.fails(1, want, "twin", "update", "d1", "--tags", "@"+file)
	}
}

func TestTwinWatch(t *testing.T) {
	c, hub := newScriptedClient(t)
	change := func(sequence, module, operation, body string) string {
		return `{"partition":"1","sequenceNumber":` + sequence + `,"offset":"4","enqueuedTime":"2026-01-31T00:49:40.000Z","body":` + body + `,"properties":{"deviceId":"d1",` +
			`"operationTimestamp":"2026-01-31T00:49:39.1234567Z","opType":"` + operation + `","hubward-updated-by":"policy a\u001bb"},"systemProperties":{},` +
			`"annotations":{"iothub-connection-device-id":"d1",` + module + `"iothub-message-source":"twinChangeEvents"}}` + "\n"
	}
	hub.answers["GET /twins/d1"] = scriptedTwin
	hub.answers["GET /$hubward/events"] = "200 " +
		change("4", "", "updateTwin", `{"version":5,"tags":{"room":"\u001b<"},"properties":{"desired":{"n":9007199254740993,"gone":null,"$metadata":{},"$version":3}}}`) +
		change("5", `"iothub-connection-module-id":"m1",`, "updateTwin", `{"version":3,"properties":{"reported":{"a":1,"$version":2}}}`) +
		change("6", "", "replaceTwin", `{"deviceId":"d1","version":6,"tags":{},"properties":{"desired":{"$version":4},"reported":{"$version":1}}}`)
	want := `2026-01-31T00:49:39.123Z  d1  updated by policy a\u001bb, version 5
    tags: {"room":"\u001b<"}
    desired (version 3): {"gone":null,"n":9007199254740993}
2026-01-31T00:49:39.123Z  d1  replaced by policy a\u001bb, version 6
    tags: {}
    desired (version 4): {}
    reported (version 1): {}
`
	if diff := cmp.Diff(want, c.ok("twin", "watch", "d1", "--from", "earliest", "--count", "2")); diff != "" {
		t.Error(diff)
	}
	if want := "device=d1&endpoint=hub-events&from=earliest&source=twinChangeEvents"; hub.query != want {
		t.Errorf("query %s, want %s", hub.query, want)
	}
	out := c.ok("twin", "watch", "d1", "--count", "1", "-o", "json")
	if e := fromJSON[struct{ SequenceNumber int }](t, out); e.SequenceNumber != 4 || strings.Contains(out, "\x1b") {
		t.Errorf("-o json prints %q", out)
	}
	status, stdout, stderr := runLine(t, c.env, "twin", "watch", "d1", "--module", "m1", "--count", "1")
	if status != 0 || stderr != "hubward: warning: there is no d1/m1 now\n" || !strings.HasSuffix(stdout, "  d1/m1  updated by policy a\\u001bb, version 3\n    reported (version 2): {\"a\":1}\n") {
		t.Errorf("status %d, stderr %q\n%s", status, stderr, stdout)
	}
}
