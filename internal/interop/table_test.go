//go:build interop

package interop_test

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/childhub"
)

// cell is one way in which an SDK logs an identity in.
type cell struct {
	sdk, transport, credential string
	module                     bool
}

// What an identity logs in with.
const (
	withKey        = "key"        // tokens signed with its own key
	withPolicy     = "policy"     // a token for it that the policy device has signed
	withThumbprint = "thumbprint" // a certificate that the registry knows by its thumbprint
	withAuthority  = "authority"  // a certificate below an authority that the client sends along, below one that the hub knows
)

func (c cell) byCertificate() bool {
	return c.credential == withThumbprint || c.credential == withAuthority
}

// String is also the device's id.
func (c cell) String() string {
	kind := "device"
	if c.module {
		kind = "module"
	}
	return strings.Join([]string{"table", c.sdk, c.transport, c.credential, kind}, "-")
}

// transportsOf lists what each SDK speaks.
var transportsOf = map[string][]string{
	"node":   {"mqtt", "mqtt-ws", "amqp", "amqp-ws", "http"},
	"python": {"mqtt", "mqtt-ws"},
	"java":   {"mqtt", "mqtt-ws", "amqp", "amqp-ws", "http"},
	"go":     {"mqtt", "mqtt-ws", "amqp", "amqp-ws", "http"},
}

// cells are all of an SDK.
func cells(sdk string) []cell {
	var all []cell
	for _, transport := range transportsOf[sdk] {
		for _, credential := range []string{withKey, withPolicy, withThumbprint, withAuthority} {
			all = append(all, cell{sdk, transport, credential, false}, cell{sdk, transport, credential, true})
		}
	}
	return all
}

// cellsAtOnce is how many cells of an SDK are tried at a time.
const cellsAtOnce = 4

// A device and a module, on each SDK and transport, log in with each credential. Their telemetry arrives as it was sent, under
// their names and with how they have logged in, and a device gets the messages to it.
func TestTable(t *testing.T) {
	table := newTable(t)
	var group sync.WaitGroup
	for sdk := range transportsOf {
		group.Go(func() { t.Run(sdk, func(t *testing.T) { table.tryAll(t, sdk) }) })
	}
	group.Wait()
}

// table is what the cells share.
type table struct {
	credentials *credentials
	registry    *driven // of Node
	arrivals    *arrivals
}

func newTable(t *testing.T) *table {
	t.Helper()
	return &table{credentials: newCredentials(t), registry: familyOf(t, "node").openDrivenService(t), arrivals: followArrivals(t)}
}

// clients does what driven clients are told.
type clients interface {
	do(t *testing.T, verb string, with fields) outcome
}

func openClients(t *testing.T, sdk string) clients {
	t.Helper()
	if sdk == "go" {
		return newGoClients(t)
	}
	return familyOf(t, sdk).openDriven(t, "driven_clients", nil)
}

func (a *table) tryAll(t *testing.T, sdk string) {
	driven := openClients(t, sdk)
	room := make(chan struct{}, cellsAtOnce)
	var group sync.WaitGroup
	for _, c := range cells(sdk) {
		room <- struct{}{}
		group.Go(func() {
			defer func() { <-room }()
			t.Run(c.String(), func(t *testing.T) { a.try(t, driven, c) })
		})
	}
	group.Wait()
}

func (a *table) try(t *testing.T, driven clients, c cell) {
	want := a.register(t, c)
	note := messageWith("to "+c.String(), "", "")
	note.CorrelationID, note.Properties = "cause 1", map[string]string{"colour": "blue & green"}
	if !c.module {
		mustSend(t, restBackEnd{}, c.String(), note)
	}
	open, send := a.credentials.open(t, c, want.key), fields{"client": c.String(), "message": c.telemetry()}
	if c.isRefused() {
		a.refused(t, driven, c, open, send)
		return
	}
	must(t, "open", driven.do(t, "open", open))
	must(t, "send", driven.do(t, "send", send))
	a.arrivals.check(t, c, want)
	if !c.module {
		var got message
		decode(t, must(t, "receive", driven.do(t, "receive", fields{"client": c.String()})), &got)
		if diff := cmp.Diff(c.shown(note), got); diff != "" {
			t.Errorf("message to the device (-want +got):\n%s", diff)
		}
		waitForQueue(t, c.String(), 0)
	}
	must(t, "close", driven.do(t, "close", fields{"client": c.String()}))
}

func must(t *testing.T, verb string, o outcome) string {
	t.Helper()
	if o.failure != nil {
		t.Fatalf("%q failed: %+v", verb, *o.failure)
	}
	return string(o.result)
}

// isRefused tells of what an SDK does not have, and says so itself, or has the hub say so: modules over HTTPS. Java's has
// no such client, and Node's sends as if it were the device.
func (c cell) isRefused() bool { return c.module && c.transport == "http" && c.sdk != "go" }

func (a *table) refused(t *testing.T, driven clients, c cell, open, send fields) {
	t.Helper()
	o, want := driven.do(t, "open", open), "UnsupportedOperationException"
	if c.sdk == "node" {
		must(t, "open", o)
		o, want = driven.do(t, "send", send), "UnauthorizedError"
	}
	if o.failure == nil || o.failure.Name != want {
		t.Errorf("a module over HTTPS was to end with %s, and ended with %+v", want, o.failure)
	}
}

// telemetry is what the cell sends.
func (c cell) telemetry() message {
	m := message{
		ID: "from " + c.String(), CorrelationID: "correlation 1/ä", ContentType: "application/json", ContentEncoding: "utf-8",
		Properties: map[string]string{"number": "1", "awkward name": "a/b & c=d + €"}, Body: `{"windSpeed":12.5,"of":"` + c.String() + `"}`,
	}
	if c.transport == "http" { // header names and values have fewer characters
		m.CorrelationID, m.Properties = "correlation 1/a", map[string]string{"number": "1", "awkward~name": "a/b & c=d + $"}
	}
	return m
}

// shown is what the cell's SDK shows of a message to the device.
func (c cell) shown(m message) message {
	if c.sdk == "go" {
		return m
	}
	return receiving{sdk: c.sdk, name: c.transport}.shown(m, c.String(), "rest")
}

// registered is an identity as the registry has it.
type registered struct {
	generation string
	key        string
}

// register creates a cell's identity. It goes with the test.
func (a *table) register(t *testing.T, c cell) registered {
	t.Helper()
	auth := a.credentials.authentication(t, c)
	if !c.module {
		createDevice(t, c.String()) // so that it is removed
		made := putDevice(t, &hubward.Device{DeviceID: c.String(), Status: hubward.StatusEnabled, Authentication: auth}, "*")
		return registered{made.GenerationID, string(made.Authentication.SymmetricKey.PrimaryKey)}
	}
	createDevice(t, c.String())
	var made struct {
		GenerationID   string
		Authentication *hubward.Authentication
	}
	module := fields{"deviceId": c.String(), "moduleId": moduleName, "authentication": auth}
	decode(t, a.registry.must(t, "addModule", fields{"module": module}), &made)
	return registered{made.GenerationID, string(made.Authentication.SymmetricKey.PrimaryKey)}
}

// moduleName is the id of each module.
const moduleName = "filter"

// arrivals are the events of the table's identities.
type arrivals struct {
	mu   sync.Mutex // guards the fields below
	came map[string][]childhub.Event
	more chan struct{} // closed at the next one
}

// followArrivals reads all events from now on, until the test ends.
func followArrivals(t *testing.T) *arrivals {
	t.Helper()
	a := &arrivals{came: map[string][]childhub.Event{}, more: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() {
		err := hub.Events(ctx, url.Values{"from": {time.Now().UTC().Format(time.RFC3339Nano)}}, func(e childhub.Event) bool {
			a.mu.Lock()
			defer a.mu.Unlock()
			id := e.Annotations.DeviceID
			a.came[id] = append(a.came[id], e)
			close(a.more)
			a.more = make(chan struct{})
			return true
		})
		if ctx.Err() == nil {
			t.Errorf("the reader ended: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		ended.Wait()
	})
	return a
}

// first waits for the first event of a device.
func (a *arrivals) first(t *testing.T, device string) childhub.Event {
	t.Helper()
	late := time.After(readWithin)
	for {
		a.mu.Lock()
		came, more := slices.Clone(a.came[device]), a.more
		a.mu.Unlock()
		if len(came) > 0 {
			return came[0]
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("nothing has arrived from %s for %s", device, readWithin)
		}
	}
}

// check compares what has arrived from a cell's identity with what it has sent.
func (a *arrivals) check(t *testing.T, c cell, from registered) {
	t.Helper()
	e, sent := a.first(t, c.String()), c.telemetry()
	got := message{
		ID: e.SystemProperties.MessageID, CorrelationID: e.SystemProperties.CorrelationID,
		ContentType: e.SystemProperties.ContentType, ContentEncoding: e.SystemProperties.ContentEncoding,
		Properties: e.Properties, Body: string(e.Body),
	}
	if diff := cmp.Diff(sent, got); diff != "" {
		t.Errorf("telemetry (-sent +there):\n%s", diff)
	}
	stamps := childhub.Annotations{
		DeviceID: c.String(), GenerationID: from.generation, AuthMethod: c.authMethod(), MessageSource: "Telemetry",
		HubEnqueued: e.Annotations.HubEnqueued, SequenceNumber: e.SequenceNumber, Offset: e.Offset, EnqueuedTime: e.EnqueuedTime.UnixMilli(),
	}
	if c.module {
		stamps.ModuleID = moduleName
	}
	if diff := cmp.Diff(stamps, e.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}

// authMethod is what the hub says of how the cell's identity has logged in.
func (c cell) authMethod() string {
	scope, rest := "device", `"type":"sas","issuer":"iothub"`
	switch {
	case c.credential == withPolicy:
		scope = "hub"
	case c.module:
		scope = "module"
	}
	if c.byCertificate() {
		rest = `"type":"x509Certificate","issuer":"external"`
	}
	return `{"scope":"` + scope + `",` + rest + `,"acceptingIpFilterRule":null}`
}
