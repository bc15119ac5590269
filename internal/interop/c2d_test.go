//go:build interop

package interop_test

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubward/hubward"
)

// message is a message to a device, as its sender makes it and as an SDK shows it. node/c2d.js tells its JSON.
type message struct {
	ID              string            `json:"id,omitempty"`
	CorrelationID   string            `json:"correlationId,omitempty"`
	UserID          string            `json:"userId,omitempty"`
	To              string            `json:"to,omitempty"`
	ContentType     string            `json:"contentType,omitempty"`
	ContentEncoding string            `json:"contentEncoding,omitempty"`
	Ack             string            `json:"ack,omitempty"`
	Expiry          int64             `json:"expiry,omitempty"` // ms since 1970
	Properties      map[string]string `json:"properties,omitempty"`
	Body            string            `json:"body"`
	Dup             bool              `json:"dup,omitempty"` // shown by c2d_mqtt.js alone
}

// messageWith is a message of which only the id, what its device is to do with it and the acknowledgement matter.
func messageWith(id, outcome, ack string) message {
	m := message{ID: id, Ack: ack, Body: "message " + id}
	if outcome != "" { // a property without a value ends Java's connection over MQTT
		m.Properties = map[string]string{"outcome": outcome}
	}
	return m
}

// c2dSender is a back end that sends messages to devices. It is safe for concurrent use.
type c2dSender interface {
	// Send returns once the hub has the message, or with the error that the SDK has for its refusal.
	Send(t *testing.T, device string, m message) (refusal string)
}

// mustSend sends messages that must be taken, one after the other.
func mustSend(t *testing.T, from c2dSender, device string, messages ...message) {
	t.Helper()
	for _, m := range messages {
		if refusal := from.Send(t, device, m); refusal != "" {
			t.Fatalf("message %q to %s was refused: %s", m.ID, device, refusal)
		}
	}
}

// backEnd is a c2dSender that is a program of its own, and a listener for feedback if that was asked for.
type backEnd struct {
	client   *client
	ready    chan struct{}
	done     chan struct{}           // closed when the program has ended
	feedback chan []hubward.Feedback // one feedback message each
	mu       sync.Mutex              // guards the fields below, and writes
	waiting  []chan string           // by command: its outcome
}

// openBackEnd starts a program that sends messages, or with feedback hears of outcomes, or both. It ends with the test.
func (s sdk) openBackEnd(t *testing.T, program string, vars map[string]string, args ...string) *backEnd {
	t.Helper()
	vars["HUB_CONNECTION_STRING"] = connectionString(t, "HUBWARD_CONNECTION_STRING")
	b := &backEnd{
		client: s.start(t, program, vars, args...), ready: make(chan struct{}), done: make(chan struct{}),
		feedback: make(chan []hubward.Feedback, 1024),
	}
	go b.follow()
	select {
	case <-b.ready:
	case <-b.done:
		t.Fatalf("%s ended before it was ready:\n%s", program, b.client.stderr.String())
	}
	t.Cleanup(func() {
		if t.Failed() {
			return // the program is abandoned
		}
		b.client.stop()
		<-b.done
		if err := b.client.cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", program, err, b.client.stderr.String())
		}
	})
	return b
}

// follow takes the program's lines until it ends.
func (b *backEnd) follow() {
	defer close(b.done)
	defer close(b.feedback)
	for line := range b.client.lines {
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "ready":
			close(b.ready)
		case "sent", "refused":
			number, refusal, _ := strings.Cut(rest, " ")
			if n, err := strconv.Atoi(number); err == nil {
				b.mu.Lock()
				b.waiting[n] <- refusal
				b.mu.Unlock()
			}
		case "feedback":
			var records []hubward.Feedback
			if err := json.Unmarshal([]byte(rest), &records); err != nil {
				records = []hubward.Feedback{{Description: fmt.Sprintf("%v in %.300q", err, rest)}}
			}
			b.feedback <- records
		}
	}
}

// Send implements c2dSender.
func (b *backEnd) Send(t *testing.T, device string, m message) string {
	t.Helper()
	answer := make(chan string, 1)
	b.mu.Lock()
	command := asJSON(t, map[string]any{"n": len(b.waiting), "device": device, "message": m})
	b.waiting = append(b.waiting, answer)
	_, err := io.WriteString(b.client.stdin, command+"\n")
	b.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	select {
	case refusal := <-answer:
		return refusal
	case <-b.done:
		t.Fatalf("%s ended:\n%s", b.client.program(), b.client.stderr.String())
	case <-time.After(readerWithin):
		t.Fatalf("%s: no word of message %q to %s for %s", b.client.program(), m.ID, device, readerWithin)
	}
	return ""
}

// nextFeedback returns the next feedback message.
func (b *backEnd) nextFeedback(t *testing.T) []hubward.Feedback {
	t.Helper()
	select {
	case records, ok := <-b.feedback:
		if !ok {
			t.Fatalf("%s ended:\n%s", b.client.program(), b.client.stderr.String())
		}
		return records
	case <-time.After(readerWithin):
		t.Fatalf("%s: no feedback for %s", b.client.program(), readerWithin)
	}
	return nil
}

// receiving is an SDK of a device on one transport.
type receiving struct {
	sdk, name string
	vars      map[string]string
	args      []string
}

// receivers lists the clients that receive messages to devices.
func receivers() []receiving {
	var list []receiving
	for _, transport := range []string{"mqtt", "mqtt-ws", "amqp", "amqp-ws", "http"} {
		list = append(list, receiving{sdk: "node", name: transport, vars: map[string]string{"TRANSPORT": transport}})
	}
	for _, transport := range []string{"mqtt", "mqtt-ws", "amqp", "amqp-ws", "http"} {
		list = append(list, receiving{sdk: "java", name: transport, vars: map[string]string{"TRANSPORT": transport}})
	}
	return append(list,
		receiving{sdk: "python", name: "sync", args: []string{"sync"}},
		receiving{sdk: "python", name: "aio", args: []string{"aio"}},
		receiving{sdk: "python", name: "aio-ws", vars: map[string]string{"TRANSPORT": "mqtt-ws"}, args: []string{"aio"}},
	)
}

// rejects reports whether the SDK can do more than complete a message.
func (r receiving) rejects() bool { return r.sdk != "python" && !strings.HasPrefix(r.name, "mqtt") }

// anyOrder reports whether the SDK shows messages in any order: the calls of Node's polls overlap, and a Python function
// is called by a pool of threads.
func (r receiving) anyOrder() bool {
	return r.String() == "node-http" || r.sdk == "python" && r.args[0] == "sync"
}

func (r receiving) String() string { return r.sdk + "-" + r.name }

// receivingAs returns the client of that name.
func receivingAs(t *testing.T, name string) receiving {
	t.Helper()
	all := receivers()
	i := slices.IndexFunc(all, func(r receiving) bool { return r.String() == name })
	if i < 0 {
		t.Fatalf("there is no client %q", name)
	}
	return all[i]
}

// open starts the client; more are further variables of its environment.
func (r receiving) open(t *testing.T, cs string, more ...string) *client {
	t.Helper()
	vars := map[string]string{"DEVICE_CONNECTION_STRING": cs}
	for name, value := range r.vars {
		vars[name] = value
	}
	for _, text := range more {
		name, value, _ := strings.Cut(text, "=")
		vars[name] = value
	}
	return familyOf(t, r.sdk).start(t, "c2d_device", vars, r.args...)
}

func familyOf(t *testing.T, name string) sdk {
	t.Helper()
	if s := familyByName(name); s.name == name {
		return s
	}
	t.Fatalf("there is no family %q", name)
	return sdk{}
}

// nextMessage returns the next delivery that a device shows.
func (c *client) nextMessage() message {
	c.t.Helper()
	var m message
	decode(c.t, c.waitFor("message "), &m)
	return m
}

// wantMessages waits for deliveries of these ids, in order, and of no others.
func (c *client) wantMessages(ids ...string) {
	c.t.Helper()
	for _, id := range ids {
		if got := c.nextMessage(); got.ID != id {
			c.t.Fatalf("%s was handed %q, want %q", c.program(), got.ID, id)
		}
	}
}

// together makes a journey with some clients at once.
func together(t *testing.T, all []receiving, journey func(t *testing.T, r receiving)) {
	var group sync.WaitGroup
	for _, r := range all {
		group.Go(func() { t.Run(r.String(), func(t *testing.T) { journey(t, r) }) })
	}
	group.Wait()
}
