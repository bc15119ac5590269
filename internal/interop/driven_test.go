//go:build interop

package interop_test

import (
	"encoding/json"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// driven is a program that does what it is told, a device or a back end; node/driven_device.js tells of its lines. It is
// safe for concurrent use.
type driven struct {
	client  *client
	ready   chan struct{}
	done    chan struct{}        // closed when the program has ended
	desired chan json.RawMessage // what a device is told of its desired properties
	calls   chan methodCall      // that a device was asked for
	mu      sync.Mutex           // guards the fields below, and writes
	waiting []chan outcome       // by command
}

// outcome is how a command ended.
type outcome struct {
	result  json.RawMessage
	failure *failure // nil: none
}

// failure is an error of an SDK, by its own name. A device has no status and no code, a back end no message.
type failure struct {
	Name    string `json:"name"`
	Message string `json:"message"`
	Status  int    `json:"status"`
	Code    string `json:"code"`
}

// methodCall is a direct method as a device is asked for it.
type methodCall struct {
	Method  string          `json:"method"`
	Payload json.RawMessage `json:"payload"`
}

// openDrivenService starts a family's back end. It ends with the test.
func (s sdk) openDrivenService(t *testing.T) *driven {
	t.Helper()
	return s.openDriven(t, "driven_service", map[string]string{"HUB_CONNECTION_STRING": connectionString(t, "HUBWARD_CONNECTION_STRING")})
}

// openDrivenDevice starts a device; more are further variables of its environment. It ends with the test.
func (r receiving) openDrivenDevice(t *testing.T, cs string, more ...string) *driven {
	t.Helper()
	vars := map[string]string{"DEVICE_CONNECTION_STRING": cs}
	for name, value := range r.vars {
		vars[name] = value
	}
	for _, text := range more {
		name, value, _ := strings.Cut(text, "=")
		vars[name] = value
	}
	return familyOf(t, r.sdk).openDriven(t, "driven_device", vars)
}

func (s sdk) openDriven(t *testing.T, program string, vars map[string]string) *driven {
	t.Helper()
	d := &driven{
		client: s.start(t, program, vars), ready: make(chan struct{}), done: make(chan struct{}),
		desired: make(chan json.RawMessage, 1024), calls: make(chan methodCall, 1024),
	}
	go d.follow()
	select {
	case <-d.ready:
	case <-d.done:
		t.Fatalf("%s ended before it was ready:\n%s", program, d.client.stderr.String())
	}
	t.Cleanup(func() {
		if t.Failed() {
			return // the program is abandoned
		}
		d.client.stop()
		<-d.done
		if err := d.client.cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", program, err, d.client.stderr.String())
		}
	})
	return d
}

// follow takes the program's lines until it ends.
func (d *driven) follow() {
	defer close(d.done)
	for line := range d.client.lines {
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "ready":
			close(d.ready)
		case "desired":
			d.desired <- json.RawMessage(rest)
		case "call":
			var call methodCall
			if err := json.Unmarshal([]byte(rest), &call); err != nil {
				call.Method = err.Error()
			}
			d.calls <- call
		case "done", "failed":
			d.answer(verb, rest)
		}
	}
}

func (d *driven) answer(verb, line string) {
	number, text, _ := strings.Cut(line, " ")
	n, err := strconv.Atoi(number)
	if err != nil {
		return // no command is without a number: who waits for it tells
	}
	o := outcome{result: json.RawMessage(text)}
	if verb == "failed" {
		o.failure = &failure{}
		if err := json.Unmarshal(o.result, o.failure); err != nil {
			o.failure.Name = err.Error()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting[n] <- o
}

// fields are those of a command, besides its number and its verb.
type fields map[string]any

// begin gives a command, and returns where its outcome comes.
func (d *driven) begin(t *testing.T, verb string, with fields) <-chan outcome {
	t.Helper()
	answer := make(chan outcome, 1)
	command := fields{"do": verb}
	for name, value := range with {
		command[name] = value
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	command["n"] = len(d.waiting)
	d.waiting = append(d.waiting, answer)
	if _, err := io.WriteString(d.client.stdin, asJSON(t, command)+"\n"); err != nil {
		t.Fatal(err)
	}
	return answer
}

// wait returns the outcome of a command.
func (d *driven) wait(t *testing.T, answer <-chan outcome, verb string) outcome {
	t.Helper()
	select {
	case o := <-answer:
		return o
	case <-d.done:
		t.Fatalf("%s ended at %q:\n%s", d.client.program(), verb, d.client.stderr.String())
	case <-time.After(readerWithin):
		t.Fatalf("%s: no end of %q for %s\n%s", d.client.program(), verb, readerWithin, d.client.stderr.String())
	}
	return outcome{}
}

// do gives a command and returns its outcome.
func (d *driven) do(t *testing.T, verb string, with fields) outcome {
	t.Helper()
	return d.wait(t, d.begin(t, verb, with), verb)
}

// must is do for what has to succeed; it returns the result.
func (d *driven) must(t *testing.T, verb string, with fields) string {
	t.Helper()
	o := d.do(t, verb, with)
	if o.failure != nil {
		t.Fatalf("%s: %q failed: %+v", d.client.program(), verb, *o.failure)
	}
	return string(o.result)
}

// mustFail is do for what has to fail.
func (d *driven) mustFail(t *testing.T, verb string, with fields) failure {
	t.Helper()
	o := d.do(t, verb, with)
	if o.failure == nil {
		t.Fatalf("%s: %q did not fail, but ended with %.300s", d.client.program(), verb, o.result)
	}
	return *o.failure
}

// value is a JSON value to compare: numbers are exact, however they are written.
func value(t *testing.T, text string) any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("%v in %.300q", err, text)
	}
	return carried("", v)
}

// number is a JSON number in the one way to write it.
type number string

// carried is what a family of SDKs makes of a value on its way: Node has nothing but float64. Of no family: the same value.
func carried(family string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		made := map[string]any{}
		for name, member := range v {
			made[name] = carried(family, member)
		}
		return made
	case []any:
		made := slices.Clone(v)
		for i := range made {
			made[i] = carried(family, made[i])
		}
		return made
	case json.Number:
		exact, ok := new(big.Rat).SetString(v.String())
		if !ok {
			return v
		}
		return carried(family, number(exact.RatString()))
	case number:
		if exact, ok := new(big.Rat).SetString(string(v)); ok && family == "node" {
			rounded, _ := exact.Float64()
			return number(new(big.Rat).SetFloat64(rounded).RatString())
		}
	}
	return v
}
