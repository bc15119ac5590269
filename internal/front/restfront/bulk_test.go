package restfront_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
)

func TestBulkDevices_allGood(t *testing.T) {
	f := newFixture(t)
	d := f.create("old")
	body := `[{"id":"new","importMode":"Create","status":null,"authentication":null},
		{"ID":"old","eTag":"\"` + d.ETag + `\"","importMode":"updateIfMatchEtag","status":"disabled"}]`
	r := f.do(ask{method: "POST", path: "/devices/" + version, body: body}).wantStatus(t, 200)
	if want := `{"isSuccessful":true,"errors":[],"warnings":[]}`; r.body != want {
		t.Errorf("got %s, want %s", r.body, want)
	}
	if r.Header.Get("iothub-errorcode") != "" {
		t.Error("a success has an error code")
	}
	got := decode[hubward.RegistryStatistics](t, f.do(ask{path: "/statistics/devices" + version}))
	if want := (hubward.RegistryStatistics{TotalDeviceCount: 2, EnabledDeviceCount: 1, DisabledDeviceCount: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestBulkDevices_someBad(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	body := `[{"id":"d1","importMode":"create"},{"id":"d2","importMode":"create"},{"id":"d3","importMode":"update"},
		{"id":"d4","importMode":"updateTwin","tags":{"a":1}},{"id":"d5","moduleId":"m"},{"id":"d6","importMode":"sideways"}]`
	r := f.do(ask{method: "POST", path: "/devices" + version, body: body}).wantStatus(t, 400)
	for _, name := range []string{"iothub-errorcode", "IotHubErrorCode"} {
		if got := r.Header.Get(name); got != "BulkRegistryOperationFailure" {
			t.Errorf("%s is %q", name, got)
		}
	}
	type row struct {
		DeviceID, ModuleID string
		ErrorCode          int
	}
	result := decode[struct {
		IsSuccessful bool
		Errors       []row
	}](t, r)
	want := []row{{"d1", "", 409001}, {"d3", "", 404001}, {"d4", "", 404001}, {"d5", "m", 404001}, {"d6", "", 400004}}
	if diff := cmp.Diff(want, result.Errors); diff != "" || result.IsSuccessful {
		t.Errorf("successful %t, errors: %s", result.IsSuccessful, diff)
	}
	f.do(ask{path: "/devices/d2" + version}).wantStatus(t, 200)
}

// .NET reads a 400 as a result if the second header says bulk failure, so a refused call must not say that.
func TestBulkDevices_refused(t *testing.T) {
	f := newFixture(t)
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprintf(`{"id":"d%d"}`, i)
	}
	for _, test := range []struct {
		body string
		code hubward.Code
	}{
		{`[{"id":"d1"},{"id":"d1"}]`, hubward.CodeDeviceDefinedMultipleTimes},
		{"[" + strings.Join(many, ",") + "]", hubward.CodeTooManyDevices},
		{`{"id":"d1"}`, hubward.CodeArgumentInvalid},
		{`[{"id":1}]`, hubward.CodeArgumentInvalid},
		{`[`, hubward.CodeFormatError},
	} {
		r := f.do(ask{method: "POST", path: "/devices" + version, body: test.body})
		r.wantError(t, test.code, "")
		if got := r.Header.Get("IotHubErrorCode"); got != test.code.String() {
			t.Errorf("IotHubErrorCode is %q, want %s", got, test.code)
		}
	}
	if r := f.do(ask{path: "/devices" + version}); r.body != "[]" {
		t.Errorf("refused calls left %s", r.body)
	}
	for _, n := range []int{99, 100} {
		if r := f.do(ask{method: "POST", path: "/devices" + version, body: "[" + strings.Join(many[:n], ",") + "]"}); r.StatusCode != 200 {
			t.Errorf("%d rows: %d %s", n, r.StatusCode, r.body)
		}
	}
}

// A row with a member of a wrong type fails alone, with what is wrong; one that does not tell whose it is fails the call.
func TestBulkDevices_wrongTypes(t *testing.T) {
	f := newFixture(t)
	body := `[{"id":"d1","properties":5},{"properties":"x","id":"d2"},{"id":"d3","tags":[1]},{"id":"d4","properties":{"desired":true}},
		{"id":"d5","status":7},{"id":"d6","importMode":{},"tags":{}},{"id":"d7","authentication":[]},{"id":"d8","capabilities":{"iotEdge":1}},
		{"id":"good","properties":{"desired":{"a":1}}},{"id":"d9","moduleId":4},{"id":"d10","properties":null}]`
	r := f.do(ask{method: "POST", path: "/devices" + version, body: body}).wantStatus(t, 400)
	result := decode[struct {
		Errors []struct {
			DeviceID    string
			ErrorCode   int
			ErrorStatus string
		}
	}](t, r)
	names := []string{"properties", "properties", "tags", "desired", "status", "importMode", "authentication", "iotEdge", "moduleId"}
	if len(result.Errors) != len(names) {
		t.Fatalf("got %s", r.body)
	}
	for i, e := range result.Errors {
		if e.DeviceID != fmt.Sprint("d", i+1) || e.ErrorCode != int(hubward.CodeArgumentInvalid) || !strings.Contains(e.ErrorStatus, names[i]) {
			t.Errorf("got %+v, want %s", e, names[i])
		}
	}
	if got := bare(t, f.do(ask{path: twinPath("good")}).twin(t).Properties.Desired); got != `{"a":1}` {
		t.Errorf("got %s", got)
	}
	f.do(ask{path: "/devices/d10" + version}).wantStatus(t, 200)
	for body, text := range map[string]string{
		`[{"id":"d11"},{"id":1}]`: "[1]: id", `[{"id":"d11"},5]`: "[1]: ", `[{"id":"d11"},{"properties":5}]`: "[1]: properties",
	} {
		f.do(ask{method: "POST", path: "/devices" + version, body: body}).wantError(t, hubward.CodeArgumentInvalid, text)
	}
	f.do(ask{path: "/devices/d11" + version}).wantStatus(t, 404)
}

// Rows may bring a twin, whatever they register; what the hub itself has written into it, as in a row of an export, is passed
// over, and so are reported properties.
func TestBulkDevices_twins(t *testing.T) {
	f := newFixture(t)
	f.create("old")
	const metadata = `"$metadata":{"$lastUpdated":"2017-03-09T18:30:52.3167248Z"},"$version":7`
	body := `[{"id":"d1","tags":{"floor":1.0}},{"id":"d2","tags":null,"properties":{"desired":{}}},
		{"id":"d3","twinETag":"AAAAAAAAAAE=","properties":{"desired":{"a":1e2,` + metadata + `},"reported":{"b":1}}},
		{"id":"old","importMode":"UpdateTwin","tags":{"x":{"y":[1]}},"properties":{"desired":{"z":null}}}]`
	r := f.do(ask{method: "POST", path: "/devices" + version, body: body}).wantStatus(t, 200)
	if want := `{"isSuccessful":true,"errors":[],"warnings":[]}`; r.body != want {
		t.Errorf("got %s, want %s", r.body, want)
	}
	for id, want := range map[string][2]string{
		"d1": {`{"floor":1.0}`, "{}"}, "d2": {"{}", "{}"}, "d3": {"{}", `{"a":1e2}`}, "old": {`{"x":{"y":[1]}}`, "{}"},
	} {
		twin := f.do(ask{path: twinPath(id)}).twin(t)
		got := [2]string{string(twin.Tags), bare(t, twin.Properties.Desired)}
		if reported := bare(t, twin.Properties.Reported); got != want || reported != "{}" {
			t.Errorf("%s: got %v and %s, want %v", id, got, reported, want)
		}
	}
}

func TestBulkDevices_updateTwinIfMatch(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	f.create("d2")
	f.create("d3")
	etag := f.do(ask{path: twinPath("d1")}).twin(t).ETag
	row := func(id, etag string) string {
		return `{"id":"` + id + `","twinETag":` + strconv.Quote(etag) + `,"importMode":"updateTwinIfMatchETag","tags":{"a":1}}`
	}
	body := "[" + row("d1", etag) + "," + row("d2", "AAAAAAAAAAk=") + "," + row("d3", `"`+etag+`"`) + "]"
	r := f.do(ask{method: "POST", path: "/devices" + version, body: body}).wantStatus(t, 400)
	result := decode[struct {
		Errors []struct {
			DeviceID  string
			ErrorCode int
		}
	}](t, r)
	if len(result.Errors) != 1 || result.Errors[0].DeviceID != "d2" || result.Errors[0].ErrorCode != int(hubward.CodePreconditionFailed) {
		t.Errorf("got %s", r.body)
	}
	for id, want := range map[string]string{"d1": `{"a":1}`, "d2": "{}", "d3": `{"a":1}`} {
		if got := string(f.do(ask{path: twinPath(id)}).twin(t).Tags); got != want {
			t.Errorf("%s has the tags %s, want %s", id, got, want)
		}
	}
}

func TestBulkErrorHeader_spelling(t *testing.T) {
	f := newFixture(t)
	answer := f.raw("POST /devices?api-version=2021-04-12 HTTP/1.1\r\nHost: hub.example\r\nConnection: close\r\nContent-Length: 29\r\n" +
		"Authorization: " + f.token("plant", "iothubowner", "hub.example") + "\r\n\r\n" + `[{"id":"x","importMode":"d"}]`)
	if !strings.Contains(answer, "\r\nIotHubErrorCode: BulkRegistryOperationFailure\r\n") {
		t.Errorf("got\n%s", answer)
	}
}

func TestRegenerateKeys(t *testing.T) {
	f := newFixture(t)
	before := f.create("d1")
	if _, err := f.hub.PutDevice(t.Context(), f.process, hubward.Device{DeviceID: "x", Authentication: &hubward.Authentication{Type: hubward.AuthCertificate}}, ""); err != nil {
		t.Fatal(err)
	}
	f.createModule(hubward.Identity{Device: "x", Module: "m"})
	body := `{"policyKey":"primaryKey","devices":[{"id":"d1"},{"id":"none"},{"id":"x"},{"id":"d1","moduleId":"m"},{"id":"x","moduleId":"m"}]}`
	r := f.do(ask{method: "POST", path: "/devices/keys/regenerate?api-version=2024-03-31", body: body}).wantStatus(t, 200)
	result := decode[struct {
		PolicyKey   string
		RotatedKeys []struct{ ID, ModuleID, PrimaryKey, SecondaryKey string }
		Errors      []struct {
			ID, ModuleID string
			ErrorCode    int
		}
	}](t, r)
	if len(result.RotatedKeys) != 2 || len(result.Errors) != 3 || result.PolicyKey != "primaryKey" || result.Errors[2].ErrorCode != 404010 {
		t.Fatalf("got %s", r.body)
	}
	m := decode[hubward.Module](t, f.do(ask{path: "/devices/x/modules/m" + version}))
	if told := result.RotatedKeys[1]; told.ModuleID != "m" || told.PrimaryKey != string(m.Authentication.SymmetricKey.PrimaryKey) {
		t.Errorf("told %+v of %+v", told, m.Authentication)
	}
	now := decode[hubward.Device](t, f.do(ask{path: "/devices/d1" + version})).Authentication.SymmetricKey
	old := before.Authentication.SymmetricKey
	if now.PrimaryKey == old.PrimaryKey || now.SecondaryKey != old.SecondaryKey || result.RotatedKeys[0].PrimaryKey != string(now.PrimaryKey) {
		t.Errorf("before %v, now %v, told %v", old, now, result.RotatedKeys)
	}
	f.do(ask{method: "POST", path: "/devices/keys/regenerate" + version, body: `{"policyKey":"tertiary"}`}).wantError(t, hubward.CodeArgumentInvalid, "policyKey")
}
