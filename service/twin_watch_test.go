package service_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/service"
)

// changeLine is the line of a twin change in a stream.
func changeLine(sequence int, module, operation, body string) string {
	if module != "" {
		module = `"iothub-connection-module-id":"` + module + `",`
	}
	return fmt.Sprintf(`{"partition":"1","sequenceNumber":%d,"offset":"%[1]d","enqueuedTime":"2026-01-31T00:49:40.000Z","body":%s,`+
		`"properties":{"hubName":"h","deviceId":"d1","operationTimestamp":"2026-01-31T00:49:39.1234567Z","opType":"%s","hubward-updated-by":"policy service"},`+
		`"systemProperties":{},"annotations":{"iothub-connection-device-id":"d1",%s"iothub-message-source":"twinChangeEvents"}}`+"\n",
		sequence, body, operation, module)
}

func TestWatchTwin(t *testing.T) {
	var query string
	f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) {
		query = r.URL.RawQuery
		fmt.Fprint(w,
			changeLine(4, "", "updateTwin", `{"version":5,"properties":{"reported":{"n":9007199254740993,"gone":null,"$metadata":{},"$version":3}}}`),
			changeLine(5, "m1", "updateTwin", `{"version":3,"tags":{"a":1}}`),
			changeLine(6, "", "replaceTwin", `{"deviceId":"d1","etag":"AAAAAAAAAAQ=","version":6,"tags":{},"properties":{"desired":{"$version":4},"reported":{"$version":3}}}`))
	})
	c := f.client(t, nil)
	at := time.Date(2026, 1, 31, 0, 49, 39, 123456700, time.UTC)
	device := hubward.Identity{Device: "d1"}
	raw := func(text string) json.RawMessage { return json.RawMessage(text) }
	ignoreEvent := cmpopts.IgnoreFields(service.TwinChange{}, "Event")

	want := []*service.TwinChange{
		{Identity: device, At: at, By: "policy service", Version: 5, Reported: raw(`{"n":9007199254740993,"gone":null,"$metadata":{},"$version":3}`)},
		{Identity: device, At: at, By: "policy service", Version: 6, Replaced: true, Tags: raw(`{}`), Desired: raw(`{"$version":4}`), Reported: raw(`{"$version":3}`)},
	}
	var got []*service.TwinChange
	for change, err := range c.WatchTwin(t.Context(), device, service.EventsOptions{Earliest: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, change); len(got) == 2 {
			break
		}
	}
	if diff := cmp.Diff(want, got, ignoreEvent); diff != "" {
		t.Error(diff)
	}
	if want := "device=d1&endpoint=hub-events&from=earliest&source=twinChangeEvents"; query != want {
		t.Errorf("query %s, want %s", query, want)
	}
	if e := got[0].Event; e.SequenceNumber != 4 || e.Source() != service.TwinChangeEvents {
		t.Errorf("event %+v", e)
	}

	module := hubward.Identity{Device: "d1", Module: "m1"}
	for change, err := range c.WatchTwin(t.Context(), module, service.EventsOptions{Earliest: true}) {
		if diff := cmp.Diff(&service.TwinChange{Identity: module, At: at, By: "policy service", Version: 3, Tags: raw(`{"a":1}`)}, change, ignoreEvent); err != nil || diff != "" {
			t.Error(err, diff)
		}
		break
	}
}

func TestWatchTwin_errors(t *testing.T) {
	lines := changeLine(4, "", "updateTwin", `"no change"`)
	c := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) {
		if lines == "" {
			answer(w, 401, `{"Message":"ErrorCode:IotHubUnauthorizedAccess;Unauthorized"}`)
			return
		}
		fmt.Fprint(w, lines)
	}).client(t, nil)
	end := func() (err error) {
		for _, err = range c.WatchTwin(t.Context(), hubward.Identity{Device: "d1"}, service.EventsOptions{}) {
		}
		return err
	}
	if err := end(); err == nil || hubward.CodeOf(err) != hubward.CodeServerError {
		t.Errorf("what is no change: %v", err)
	}
	if lines = ""; hubward.CodeOf(end()) != hubward.CodeUnauthorizedAccess {
		t.Error("the refusal is not told")
	}
}
