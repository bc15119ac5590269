package restfront_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/hubward/hubward"
)

// Every call with JSON reads what the tools of Windows write, or says what it is.
func TestBody_encodings(t *testing.T) {
	f := newFixture(t)
	batch := map[string]string{"Content-Type": "application/vnd.microsoft.iothub.json"}
	token := f.deviceToken(f.create("d1"))
	f.create("d0")
	for name, a := range map[string]ask{
		"device":    {method: "PUT", path: "/devices/d0" + version, body: `{"status":"enabled"}`, header: map[string]string{"If-Match": "*"}},
		"bulk":      {method: "POST", path: "/devices" + version, body: `[{"id":"d2"}]`},
		"keys":      {method: "POST", path: "/devices/keys/regenerate" + version, body: `{"policyKey":"both","devices":[]}`},
		"hub":       {method: "PATCH", path: "/$hubward/hubs/plant", body: `{"retention":"2h"}`},
		"policy":    {method: "PUT", path: "/$hubward/hubs/plant/policies/p", body: `{"permissions":["ServiceConnect"]}`},
		"telemetry": {method: "POST", path: eventsPath, token: token, header: batch, body: `[{"body":"eA=="}]`},
	} {
		text := a.body
		a.body = "\uFEFF" + text
		if r := f.do(a); r.StatusCode/100 != 2 {
			t.Errorf("%s with a byte order mark: %d %s", name, r.StatusCode, r.body)
		}
		var wide []byte
		for _, u := range utf16.Encode([]rune("\uFEFF" + text)) {
			wide = binary.LittleEndian.AppendUint16(wide, u)
		}
		a.body = string(wide)
		f.do(a).wantError(t, hubward.CodeFormatError, "UTF-16, save or send it as UTF-8")
		a.body = text[:len(text)-2] + "\xE9" + text[len(text)-2:]
		f.do(a).wantError(t, hubward.CodeFormatError, "it is not UTF-8: byte")
	}
	f.do(ask{method: "POST", path: "/devices" + version, body: "\uFEFF"}).wantError(t, hubward.CodeArgumentNull, "no body")
}

// A member of the wrong type is named as it stands in the body.
func TestBody_wrongTypes(t *testing.T) {
	f := newFixture(t)
	for body, want := range map[string]string{
		`{"status":5}`: ";status: a JSON number", `{"authentication":{"symmetricKey":{"primaryKey":[]}}}`: ";authentication.symmetricKey.primaryKey: a JSON array",
		`[]`: ";the body: a JSON array", `{"capabilities":{"iotEdge":"yes"}}`: ";capabilities.iotEdge: a JSON string",
	} {
		if r := f.do(ask{method: "PUT", path: "/devices/d1" + version, body: body}); !strings.Contains(r.body, want) {
			t.Errorf("%s: %s, want %s", body, r.body, want)
		}
	}
}
