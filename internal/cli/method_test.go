package cli_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hubward/hubward/internal/cli"
)

func TestMethodInvoke(t *testing.T) {
	c, hub := newScriptedClient(t)
	const call = "POST /twins/d1/methods"
	for _, test := range []struct{ args, answer, wantSent, wantPrinted, wantError string }{
		{
			`invoke d1 stop`, `{"status":200,"payload":null}`,
			`{"methodName":"stop","responseTimeoutInSeconds":30}`, "status:  200\nnull\n", "",
		},
		{
			`invoke d1 fan*start --payload {"speed":1.0} --timeout 1m --connect-timeout 20s`, `{"status":399,"payload":{"by":"a\u001b<","n":9007199254740993}}`,
			`{"methodName":"fan*start","payload":{"speed":1.0},"responseTimeoutInSeconds":60,"connectTimeoutInSeconds":20}`,
			"status:  399\n{\n  \"by\": \"a\\u001b<\",\n  \"n\": 9007199254740993\n}\n", "",
		},
		{
			`invoke d1 stop --payload - --timeout 5s -o json`, `{"status":0,"payload":"done"}`,
			`{"methodName":"stop","payload":"from stdin","responseTimeoutInSeconds":5}`, `{"status":0,"payload":"done"}` + "\n", "",
		},
		{
			`invoke d1 stop --payload null --timeout 300s`, `{"status":400,"payload":{}}`,
			`{"methodName":"stop","payload":null,"responseTimeoutInSeconds":300}`, "status:  400\n{}\n", "hubward: d1 answered stop with status 400\n",
		},
		{
			`invoke d1 stop`, `{"status":500}`, // without a payload
			`{"methodName":"stop","responseTimeoutInSeconds":30}`, "status:  500\nnull\n", "hubward: d1 answered stop with status 500\n",
		},
	} {
		hub.answers[call] = "200 " + test.answer
		var out, errs bytes.Buffer
		env := cli.Env{Stdin: strings.NewReader("\"from stdin\"\n"), Stdout: &out, Stderr: &errs, Getenv: func(name string) string { return c.env[name] }}
		status := cli.Main(t.Context(), env, append([]string{"method"}, strings.Fields(test.args)...))
		if (status != 0) != (test.wantError != "") || out.String() != test.wantPrinted || errs.String() != test.wantError {
			t.Errorf("%s: status %d, printed %q and %q, want %q and %q", test.args, status, &out, &errs, test.wantPrinted, test.wantError)
		}
		if hub.bodies[call] != test.wantSent {
			t.Errorf("%s: sent %s, want %s", test.args, hub.bodies[call], test.wantSent)
		}
	}
	hub.answers["POST /twins/d1/modules/m1/methods"] = `200 {"status":200,"payload":1}`
	if out := c.ok("method", "invoke", "d1", "stop", "--module", "m1"); out != "status:  200\n1\n" {
		t.Errorf("it prints %q", out)
	}
}

func TestMethodInvoke_errors(t *testing.T) {
	c, hub := newScriptedClient(t)
	nested := func(code string) string {
		return `{"Message":"{\"errorCode\":` + code + `,\"trackingId\":\"1\",\"message\":\"It did not work.\",\"timestampUtc\":\"\"}","ExceptionMessage":""}`
	}
	for answer, want := range map[string]string{
		"404 " + nested("404103"): "hubward: DeviceNotOnline (d1): It did not work: the device is not connected, or takes no methods: hubward device show tells which, --connect-timeout waits for it\n",
		"504 " + nested("504101"): "hubward: GatewayTimeout (d1): It did not work: it may have done what was asked; --timeout gives it longer\n",
		"404 " + nested("404104"): "hubward: DeviceConnectionClosedRemotely (d1): It did not work.\n",
	} {
		hub.answers["POST /twins/d1/methods"] = answer
		if status, stdout, stderr := runLine(t, c.env, "method", "invoke", "d1", "stop"); status != 1 || stdout != "" || stderr != want {
			t.Errorf("status %d, %q and %q, want %q", status, stdout, stderr, want)
		}
	}
}

func TestMethod_wrongUsage(t *testing.T) {
	c := &client{t: t, env: map[string]string{}}
	for _, test := range []struct{ args, want string }{
		{"invoke d1", "NAME is missing"},
		{"invoke /b stop", "no device id"},
		{"invoke d1 stop --module /b", "--module"},
		{"invoke d1 stop --payload {", "--payload: no JSON"},
		{"invoke d1 stop --payload text", "--payload: no JSON: invalid character 'e' in literal true"},
		{"invoke d1 stop --timeout 4s", "--timeout is 5s to 5m0s"},
		{"invoke d1 stop --timeout 301s", "--timeout is 5s to 5m0s"},
		{"invoke d1 stop --timeout 5500ms", "in whole seconds, not 5.5s"},
		{"invoke d1 stop --connect-timeout -1s", "--connect-timeout is 0s to 5m0s"},
		{"invoke d1 stop --connect-timeout 301s --timeout 300s", "--connect-timeout is 0s to 5m0s"},
		{"invoke d1 stop --connect-timeout 31s", "--connect-timeout 31s is longer than --timeout, which is 30s"},
	} {
		c.fails(2, test.want, append([]string{"method"}, strings.Fields(test.args)...)...)
	}
}
