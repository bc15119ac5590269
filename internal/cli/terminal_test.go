package cli_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/hubward/hubward/internal/cli"
)

// answers runs a command line at a terminal where somebody types text.
func (c *client) answers(text string, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	env := cli.Env{
		Stdin: strings.NewReader(text), Stdout: &out, Stderr: &errs, Interactive: true,
		Getenv: func(name string) string { return c.env[name] },
	}
	status = cli.Main(c.t.Context(), env, args)
	return status, out.String(), errs.String()
}

func TestHubDelete_asksFirst(t *testing.T) {
	c := newClient(t)
	c.ok("hub", "create", "two")
	c.fails(2, "say --yes", "hub", "delete", "two") // nobody to ask
	for _, answer := range []string{"y\n", "tw\n", "\n", ""} {
		status, stdout, stderr := c.answers(answer, "hub", "delete", "two")
		if status != 1 || stdout != "" || !strings.Contains(stderr, "nothing was deleted") {
			t.Errorf("the answer %q: status %d, %s, %s", answer, status, stdout, stderr)
		}
	}
	c.ok("hub", "show", "two")
	status, stdout, stderr := c.answers("two\n", "hub", "delete", "two")
	if status != 0 || stdout != "deleted hub two\n" || !strings.Contains(stderr, "devices, policies and telemetry") {
		t.Errorf("status %d, %s, %s", status, stdout, stderr)
	}
	c.fails(1, "hubward hub list shows the hubs", "hub", "delete", "two", "--yes")
	c.ok("hub", "create", "three")
	if out := c.ok("hub", "delete", "three", "-y", "-o", "json"); out != `{"deleted":true,"name":"three"}`+"\n" {
		t.Errorf("it prints %s", out)
	}
}

func TestHubDelete_interruptedQuestion(t *testing.T) {
	c := newClient(t)
	c.ok("hub", "create", "two")
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	in, typing := io.Pipe()
	defer typing.Close()
	errs := &onWrite{contains: "Type two", do: interrupt}
	env := cli.Env{Stdin: in, Stdout: io.Discard, Stderr: errs, Interactive: true, Getenv: func(name string) string { return c.env[name] }}
	if status := cli.Main(ctx, env, []string{"hub", "delete", "two"}); status != 1 || !strings.Contains(errs.String(), "nothing was deleted: interrupted") {
		t.Errorf("status %d, %s", status, errs)
	}
	c.ok("hub", "show", "two")
}

// onWrite calls do when something that contains a text is written to it.
type onWrite struct {
	lockedBuffer
	contains string
	do       func()
}

func (w *onWrite) Write(p []byte) (int, error) {
	n, err := w.lockedBuffer.Write(p)
	if strings.Contains(string(p), w.contains) {
		w.do()
	}
	return n, err
}

func TestDeletes_sayWhatIsGone(t *testing.T) {
	c := newClient(t)
	for _, id := range []string{"d1", "d2", "d3"} {
		c.ok("device", "create", id)
	}
	if out := c.ok("device", "delete", "d1", "d2"); out != "deleted device d1\ndeleted device d2\n" {
		t.Errorf("device delete prints\n%s", out)
	}
	if out := c.ok("device", "delete", "d3", "-o", "json"); out != `{"deleted":true,"deviceId":"d3"}`+"\n" {
		t.Errorf("device delete prints\n%s", out)
	}
	c.ok("policy", "create", "p", "--permissions", "RegistryRead")
	if out := c.ok("policy", "delete", "p"); out != "deleted policy p\n" {
		t.Errorf("policy delete prints\n%s", out)
	}
	c.ok("consumer-group", "create", "g")
	if out := c.ok("consumer-group", "delete", "g", "-o", "json"); out != `{"deleted":true,"name":"g"}`+"\n" {
		t.Errorf("consumer-group delete prints\n%s", out)
	}
}

// The null device is a character device as a terminal is, and nobody sits there.
func TestInteractive_isATerminal(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if cli.Interactive(null, null) {
		t.Error("the null device is taken for a terminal")
	}
}
