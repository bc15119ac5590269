package hub_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/hub/c2d"
)

// observer remembers what metrics would count. Its zero value is ready.
type observer struct {
	mu      sync.Mutex
	logins  []refusedLogin
	streams map[string]int // by hub/consumer group
	methods []calledMethod
	twins   []countedTwin
}

type calledMethod struct {
	Hub               string
	OK                bool
	Request, Response int
}

func (o *observer) MethodCalled(hub string, ok bool, request, response int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.methods = append(o.methods, calledMethod{hub, ok, request, response})
}

// countedTwin is a read or a write of a twin.
type countedTwin struct {
	By    hub.Initiator
	Write bool
	OK    bool
	Bytes int
}

func (o *observer) TwinRead(_ string, by hub.Initiator, ok bool, bytes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.twins = append(o.twins, countedTwin{by, false, ok, bytes})
}

func (o *observer) TwinUpdated(_ string, by hub.Initiator, ok bool, bytes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.twins = append(o.twins, countedTwin{by, true, ok, bytes})
}

type refusedLogin struct {
	Hub    string
	Reason access.Reason
}

func (o *observer) LoginRefused(hub string, reason access.Reason) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.logins = append(o.logins, refusedLogin{hub, reason})
}

func (o *observer) EventStreams(hub, group string, change int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.streams == nil {
		o.streams = map[string]int{}
	}
	o.streams[hub+"/"+group] += change
}

func (*observer) TelemetryAttempt(string, int)               {}
func (*observer) TelemetryStored(string, int)                {}
func (*observer) TelemetryRefused(string, hubward.Code, int) {}
func (*observer) DeviceBytes(string, int)                    {}
func (*observer) CloudToDevice(string, c2d.Counted, int)     {}

// take returns the refused log-ins since the last take.
func (o *observer) take() []refusedLogin {
	o.mu.Lock()
	defer o.mu.Unlock()
	taken := o.logins
	o.logins = nil
	return taken
}

// openStreams returns a copy of streams.
func (o *observer) openStreams() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	open := map[string]int{}
	for k, v := range o.streams {
		open[k] = v
	}
	return open
}

// A stream is counted by its group as the hub spells it, and no longer than it lasts; one that is refused is not.
func TestReadEvents_isCounted(t *testing.T) {
	f := newFixture(t)
	enough := errors.New("enough")
	err := f.ReadEvents(t.Context(), "plant", hub.EventQuery{ConsumerGroup: "$DEFAULT"}, func(*hubward.Event) error {
		if diff := cmp.Diff(map[string]int{"plant/$Default": 1}, f.seen.openStreams()); diff != "" {
			t.Error(diff)
		}
		return enough
	})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
	err = f.ReadEvents(t.Context(), "plant", hub.EventQuery{ConsumerGroup: "none"}, func(*hubward.Event) error { return nil })
	wantCode(t, "an unknown group", err, hubward.CodeNoSuchConsumerGroup)
	if diff := cmp.Diff(map[string]int{"plant/$Default": 0}, f.seen.openStreams()); diff != "" {
		t.Error(diff)
	}
}

func TestTwin_isCounted(t *testing.T) {
	f := newFixture(t)
	link, _, err := f.connect(f.createDevice("d1"))
	if err != nil {
		t.Fatal(err)
	}
	p, d1, d2 := f.of("plant"), hubward.Identity{Device: "d1"}, hubward.Identity{Device: "d2"}
	twin, err := f.Hub.Twin(t.Context(), p, d1)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Hub.Twin(t.Context(), p, d2)
	wantCode(t, "another device", err, hubward.CodeDeviceNotFound)
	if _, err := f.Hub.UpdateTwin(t.Context(), p, d1, hub.TwinUpdate{Tags: []byte(`{"a":1}`), Desired: []byte(`{}`)}, ""); err != nil {
		t.Fatal(err)
	}
	_, err = f.Hub.ReplaceTwin(t.Context(), p, d1, hub.TwinUpdate{Tags: []byte(`{`)}, "")
	wantCode(t, "no JSON", err, hubward.CodeFormatError)
	got := make(chan int, 3)
	link.GetTwin(t.Context(), func(document []byte, _ error) { got <- len(document) })
	link.UpdateReported(t.Context(), []byte(`{"b":22}`), 0, func(int64, error) { got <- 0 })
	link.UpdateReported(t.Context(), []byte(`5`), 0, func(int64, error) { got <- 0 })
	document := <-got
	<-got
	<-got
	f.seen.mu.Lock()
	defer f.seen.mu.Unlock()
	want := []countedTwin{
		{hub.ByService, false, true, len(twin.Tags) + len(twin.Properties.Desired) + len(twin.Properties.Reported)},
		{hub.ByService, false, false, 0}, {hub.ByService, true, true, 9}, {hub.ByService, true, false, 5},
		{hub.ByDevice, false, true, document}, {hub.ByDevice, true, true, 8}, {hub.ByDevice, true, false, 1},
	}
	if diff := cmp.Diff(want, f.seen.twins); diff != "" {
		t.Error(diff)
	}
}
