package restfront_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

const allDevices = `{"query":"SELECT * FROM devices"}`

func (f *fixture) query(body string, header map[string]string) response {
	f.t.Helper()
	return f.do(ask{method: "POST", path: "/devices/query" + version, body: body, header: header})
}

// createMany registers n devices, d0000 and so on.
func (f *fixture) createMany(n int) (ids []string) {
	f.t.Helper()
	for len(ids) < n {
		var items []hub.BulkItem
		for range min(n-len(ids), hub.MaxBulkItems) {
			ids = append(ids, fmt.Sprintf("d%04d", len(ids)))
			items = append(items, hub.BulkItem{Device: hubward.Device{DeviceID: ids[len(ids)-1]}})
		}
		if failed, err := f.hub.BulkDevices(f.t.Context(), f.process, items); err != nil || len(failed) > 0 {
			f.t.Fatal(failed, err)
		}
	}
	return ids
}

func TestQuery_rows(t *testing.T) {
	f := newFixture(t)
	etag := f.create("d1").ETag
	gateway, err := f.hub.PutDevice(t.Context(), f.process, hubward.Device{DeviceID: "e-1", Capabilities: hubward.Capabilities{IotEdge: true}}, "")
	if err != nil {
		t.Fatal(err)
	}
	scope := gateway.DeviceScope
	thumb := strings.Repeat("ab", 20)
	d2, err := f.hub.PutDevice(t.Context(), f.process, hubward.Device{
		DeviceID: "d2", Status: hubward.StatusDisabled, StatusReason: "on the shelf", DeviceScope: scope,
		Authentication: &hubward.Authentication{Type: hubward.AuthSelfSigned, X509Thumbprint: hubward.X509Thumbprint{PrimaryThumbprint: hubward.NullString(thumb)}},
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.hub.DeleteDevice(t.Context(), f.process, "e-1", "*"); err != nil {
		t.Fatal(err)
	}
	const never = `"0001-01-01T00:00:00"`
	const section = `{"$metadata":{"$lastUpdated":"0001-01-01T00:00:00Z"},"$version":1}`
	row := func(id, etag, status, auth, thumb, more string) string {
		return `{"deviceId":"` + id + `","etag":"AAAAAAAAAAE=","deviceEtag":"` + etag + `",` + status + `,"statusUpdateTime":` + never +
			`,"connectionState":"Disconnected","lastActivityTime":` + never + `,"cloudToDeviceMessageCount":0,"authenticationType":"` + auth +
			`","x509Thumbprint":{"primaryThumbprint":` + thumb + `,"secondaryThumbprint":null},"modelId":"","version":2,"tags":{},` +
			`"properties":{"desired":` + section + `,"reported":` + section + `},"capabilities":{"iotEdge":false}` + more + `}`
	}
	want := "[" + row("d1", etag, `"status":"enabled"`, "sas", "null", "") + "," +
		row("d2", d2.ETag, `"status":"disabled","statusReason":"on the shelf"`, "selfSigned", `"`+thumb+`"`,
			`,"deviceScope":"`+scope+`","parentScopes":["`+scope+`"]`) + "]"
	for _, policy := range []string{"iothubowner", "service", "registryRead"} {
		r := f.do(ask{method: "POST", path: "/devices/query/" + version, body: `{"Query":"select * from Devices"}`, policy: policy}).wantStatus(t, 200)
		if diff := cmp.Diff(want, r.body); diff != "" {
			t.Errorf("%s: %s", policy, diff)
		}
	}
}

// .NET wants the type of the rows spelt exactly so, and takes an empty continuation for another page.
func TestQuery_headersOnTheWire(t *testing.T) {
	f := newFixture(t)
	f.createMany(2)
	ask := func(more string) string {
		return f.raw("POST /devices/query?api-version=2021-04-12 HTTP/1.1\r\nHost: hub.example\r\nConnection: close\r\n" +
			fmt.Sprintf("Content-Length: %d\r\n", len(allDevices)) + more +
			"Authorization: " + f.token("plant", "service", "hub.example") + "\r\n\r\n" + allDevices)
	}
	if r := ask("x-ms-max-item-count: 1\r\n"); !strings.Contains(r, "\r\nx-ms-item-type: Twin\r\n") || !strings.Contains(r, "\r\nx-ms-continuation: ") {
		t.Errorf("the first page is\n%s", r)
	}
	if r := ask(""); !strings.Contains(r, "\r\nx-ms-item-type: Twin\r\n") || strings.Contains(r, "x-ms-continuation") {
		t.Errorf("the only page is\n%s", r)
	}
}

func TestQuery_pages(t *testing.T) {
	f := newFixture(t)
	if r := f.query(allDevices, nil).wantStatus(t, 200); r.body != "[]" {
		t.Errorf("no devices are %s", r.body)
	}
	ids := f.createMany(101)
	for most, want := range map[string]int{"": 100, "1": 1, "99": 99, "100": 100, "101": 100, "1000": 100} {
		r := f.query(allDevices, map[string]string{"x-ms-max-item-count": most}).wantStatus(t, 200)
		page := decode[[]hubward.Device](t, r)
		next := r.Header.Get("x-ms-continuation")
		if len(page) != want || page[want-1].DeviceID != ids[want-1] || next == "" {
			t.Errorf("at most %q: %d rows, next %q", most, len(page), next)
		}
		r = f.query(allDevices, map[string]string{"x-ms-continuation": next}).wantStatus(t, 200)
		if page := decode[[]hubward.Device](t, r); page[0].DeviceID != ids[want] {
			t.Errorf("behind %d rows comes %s", want, page[0].DeviceID)
		}
	}
}

func TestQuery_refusals(t *testing.T) {
	f := newFixture(t)
	for body, code := range map[string]hubward.Code{
		`{"query":"SELECT * FROM devices WHERE tags.a = 1"}`: hubward.CodeInvalidOperation, `{"query":"SELECT * FROM devices.modules"}`: hubward.CodeInvalidOperation,
		`{}`: hubward.CodeArgumentInvalid, `{"query":null}`: hubward.CodeArgumentInvalid, `{"query":5}`: hubward.CodeArgumentInvalid,
		``: hubward.CodeArgumentNull, `SELECT * FROM devices`: hubward.CodeFormatError,
	} {
		f.query(body, nil).wantError(t, code, "")
	}
	f.query(`{"query":"SELECT COUNT() AS n FROM devices"}`, nil).wantError(t, hubward.CodeInvalidOperation, "does not have queries yet, but for SELECT * FROM devices")
	for _, most := range []string{"0", "-1", "x", "1.5", "99999999999999999999"} {
		f.query(allDevices, map[string]string{"x-ms-max-item-count": most}).wantError(t, hubward.CodeArgumentInvalid, "x-ms-max-item-count")
	}
	for _, next := range []string{"x", "ZGV2aWNlcw", "%00", "ZGV2aWNlcz4"} {
		f.query(allDevices, map[string]string{"x-ms-continuation": next}).wantError(t, hubward.CodeArgumentInvalid, "continuation")
	}
	f.do(ask{method: "POST", path: "/devices/query" + version, body: allDevices, policy: "device"}).wantError(t, hubward.CodeUnauthorizedAccess, "")
	f.do(ask{method: "POST", path: "/devices/query", body: allDevices}).wantError(t, hubward.CodeInvalidProtocolVersion, "api-version")
}

func TestPageDevices(t *testing.T) {
	f := newFixture(t)
	ids := f.createMany(1001)
	for query, want := range map[string][]string{
		"": ids[:1000], "?top=999": ids[:999], "?top=1000": ids[:1000], "?top=1001": ids[:1000], "?top=2&after=d0007": ids[8:10],
		"?after=d0500x": ids[501:], "?after=d1000": nil, "?after=d0000": ids[1:],
	} {
		got := decode[[]hubward.Device](t, f.do(ask{path: "/$hubward/devices" + query, policy: "registryRead"}).wantStatus(t, 200))
		var gotIDs []string
		for i := range got {
			gotIDs = append(gotIDs, got[i].DeviceID)
			if got[i].Authentication.SymmetricKey.PrimaryKey == "" {
				t.Fatalf("%q: %s has no key", query, got[i].DeviceID)
			}
		}
		if diff := cmp.Diff(want, gotIDs); diff != "" {
			t.Errorf("%q: %s", query, diff)
		}
	}
	if r := f.do(ask{path: "/$hubward/devices?after=z"}); r.body != "[]" {
		t.Errorf("behind the last one is %s", r.body)
	}
	f.do(ask{path: "/$hubward/devices?top=x"}).wantError(t, hubward.CodeArgumentInvalid, "top")
	f.do(ask{path: "/$hubward/devices", policy: "service"}).wantError(t, hubward.CodeUnauthorizedAccess, "")
}
