package service_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/testhub"
	"github.com/hubward/hubward/service"
)

// listing is a hub with n devices, which lists up to a thousand of them behind another one.
func listing(n *int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		first := 0
		if after := r.URL.Query().Get("after"); after != "" {
			i, _ := strconv.Atoi(strings.TrimPrefix(after, "d"))
			first = i + 1
		}
		devices := []map[string]string{}
		for i := first; i < min(*n, first+1000); i++ {
			devices = append(devices, map[string]string{"deviceId": fmt.Sprintf("d%05d", i)})
		}
		text, _ := json.Marshal(devices)
		answer(w, 200, string(text))
	}
}

func TestAllDevices_pages(t *testing.T) {
	var n int
	f := newFakeHub(t, listing(&n))
	c := f.client(t, nil)
	for _, test := range []struct{ devices, calls int }{{0, 1}, {999, 1}, {1000, 2}, {1001, 2}, {2000, 3}, {2001, 3}} {
		n = test.devices
		before, got := len(f.requests()), 0
		for d, err := range c.AllDevices(t.Context()) {
			if want := fmt.Sprintf("d%05d", got); err != nil || d.DeviceID != want {
				t.Fatalf("device %s, %v; want %s", d.DeviceID, err, want)
			}
			got++
		}
		seen := f.requests()[before:]
		if got != test.devices || len(seen) != test.calls {
			t.Errorf("%d devices in %d calls, want %+v", got, len(seen), test)
		}
		// The first call is the cloud's own.
		if u := seen[0].URL; u.Path != "/devices" || u.Query().Get("top") != "1000" || u.Query().Get("api-version") == "" {
			t.Errorf("the first call is %s", u)
		}
		if test.calls > 1 && seen[1].URL.String() != "/$hubward/devices?after=d00999&top=1000" {
			t.Errorf("the second call is %s", seen[1].URL)
		}
	}
	n = 5000
	before := len(f.requests())
	for range c.AllDevices(t.Context()) {
		break
	}
	if calls := len(f.requests()) - before; calls != 1 {
		t.Errorf("a loop that was left made %d calls", calls)
	}
}

// A hub that does not know the call, or takes no notice of where the page begins, must not be asked for ever.
func TestAllDevices_endsWithAnError(t *testing.T) {
	n := 1000
	for name, second := range map[string]http.HandlerFunc{
		"unknown": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 404, `{"Message":"ErrorCode:NotFound;there is no such path"}`, "iothub-errorcode", "NotFound")
		},
		"same again": func(w http.ResponseWriter, r *http.Request) {
			r.URL.RawQuery = ""
			listing(&n)(w, r)
		},
	} {
		f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("after") != "" {
				second(w, r)
				return
			}
			listing(&n)(w, r)
		})
		got, last := 0, error(nil)
		for _, err := range f.client(t, nil).AllDevices(t.Context()) {
			if last = err; err == nil {
				got++
			}
		}
		if got != 1000 || last == nil || !strings.Contains(last.Error(), "service.AllDevices") {
			t.Errorf("%s: %d devices, %v", name, got, last)
		}
	}
}

func TestQuery_pages(t *testing.T) {
	var sent []string
	f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent = append(sent, r.Method+" "+r.URL.String()+" "+r.Header.Get("x-ms-continuation")+" "+string(body))
		switch r.Header.Get("x-ms-continuation") {
		case "":
			answer(w, 200, `[{"n":1}, 2]`, "x-ms-continuation", "a/b+c=")
		case "a/b+c=":
			answer(w, 200, `[]`, "x-ms-continuation", "next") // a page may be short
		default:
			answer(w, 200, `["three"]`)
		}
	})
	var got []string
	for row, err := range f.client(t, nil).Query(t.Context(), "SELECT * FROM x WHERE a < 1") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(row))
	}
	if diff := cmp.Diff([]string{`{"n":1}`, `2`, `"three"`}, got); diff != "" {
		t.Error(diff)
	}
	const call = "POST /devices/query?api-version=2021-04-12 "
	const body = ` {"query":"SELECT * FROM x WHERE a < 1"}`
	if diff := cmp.Diff([]string{call + body, call + "a/b+c=" + body, call + "next" + body}, sent); diff != "" {
		t.Error(diff)
	}
}

func TestPages_againstAHub(t *testing.T) {
	ctx := t.Context()
	h := testhub.Start(t)
	c := newHubClient(t, h, "registryReadWrite")
	var want []string
	for len(want) < 1001 {
		var items []service.BulkItem
		for range min(service.MaxBulkItems, 1001-len(want)) {
			want = append(want, fmt.Sprintf("d%04d", len(want)))
			items = append(items, service.BulkItem{Device: hubward.Device{DeviceID: want[len(want)-1]}})
		}
		if result, err := c.BulkDevices(ctx, items); err != nil || !result.IsSuccessful {
			t.Fatalf("%+v, %v", result, err)
		}
	}
	var listed, queried []string
	for d, err := range c.AllDevices(ctx) {
		if err != nil || d.Authentication.SymmetricKey.PrimaryKey == "" {
			t.Fatalf("%+v, %v", d, err)
		}
		listed = append(listed, d.DeviceID)
	}
	for row, err := range newHubClient(t, h, "service").Query(ctx, "SELECT * FROM devices") {
		var twin struct {
			DeviceID   string `json:"deviceId"`
			Properties struct{ Desired map[string]any }
		}
		if err != nil || json.Unmarshal(row, &twin) != nil || twin.Properties.Desired["$version"] != 1.0 {
			t.Fatalf("%s, %v", row, err)
		}
		queried = append(queried, twin.DeviceID)
	}
	if diff := cmp.Diff(want, listed) + cmp.Diff(want, queried); diff != "" {
		t.Error(diff)
	}
	for _, err := range c.Query(ctx, "SELECT deviceId FROM devices") {
		if hubward.CodeOf(err) != hubward.CodeInvalidOperation {
			t.Errorf("error %v", err)
		}
	}
}

// What a row says of modules and twins goes out as it is.
func TestBulkDevices_rowsWithModulesAndTwins(t *testing.T) {
	var sent string
	f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent = string(body)
		answer(w, 200, `{"isSuccessful":true,"errors":[],"warnings":[]}`)
	})
	section := func(text string) map[string]json.RawMessage {
		return map[string]json.RawMessage{"a": json.RawMessage(text)}
	}
	_, err := f.client(t, nil).BulkDevices(t.Context(), []service.BulkItem{
		{Device: hubward.Device{DeviceID: "d"}, ModuleID: "m", ManagedBy: "me"},
		{Device: hubward.Device{DeviceID: "e"}, Mode: service.UpdateTwinIfMatchETag, TwinETag: "x", Tags: section(`"<&>"`), Desired: section(`1.0`)},
		{Device: hubward.Device{DeviceID: "f"}, Reported: section(`null`)},
		{Device: hubward.Device{DeviceID: "g"}, Tags: map[string]json.RawMessage{}, Desired: map[string]json.RawMessage{}}, // it clears both
	})
	const rest = `"status":"enabled","statusReason":null,"capabilities":{"iotEdge":false}`
	want := `[{"id":"d","moduleId":"m","importMode":"createOrUpdate",` + rest + `,"managedBy":"me"},` +
		`{"id":"e","importMode":"updateTwinIfMatchETag",` + rest + `,"twinETag":"x","tags":{"a":"<&>"},"properties":{"desired":{"a":1.0}}},` +
		`{"id":"f","importMode":"createOrUpdate",` + rest + `,"properties":{"reported":{"a":null}}},` +
		`{"id":"g","importMode":"createOrUpdate",` + rest + `,"tags":{},"properties":{"desired":{}}}]`
	if diff := cmp.Diff(want, sent); diff != "" || err != nil {
		t.Error(err, diff)
	}
}
