package amqpfront_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward/internal/front/amqpfront"
)

// text is a buffer for several writers.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *text) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *text) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// A trace has whole lines that name the connection, from the first byte on, and no secrets.
func TestTrace(t *testing.T) {
	var out text
	f := newFixture(t, amqpfront.Options{Trace: []string{"127.0.0.1"}, TraceTo: &out})
	p := f.owner(f.listen())
	token := f.token("service", host, time.Hour)
	if code, text := p.putToken(token); code != 200 {
		t.Fatal(code, text)
	}
	p.conn.Close()
	got := out.String()
	for _, want := range []string{"header", "sasl-init", "open", "attach", "$cbs", "transfer"} {
		if !strings.Contains(got, want) {
			t.Errorf("the trace lacks %s:\n%s", want, got)
		}
	}
	for _, line := range strings.Split(strings.TrimSuffix(got, "\n"), "\n") {
		if fields := strings.Fields(line); len(fields) < 3 || !strings.HasSuffix(fields[0], "Z") || fields[1] != "#1" {
			t.Errorf("line %q", line)
		}
	}
	if strings.Contains(got, f.policyKey("iothubowner")) || strings.Contains(got, token) {
		t.Error("the trace holds a secret")
	}
}

// SetTrace reaches connections that are open, by their container id; and it ends a trace.
func TestSetTrace(t *testing.T) {
	var out text
	f := newFixture(t, amqpfront.Options{TraceTo: &out})
	p := f.dial(f.listen(), amqp.ConnOptions{ContainerID: "EHConsumer-7"})
	p.pair("$cbs", "")
	if out.String() != "" {
		t.Error("a trace that nobody asked for")
	}
	f.server.SetTrace([]string{"EHConsumer-"})
	p.pair("$cbs", "")
	traced := out.String()
	if strings.Count(traced, "attach") != 4 {
		t.Errorf("two links were attached, and answered:\n%s", traced)
	}
	f.server.SetTrace([]string{"somebody else"})
	before := out.String()
	p.pair("$cbs", "")
	if out.String() != before {
		t.Error("the trace goes on")
	}
}

// Logs say why a log-in failed, and not with what.
func TestLogs(t *testing.T) {
	var out text
	f := newFixture(t, amqpfront.Options{Logger: slog.New(slog.NewTextHandler(&out, nil))})
	address := f.listen()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	key := f.policyKey("device")
	if _, err := newPeer(t, nc, amqp.ConnOptions{SASLType: amqp.SASLTypePlain("service", key)}); err == nil {
		t.Fatal("a wrong key is accepted")
	}
	token := f.token("service", "nowhere.example", time.Hour)
	f.dial(address, amqp.ConnOptions{}).putToken(token)
	got := out.String()
	if !strings.Contains(got, "amqp log-in refused") || !strings.Contains(got, "not the policy's") || !strings.Contains(got, "amqp token refused") {
		t.Errorf("log:\n%s", got)
	}
	if strings.Contains(got, key) || strings.Contains(got, token) || strings.Contains(got, "sig=") {
		t.Errorf("the log holds a secret:\n%s", got)
	}
}

// Shutdown tells the peers, and the server counts down.
func TestShutdown(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.owner(f.listen())
	p.mustRead(partition0, "", amqp.ReceiverOptions{})
	if n := f.server.Connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := f.server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	<-p.conn.Done()
	wantCondition(t, "the connection", p.conn.Err(), "amqp:connection:forced")
	if _, _, readers := f.observed.counts(); readers != 0 || f.server.Connections() != 0 {
		t.Errorf("%d readers, %d connections are left", readers, f.server.Connections())
	}
}
