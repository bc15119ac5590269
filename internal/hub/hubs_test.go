package hub_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/sas"
)

func TestUpdateHub_changesWhatIsGiven(t *testing.T) {
	f := newFixture(t)
	f.createHub("second", "second.example")
	for _, test := range []struct {
		change    hub.HubChange
		hosts     []string
		retention time.Duration
	}{
		{hub.HubChange{}, []string{"second.example"}, 24 * time.Hour},
		{hub.HubChange{Retention: time.Hour}, []string{"second.example"}, time.Hour},
		{hub.HubChange{HostNames: []string{"Two.example", "b.example"}}, []string{"two.example", "b.example"}, time.Hour},
		{hub.HubChange{HostNames: []string{"Two.example.", " two.example", "FD00:0::7"}}, []string{"two.example", "fd00::7"}, time.Hour},
		{hub.HubChange{HostNames: []string{}}, nil, time.Hour},
	} {
		c, err := f.UpdateHub(t.Context(), "second", test.change)
		if err != nil || !slices.Equal(c.HostNames, test.hosts) || c.Retention != test.retention {
			t.Errorf("%+v gives %v, %s, %v", test.change, c.HostNames, c.Retention, err)
		}
	}
	if _, err := f.HubFor("second.example"); err == nil {
		t.Error("the hub answers to a name that it lost")
	}
	for what, change := range map[string]hub.HubChange{
		"a short retention":          {Retention: time.Second},
		"a negative retention":       {Retention: -time.Hour},
		"a host name of another hub": {HostNames: []string{"plant.example"}},
		"the same, absolute":         {HostNames: []string{"plant.example."}},
		"a URL":                      {HostNames: []string{"https://x"}},
		"a port":                     {HostNames: []string{"two.example:443"}},
		"an international name":      {HostNames: []string{"ünicode.org"}},
		"a label of 64":              {HostNames: []string{strings.Repeat("a", 64) + ".example"}},
	} {
		_, err := f.UpdateHub(t.Context(), "second", change)
		wantCode(t, what, err, hubward.CodeArgumentInvalid)
	}
	_, err := f.UpdateHub(t.Context(), "none", hub.HubChange{})
	wantCode(t, "an unknown hub", err, hubward.CodeNoSuchHub)
}

// ingest stores one message in a hub.
func (f *fixture) ingest(hubName, device string) {
	f.t.Helper()
	d, err := f.PutDevice(f.t.Context(), hubName, hubward.Device{DeviceID: device}, "")
	if err != nil {
		f.t.Fatal(err)
	}
	host := hubName + ".localhost"
	token, err := sas.Sign(host+"/devices/"+device, string(d.Authentication.SymmetricKey.PrimaryKey), "", f.clock().Add(time.Hour))
	if err != nil {
		f.t.Fatal(err)
	}
	link, err := f.logIn(f.t.Context(), logIn{
		Host: host, Identity: hubward.Identity{Device: device}, Token: token, Session: &session{},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	defer link.Disconnect()
	stored := make(chan error, 1)
	if err := link.Ingest(func(_ int, err error) { stored <- err }).Telemetry(f.t.Context(), &hubward.Message{MessageID: device}); err != nil {
		f.t.Fatal(err)
	}
	if err := <-stored; err != nil {
		f.t.Fatal(err)
	}
}

// A reader that waits is told at once; one that is busy while its hub is deleted and made anew gets nothing of the new one.
func TestReadEvents_endsWithItsHub(t *testing.T) {
	remake := func(f *fixture) error {
		if err := f.DeleteHub(t.Context(), "second"); err != nil {
			return err
		}
		f.createHub("second")
		f.ingest("second", "new")
		return nil
	}
	t.Run("waiting", func(t *testing.T) {
		f := newFixture(t)
		f.createHub("second")
		waits, ended := make(chan struct{}, 1), make(chan error)
		go func() {
			ended <- f.ReadEvents(t.Context(), "second", hub.EventQuery{From: hub.Position{Kind: hub.PositionLatest}}, func(e *hubward.Event) error {
				if e != nil {
					return fmt.Errorf("got an event of %s", e.DeviceID)
				}
				waits <- struct{}{}
				return nil
			})
		}()
		<-waits
		if err := remake(f); err != nil {
			t.Fatal(err)
		}
		wantCode(t, "ReadEvents", <-ended, hubward.CodeNoSuchHub)
	})
	t.Run("busy", func(t *testing.T) {
		f := newFixture(t)
		f.createHub("second")
		f.ingest("second", "old")
		err := f.ReadEvents(t.Context(), "second", hub.EventQuery{}, func(e *hubward.Event) error {
			switch {
			case e == nil:
				return nil
			case e.DeviceID != "old":
				return errors.New("got an event of the new hub")
			}
			return remake(f)
		})
		wantCode(t, "ReadEvents", err, hubward.CodeNoSuchHub)
	})
}

// Sixteen beyond the five that every hub has, with whatever rights.
func TestCreatePolicy_bound(t *testing.T) {
	f := newFixture(t)
	for i := range 16 {
		if _, err := f.CreatePolicy(t.Context(), "plant", fmt.Sprint("p", i), 4); err != nil {
			t.Fatal(err)
		}
	}
	_, err := f.CreatePolicy(t.Context(), "plant", "p16", 4)
	wantCode(t, "the seventeenth policy", err, hubward.CodeQuotaExceeded)
	if err := f.DeletePolicy(t.Context(), "plant", "p3"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.CreatePolicy(t.Context(), "plant", "p16", 4); err != nil {
		t.Errorf("after one was deleted: %v", err)
	}
}
