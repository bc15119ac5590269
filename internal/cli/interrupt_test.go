package cli_test

import (
	"context"
	"strings"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/cli"
)

// interruptAt runs a command line that is interrupted when it prints text, on standard error or else on standard output.
func (c *client) interruptAt(text string, onStderr bool, args ...string) (status int, stdout, stderr string) {
	ctx, interrupt := context.WithCancel(c.t.Context())
	defer interrupt()
	var out, errs onWrite
	at := &out
	if onStderr {
		at = &errs
	}
	out.do, errs.do = func() {}, func() {}
	at.contains, at.do = text, interrupt
	status = cli.Main(ctx, cli.Env{Stdout: &out, Stderr: &errs, Getenv: func(name string) string { return c.env[name] }}, args)
	return status, out.String(), errs.String()
}

// Ctrl-C ends a command that goes on until then. One that was to do a number of things has not done them.
func TestInterrupt_beforeTheCountIsReached(t *testing.T) {
	c := newClient(t)
	send := sender(t, c.hub, "d1")
	send(hubward.Message{Body: []byte("event one")})
	c.ok("device", "create", "d2")
	c.ok("c2d", "send", "d2", "--body", "message one")
	for _, test := range []struct {
		args string
		at   string // printed on standard output
		want string
	}{
		{"monitor --from earliest --count 3", "event one", "interrupted after 1 of 3 events"},
		{"c2d receive d2 --count 3", "message one", "interrupted after 1 of 3 messages"},
		{"feedback --count 2", "d3", "interrupted after 1 of 2 records"},
	} {
		if strings.HasPrefix(test.args, "feedback") {
			c.ok("device", "create", "d3")
			c.ok("c2d", "send", "d3", "--body", "x", "--ack", "full")
			c.ok("c2d", "receive", "d3", "--count", "1")
		}
		status, stdout, stderr := c.interruptAt(test.at, false, strings.Fields(test.args)...)
		if status != 1 || !strings.Contains(stderr, "hubward: "+test.want) {
			t.Errorf("%s: status %d, %s%s", test.args, status, stdout, stderr)
		}
	}
	status, _, stderr := c.interruptAt("event one", false, "monitor", "--from", "earliest")
	if status != 0 || stderr != "" {
		t.Errorf("without a count: status %d, %s", status, stderr)
	}
}

func TestSimulate_interruptedBeforeTheCount(t *testing.T) {
	c := newClient(t)
	c.ok("device", "create", "d1")
	// The first message is acknowledged within the time to the second, which would come in an hour.
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out, errs := new(lockedBuffer), new(lockedBuffer)
	status := make(chan int, 1)
	go func() {
		env := cli.Env{Stdout: out, Stderr: errs, Getenv: func(name string) string { return c.env[name] }}
		status <- cli.Main(ctx, env, []string{"simulate", "d1", "--count", "2", "--interval", "1h", "--mqtts", c.hub.MQTT})
	}()
	c.ok("monitor", "--from", "earliest", "--count", "1") // it is stored
	interrupt()
	if got := <-status; got != 1 || !strings.Contains(errs.String(), "interrupted after 1 of 2 acknowledged messages") || !strings.HasPrefix(out.String(), "sent 1, acknowledged 1,") {
		t.Errorf("status %d, %s%s", got, out, errs)
	}
}

// Messages that have not been read back yet are not lost.
func TestBenchD2C_interruptedWhileReadingBack(t *testing.T) {
	c := newClient(t)
	line := []string{"bench", "d2c", "--devices", "2", "--warm", "10ms", "--duration", "50ms", "--mqtts", c.hub.MQTT, "-o", "json"}
	status, stdout, stderr := c.interruptAt("messages back", true, line...)
	if status != 1 || strings.Contains(stderr+stdout, "lost") && !strings.Contains(stderr, "whether any is lost is not known") {
		t.Errorf("status %d, %s%s", status, stdout, stderr)
	}
	if !strings.Contains(stderr, "interrupted after reading ") {
		t.Errorf("it says %s", stderr)
	}
	report := fromJSON[struct {
		Acknowledged int
		Check        *struct{}
	}](t, stdout)
	if report.Acknowledged == 0 || report.Check != nil {
		t.Errorf("it reports %s", stdout)
	}
}

func TestBench_interruptedWhileMeasuring(t *testing.T) {
	for _, line := range []string{"bench d2c --devices 1 --warm 1h", "bench idle --devices 1 --duration 1h --pid 1"} {
		c := newClient(t)
		ctx, interrupt := context.WithCancel(t.Context())
		errs := new(lockedBuffer)
		status := make(chan int, 1)
		go func() {
			env := cli.Env{Stdout: new(lockedBuffer), Stderr: errs, Getenv: func(name string) string { return c.env[name] }}
			status <- cli.Main(ctx, env, append(strings.Fields(line), "--mqtts", c.hub.MQTT))
		}()
		eventually(t, "a connection", func() bool {
			stats, err := c.hub.App.Hub().ServiceStatistics(t.Context(), c.hub.Process())
			return err == nil && stats.ConnectedDeviceCount == 1
		})
		interrupt()
		if got := <-status; got != 1 || !strings.Contains(errs.String(), "hubward: interrupted while measuring") {
			t.Errorf("%s: status %d, %s", line, got, errs)
		}
	}
}

func TestInterrupt_inACall(t *testing.T) {
	c := newClient(t)
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	var errs lockedBuffer
	env := cli.Env{Stdout: new(lockedBuffer), Stderr: &errs, Getenv: func(name string) string { return c.env[name] }}
	if status := cli.Main(ctx, env, []string{"device", "list"}); status != 1 || errs.String() != "hubward: interrupted\n" {
		t.Errorf("status %d, %s", status, errs.String())
	}
}
