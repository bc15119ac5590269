//go:build interop

package interop_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// event is what a reader shows of one event of the Event-Hubs-compatible endpoint.
type event struct {
	Partition       string            `json:"partition"`
	Sequence        int64             `json:"sequence"`
	Offset          string            `json:"offset"`
	Enqueued        int64             `json:"enqueued"` // ms since 1970
	Device          string            `json:"device"`
	Body            string            `json:"body"`
	MessageID       string            `json:"messageId"`
	CorrelationID   string            `json:"correlationId"`
	ContentType     string            `json:"contentType"`
	ContentEncoding string            `json:"contentEncoding"`
	Properties      map[string]string `json:"properties"`
	System          stamps            `json:"system"`
}

// stamps are the iothub-* annotations of an event. A time is in ms since 1970, in decimal.
type stamps map[string]string

// UnmarshalJSON reads an object of strings and numbers.
func (s *stamps) UnmarshalJSON(text []byte) error {
	var values map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&values); err != nil {
		return err
	}
	*s = stamps{}
	for name, value := range values {
		(*s)[name] = fmt.Sprint(value)
	}
	return nil
}

// readerError is an error that an SDK has reported: its name for it, and its text.
type readerError struct{ name, text string }

// eventReader is an open reader of all partitions.
type eventReader interface {
	Ready() <-chan struct{}     // closed when all partitions are open and in position
	Events() <-chan event       // closed when the reader has ended
	Errors() <-chan readerError // what the SDK reports; the reader goes on unless an error ends it
	Stop() error                // ends the reader; an error tells why it had ended before, or ended badly
}

// readOptions say what a reader reads.
type readOptions struct {
	group     string            // the consumer group
	start     string            // earliest, latest, offset, sequence or time; empty: earliest
	positions map[string]string // for offset and sequence: by partition; those not named are read from the earliest
	time      int64             // for time: ms since 1970
	inclusive bool              // the event at the position, too
	level     string            // an exclusive reader's owner level; empty: one of several readers
	key       string            // of the policy; empty: the one in the connection strings
}

// start is one way to say where to start, and what the rest of the tests call it.
type start struct {
	kind      string
	inclusive bool
}

func (s start) String() string {
	if s.inclusive {
		return s.kind + " inclusive"
	}
	return s.kind
}

// reader is one client of the endpoint: an SDK on one transport.
type reader struct {
	name   string
	open   func(t *testing.T, o readOptions) eventReader
	starts []start // the positions to try with it
	// exclusive says that the SDK knows owner levels.
	exclusive bool
	// restarts says what the SDK does by itself when the hub comes back.
	restarts restart
	// names are the SDK's names for its errors, by what has happened.
	names map[refusal]string
	// info asks for the properties of the event hub. It is nil when another reader asks the same way.
	info func(t *testing.T) hubInfo
}

// restart is what an SDK does when its hub comes back after a restart.
type restart int

const (
	goesOn    restart = iota // it reads on after the last event it has seen
	mayGoBack                // it reads on, or again from where it had started
	staysAway                // it says nothing and reads nothing, and its user has to open it again
)

// refusal is a cause of an error that the SDKs have names for.
type refusal string

const (
	wrongKey    refusal = "wrong key"
	noGroup     refusal = "consumer group that is not there"
	displaced   refusal = "displaced by an exclusive reader"
	excluded    refusal = "an exclusive reader is there"
	outranked   refusal = "an exclusive reader of a higher level is there"
	crowded     refusal = "five readers are there"
	noPartition refusal = "partition that is not there"
)

// readers lists the clients that every journey is made with.
func readers() []reader {
	return slices.Concat(nodeReaders(), pythonReaders(), goReaders(), javaReaders())
}

// eachReader makes a journey with all readers at once.
func eachReader(t *testing.T, journey func(t *testing.T, r reader)) {
	runTogether(t, readers(), journey)
}

// runTogether makes a journey with some readers at once, whatever -parallel says: they mostly wait.
func runTogether(t *testing.T, rs []reader, journey func(t *testing.T, r reader)) {
	var all sync.WaitGroup
	for _, r := range rs {
		all.Go(func() { t.Run(r.name, func(t *testing.T) { journey(t, r) }) })
	}
	all.Wait()
}

// program returns the open function of a reader that is a program of that family; vars are what tells it apart.
func (s sdk) program(name string, fixed map[string]string) func(*testing.T, readOptions) eventReader {
	return s.programWith(name, fixed)
}

// programWith is program for one that takes arguments.
func (s sdk) programWith(name string, fixed map[string]string, args ...string) func(*testing.T, readOptions) eventReader {
	return func(t *testing.T, o readOptions) eventReader {
		t.Helper()
		vars := map[string]string{
			"CONSUMER_GROUP": o.group, "START": o.start, "OWNER_LEVEL": o.level, "TRANSPORT": fixed["TRANSPORT"], "TRACK": fixed["TRACK"],
			"EVENTHUB_CONNECTION_STRING": endpointString(t, "HUBWARD_EVENTHUB_CONNECTION_STRING", o.key),
		}
		if fixed["TRANSPORT"] == "plain" {
			vars["EVENTHUB_CONNECTION_STRING"] = endpointString(t, "HUBWARD_EMULATOR_CONNECTION_STRING", o.key)
		}
		if fixed["BY"] == "hub" {
			vars["HUB_CONNECTION_STRING"] = endpointString(t, "HUBWARD_CONNECTION_STRING", o.key)
		}
		if o.inclusive {
			vars["INCLUSIVE"] = "1"
		}
		switch o.start {
		case "time":
			vars["POSITIONS"] = strconv.FormatInt(o.time, 10)
		case "offset", "sequence":
			vars["POSITIONS"] = asJSON(t, o.positions)
		}
		r := &programReader{
			client: s.start(t, name, vars, args...), ready: make(chan struct{}), done: make(chan struct{}),
			events: make(chan event, 1<<14), errs: make(chan readerError, 1024),
		}
		go r.follow()
		return r
	}
}

// endpointString returns a connection string that serve left for scripts, with another key when that is not empty.
func endpointString(t *testing.T, name, key string) string {
	t.Helper()
	text := connectionString(t, name)
	if key == "" {
		return text
	}
	fields := strings.Split(text, ";")
	for i, field := range fields {
		if strings.HasPrefix(field, "SharedAccessKey=") {
			fields[i] = "SharedAccessKey=" + key
		}
	}
	return strings.Join(fields, ";")
}

// programReader is an eventReader that is a program (node/reader.js tells its lines).
type programReader struct {
	client *client
	ready  chan struct{}
	events chan event
	errs   chan readerError
	done   chan struct{} // closed when the program has ended and bad is set
	bad    error
}

func (r *programReader) Ready() <-chan struct{}     { return r.ready }
func (r *programReader) Events() <-chan event       { return r.events }
func (r *programReader) Errors() <-chan readerError { return r.errs }

// follow takes the program's lines until it ends.
func (r *programReader) follow() {
	defer close(r.done)
	defer close(r.events)
	for line := range r.client.lines {
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "ready":
			close(r.ready)
		case "event":
			var e event
			if err := json.Unmarshal([]byte(rest), &e); err != nil {
				r.bad = fmt.Errorf("%w in the line %.500q", err, line)
				continue
			}
			r.events <- e
		case "error":
			name, text, _ := strings.Cut(rest, " ")
			select {
			case r.errs <- readerError{name, text}:
			default: // the first thousand are enough
			}
		}
	}
}

// Stop closes the program's standard input and waits for its end.
func (r *programReader) Stop() error {
	if err := r.client.stdin.Close(); err != nil {
		return err
	}
	go func() {
		for range r.events { // what nobody is going to look at must not hold up the program
		}
	}()
	<-r.done
	if err := r.client.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w\n%s", r.client.program(), err, r.client.stderr.String())
	}
	return r.bad
}

// readerWithin bounds each step of a journey: a reader opening, the next event, an error that has to come.
const readerWithin = 60 * time.Second

// waitReady returns when the reader is in position. An error before that, or its end, is a failure.
func waitReady(r eventReader) error {
	select {
	case <-r.Ready():
		return nil
	case e := <-r.Errors():
		return fmt.Errorf("the reader did not open: %s: %s", e.name, e.text)
	case <-time.After(readerWithin):
		return fmt.Errorf("the reader was not ready after %s", readerWithin)
	}
}

// nextEvent returns the next event.
func nextEvent(r eventReader) (event, error) {
	select {
	case e, ok := <-r.Events():
		if ok {
			return e, nil
		}
		return event{}, fmt.Errorf("the reader ended: %w", r.Stop())
	case <-time.After(readerWithin):
		return event{}, fmt.Errorf("no event came for %s; %s", readerWithin, reported(r))
	}
}

// reported tells the errors that the SDK has reported and nobody has looked at.
func reported(r eventReader) string {
	var text strings.Builder
	for {
		select {
		case e := <-r.Errors():
			fmt.Fprintf(&text, "%s: %s\n", e.name, e.text)
		default:
			return "the SDK reported: " + text.String()
		}
	}
}

// wantError waits for the next error that the SDK reports, which must have the name that the table has for it.
func wantError(t *testing.T, r reader, open eventReader, why refusal) {
	t.Helper()
	select {
	case e := <-open.Errors():
		t.Logf("%s: %s: %s", why, e.name, e.text)
		if want := r.names[why]; e.name != want {
			t.Errorf("%s: the SDK reports %q, want %q (%s)", why, e.name, want, e.text)
		}
	case <-time.After(readerWithin):
		t.Errorf("%s: the SDK reported no error for %s", why, readerWithin)
	}
}

// stopReader ends a reader at the end of a journey.
func stopReader(t *testing.T, r eventReader) {
	t.Helper()
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
}
