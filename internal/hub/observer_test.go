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

func (*observer) TelemetryAttempt(string, int)                 {}
func (*observer) TelemetryStored(string, int)                  {}
func (*observer) TelemetryRefused(string, hubward.Code, int)   {}
func (*observer) TwinRead(string, hub.Initiator, bool, int)    {}
func (*observer) TwinUpdated(string, hub.Initiator, bool, int) {}
func (*observer) DeviceBytes(string, int)                      {}
func (*observer) CloudToDevice(string, c2d.Counted, int)       {}

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
