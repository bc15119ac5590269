package cli_test

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/cli"
)

// simulated is a simulate command that runs until stop is called.
type simulated struct {
	c    *client
	out  *lockedBuffer
	errs *lockedBuffer
	stop func() (status int)
}

func (c *client) simulate(args ...string) *simulated {
	ctx, interrupt := context.WithCancel(c.t.Context())
	s := &simulated{c: c, out: new(lockedBuffer), errs: new(lockedBuffer)}
	status := make(chan int, 1)
	go func() {
		env := cli.Env{Stdout: s.out, Stderr: s.errs, Getenv: func(name string) string { return c.env[name] }}
		status <- cli.Main(ctx, env, append([]string{"simulate", "d1"}, args...))
	}()
	stopped := false
	s.stop = func() int {
		if stopped {
			return 0
		}
		stopped = true
		interrupt()
		return <-status
	}
	c.t.Cleanup(func() { s.stop() })
	return s
}

// reported waits until the twin reports what match accepts.
func (s *simulated) reported(match func(reported map[string]any) bool) {
	s.c.t.Helper()
	var reported map[string]any
	for range 2000 { // each asks the hub
		twin := fromJSON[hubward.Twin](s.c.t, s.c.ok("twin", "show", "d1", "-o", "json"))
		reported = nil
		if err := hubward.DecodeSection(twin.Properties.Reported, &reported); err != nil {
			s.c.t.Fatal(err)
		}
		if match(reported) {
			return
		}
	}
	s.c.t.Fatalf("the device reports %v; it says %s", reported, s.errs)
}

func interval(value, ac, av string) func(map[string]any) bool {
	return func(reported map[string]any) bool {
		ack, _ := reported["interval"].(map[string]any)
		return ack["value"] == json.Number(value) && ack["ac"] == json.Number(ac) && ack["av"] == json.Number(av)
	}
}

func TestSimulate_keepsATwinAndAnswersMethods(t *testing.T) {
	for _, protocol := range []string{"mqtt", "amqp-ws"} {
		t.Run(protocol, func(t *testing.T) {
			c := newClient(t)
			c.ok("device", "create", "d1")
			s := c.simulate(append([]string{"--interval", "1h"}, c.as(protocol)...)...)
			s.reported(interval("3600", "203", "0"))
			s.reported(func(reported map[string]any) bool { return reported["firmware"] != "" })

			c.ok("twin", "update", "d1", "--desired", `{"interval":0.01}`)
			s.reported(interval("0.01", "200", "2"))
			c.ok("monitor", "--from", "earliest", "--count", "5") // it sends more often
			c.ok("twin", "update", "d1", "--desired", `{"interval":"fast"}`)
			s.reported(interval("0.01", "400", "3"))
			c.ok("twin", "update", "d1", "--desired", `{"interval":null}`)
			s.reported(interval("3600", "203", "0"))
			c.ok("twin", "update", "d1", "--desired", `{"colour":"red"}`)

			for _, row := range []struct{ name, payload, want string }{
				{"setInterval", "1800", `{"interval":1800}`},
				{"setInterval", `{"interval":2.5}`, `{"interval":2.5}`},
				{"setInterval", `"soon"`, `{"error":"the interval has to be a number of seconds"}`},
				{"setInterval", `0`, `{"error":"the interval has to be 0.001 to 86400 seconds"}`},
				{"setInterval", `86401`, `{"error":"the interval has to be 0.001 to 86400 seconds"}`},
				{"reboot", ``, `{"lastReboot":"20`},
				{"dance", `1`, `{"error":"there is no method \"dance\", only reboot and setInterval"}`},
			} {
				args := []string{"method", "invoke", "d1", row.name, "-o", "json"}
				if row.payload != "" {
					args = append(args, "--payload", row.payload)
				}
				if _, out, stderr := runLine(t, c.env, args...); !strings.Contains(out, `"payload":`+row.want) {
					t.Errorf("%s %s: %s%s", row.name, row.payload, out, stderr)
				}
			}
			s.reported(interval("2.5", "200", "5"))
			s.reported(func(reported map[string]any) bool { return reported["lastReboot"] != nil })
			if status := s.stop(); status != 0 || !strings.HasPrefix(s.out.String(), "sent ") {
				t.Errorf("status %d, %s", status, s.out)
			}
			for _, line := range []string{
				`interval 10ms, acknowledged with 200 \(desired\)`,
				`interval 10ms, acknowledged with 400 \(the interval has to be a number of seconds\)`,
				`interval 1h0m0s, as started: none is desired`,
				`desired properties changed, version 5`,
				`method setInterval: 200`,
				`method setInterval: 400`,
				`method reboot: 200`,
				`method dance: 501`,
			} {
				if !regexp.MustCompile(`(?m)^hubward: ` + line + `$`).MatchString(s.errs.String()) {
					t.Errorf("no line %s among\n%s", line, s.errs)
				}
			}
		})
	}
}
