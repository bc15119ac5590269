package restfront_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/restfront"
)

func FuzzDeviceJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, ``, `null`, `[]`, `{"deviceId":"d1"}`, `{"deviceId":"d2"}`, `{"DEVICEID":"d1","status":"Enabled","status":null}`,
		`{"deviceId":"d1","authentication":{"type":"sas","symmetricKey":{"primaryKey":"","secondaryKey":""}}}`,
		`{"deviceId":"d1","etag":"MA==","status":"enabled","statusReason":null,"capabilities":{"iotEdge":true},"parentScopes":["a"],"deviceScope":"b"}`,
		`{"authentication":null,"capabilities":null,"lastActivityTime":"0001-01-01T00:00:00"}`, `{"status":5}`, `{} x`,
		`{"authentication":{"symmetricKey":{"primaryKey":[[[[`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := restfront.DecodeDevice(body, "d1")
		if err == nil && d.DeviceID != "d1" {
			t.Errorf("the body chose the id %q", d.DeviceID)
		}
		if err != nil && restfront.FailureStatus(err) != 400 {
			t.Errorf("error %v is no 400", err)
		}
	})
}

func FuzzModuleJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, ``, `null`, `[]`, `{"deviceId":"d1","moduleId":"m1"}`, `{"moduleId":"m2"}`, `{"MODULEID":"m1","managedBy":null,"etag":5}`,
		`{"managedBy":"iotEdge","authentication":{"type":"None","symmetricKey":null,"x509Thumbprint":{}}}`, `{"authentication":{"type":[`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := restfront.DecodeModule(body, hubward.Identity{Device: "d1", Module: "m1"})
		if err == nil && (m.DeviceID != "d1" || m.ModuleID != "m1") {
			t.Errorf("the body chose the id %q/%q", m.DeviceID, m.ModuleID)
		}
		if err != nil && restfront.FailureStatus(err) != 400 {
			t.Errorf("error %v is no 400", err)
		}
	})
}

// FuzzScopeJSON checks that a chain that is read begins with a device.
func FuzzScopeJSON(f *testing.F) {
	for _, seed := range []string{
		`{"pageSize":10,"authChain":"low;top"}`, `{"authChain":";;a;"}`, `{"authChain":";"}`, `{"targetDeviceId":"d","targetModuleId":"m","authChain":"low"}`,
		`{"continuationLink":"x","authChain":"a/b;c"}`, ``, `[]`, `{"pageSize":1e400,"authChain":"a"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		origin, err := restfront.DecodeScope(body)
		if err == nil && (origin == "" || bytes.ContainsRune([]byte(origin), ';')) {
			t.Errorf("the origin is %q", origin)
		}
		if err != nil && restfront.FailureStatus(err) != 400 {
			t.Errorf("error %v is no 400", err)
		}
	})
}

// FuzzModulePath checks that the id of a module comes out of a path as it went in, whatever is in it.
func FuzzModulePath(f *testing.F) {
	for _, seed := range []string{"m1", "$edgeAgent", "a b", "", "..", ".", "a%41", "a/b", "modules", "é", "a#b?c", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		segments, ok := restfront.SplitPath("/devices/d1/modules/" + url.PathEscape(id))
		if !ok || id != "" && (len(segments) != 4 || segments[3] != id) {
			t.Errorf("%q: %q, %t", id, segments, ok)
		}
	})
}

func FuzzBulkJSON(f *testing.F) {
	for _, seed := range []string{
		`[]`, ``, `{}`, `null`, `[null]`, `[{"id":"d1","importMode":"create"}]`, `[{"id":"d1","etag":"*","importMode":"DELETEIFMATCHETAG","status":null}]`,
		`[{"id":"a","eTag":"W/\"x\"","tags":{"a":{}},"properties":{"desired":{"b":1},"reported":{}},"twinETag":"y"},{"id":"a","moduleId":"m"}]`,
		`[{"id":1}]`, `[{"tags":[]}]`, `[[[[[[`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		items, err := restfront.DecodeBulk(body)
		if err != nil && restfront.FailureStatus(err) != 400 {
			t.Errorf("error %v is no 400", err)
		}
		if len(items) > len(body) {
			t.Errorf("%d items of %d bytes", len(items), len(body))
		}
	})
}

// FuzzTwinJSON checks that sections of a twin are passed on as JSON, in the bytes in which they came.
func FuzzTwinJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, ``, `null`, `[]`, `{"tags":{"a":1.0},"properties":{"desired":{"b":1e2},"reported":{"c":[]}}}`, `{"tags":null}`,
		`{"properties":{"desired":null}}`, `{"TAGS":{},"tags":[1]}`, `{"properties":5}`, `{"etag":null,"tags":{"a":"\ud800"}}`, `{"tags":{`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		u, err := restfront.DecodeTwin(body)
		if err != nil {
			if restfront.FailureStatus(err) != 400 {
				t.Errorf("error %v is no 400", err)
			}
			return
		}
		for _, section := range [][]byte{u.Tags, u.Desired} {
			if section != nil && (!json.Valid(section) || !bytes.Contains(body, section)) {
				t.Errorf("section %q of %q", section, body)
			}
		}
	})
}

// FuzzMethodJSON checks that time-outs are whole seconds, and the payload is JSON, in the bytes in which it came.
func FuzzMethodJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, ``, `null`, `{"methodName":"m","payload":{"a":1.0},"responseTimeoutInSeconds":3e1,"connectTimeoutInSeconds":5.0}`,
		`{"methodName":"m","payload":null,"responseTimeoutInSeconds":null}`, `{"methodName":"m","timeout":60}`, `{"timeout":-1e400}`,
		`{"responseTimeoutInSeconds":"30"}`, `{"connectTimeoutInSeconds":1e-400}`, `{"payload":"`, `{"timeout":0x1p4}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := restfront.DecodeMethod(body)
		if err != nil {
			if restfront.FailureStatus(err) != 400 {
				t.Errorf("error %v is no 400", err)
			}
			return
		}
		if m.ResponseTimeout%time.Second != 0 || m.ConnectTimeout%time.Second != 0 {
			t.Errorf("time-outs %v, %v", m.ResponseTimeout, m.ConnectTimeout)
		}
		if m.Payload != nil && (!json.Valid(m.Payload) || !bytes.Contains(body, m.Payload)) {
			t.Errorf("payload %q of %q", m.Payload, body)
		}
	})
}

// FuzzPath checks that no path escapes the router's bounds: as many segments as slashes allow, none twice unescaped.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/", "/devices/d1", "/devices%2Fd1", "/devices/a%25b/", "//", "/%", "/%24hubward/hubs/x/policies"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		segments, ok := restfront.SplitPath(path)
		if ok && (len(segments) == 0 || len(segments) > len(path)+1) {
			t.Errorf("SplitPath(%q) = %q", path, segments)
		}
	})
}

func FuzzEventQuery(f *testing.F) {
	f.Add("from=earliest&after=0:12,3:7")
	f.Add("from=2026-01-31T00:49:39Z&device=d1&consumerGroup=$Default")
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		q, err := restfront.EventQuery(values)
		if err != nil && restfront.FailureStatus(err) != 400 {
			t.Errorf("error %v is no 400", err)
		}
		for _, n := range q.After {
			if n+1 <= 0 {
				t.Errorf("position %d", n)
			}
		}
	})
}

func FuzzEventLine(f *testing.F) {
	f.Add([]byte(`{"a":1}`), "application/json", "name", "value")
	f.Add([]byte("\xff\x00"), "", "", "\x1b[2J")
	f.Fuzz(func(t *testing.T, body []byte, contentType, name, value string) {
		e := &hubward.Event{Message: hubward.Message{
			Body: body, ContentType: contentType, Properties: []hubward.Property{{Name: name, Value: value}},
		}}
		line, err := restfront.AppendEvent(nil, e)
		if err != nil || !json.Valid(line) || !utf8.Valid(line) || bytes.IndexByte(line, '\n') != len(line)-1 {
			t.Errorf("line %q, %v", line, err)
		}
	})
}
