package device_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
)

func TestUpdateReported_refusesWhatIsNoObject(t *testing.T) {
	n := newPipes(t)
	client := n.client(device.Options{})
	for _, patch := range []any{
		nil, 5, "text", []int{1}, []byte(`{"a":1}`), true, (*struct{})(nil), make(chan int),
		json.RawMessage(nil), json.RawMessage("null"), json.RawMessage(" "), json.RawMessage(`[{}]`), json.RawMessage(`{"a":}`), json.RawMessage(`{} {}`),
	} {
		if _, err := client.UpdateReported(t.Context(), patch); hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
			t.Errorf("%T %v: %v", patch, patch, err)
		}
	}
}

// The values of a patch are counted as the service counts them.
func TestUpdateReported_size(t *testing.T) {
	n := newPipes(t)
	client := n.client(device.Options{})
	text := func(n int) string { return strings.Repeat("x", n) }
	const limit = 32 << 10
	rows := []struct {
		name  string
		patch any
		large bool
	}{
		{"one below", map[string]string{"k": text(limit - 2)}, false},
		{"at the limit", map[string]string{"k": text(limit - 1)}, false},
		{"one above", map[string]string{"k": text(limit)}, true},
		{"a number counts 8", map[string]any{"n": 12345678901234, "k": text(limit - 10)}, false},
		{"a number counts 8, above", map[string]any{"n": 1, "k": text(limit - 9)}, true},
		{"a boolean counts 4", map[string]any{"b": true, "k": text(limit - 6)}, false},
		{"a boolean counts 4, above", map[string]any{"b": true, "k": text(limit - 5)}, true},
		{"bytes of UTF-8, no control characters", map[string]string{"é": text(limit-4) + "ü\x01\u0085\x7f"}, false},
		{"bytes of UTF-8, above", map[string]string{"é": text(limit-3) + "ü"}, true},
		{"what deletes counts for nothing", map[string]any{text(100): nil, "k": text(limit - 1)}, false},
		{"nested", map[string]any{"o": map[string]any{"a": []any{1, 2, map[string]any{"z": false}}, "k": text(limit - 1 - 1 - 16 - 5 - 1)}}, false},
		{"nested, above", map[string]any{"o": map[string]any{"a": []any{1, 2, map[string]any{"z": false}}, "k": text(limit - 1 - 1 - 16 - 5)}}, true},
		{"text, at the limit", json.RawMessage("{" + strings.Repeat(" ", 256<<10-2) + "}"), false},
		{"text, above", json.RawMessage("{" + strings.Repeat(" ", 256<<10-1) + "}"), true},
	}
	for _, row := range rows {
		_, err := client.UpdateReported(t.Context(), row.patch)
		want := hubward.CodeInvalidOperation // it is not connected
		if row.large {
			want = hubward.CodeMessageTooLarge
		}
		if hubward.CodeOf(err) != want {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

// The difference of two documents, merged into the older one, makes the newer one.
func FuzzDifference(f *testing.F) {
	f.Add(`{"a":1,"o":{"x":{"y":1}},"l":[1]}`, `{"a":1.0,"o":{"x":{}},"l":[]}`)
	f.Add(`{"a":{"b":1}}`, `{"a":1}`)
	f.Add(`{"a":1}`, `{"a":{"b":{"c":null}}}`)
	f.Add(`{}`, `{"":[{"n":null}],"u":"\u0000"}`)
	f.Fuzz(func(t *testing.T, older, newer string) {
		document, err := device.DecodeObject([]byte(older))
		want, err2 := device.DecodeObject([]byte(newer))
		if err != nil || err2 != nil || document == nil || want == nil {
			return
		}
		document, want = withoutNulls(document), withoutNulls(want)
		text, err := device.EncodeJSON(device.Difference(document, want))
		if err != nil {
			t.Fatal(err)
		}
		patch, err := device.DecodeObject(text)
		if err != nil {
			t.Fatal(err)
		}
		if device.Merge(document, patch); !reflect.DeepEqual(want, document) {
			t.Errorf("from %s to %s by %s: %v", older, newer, text, document)
		}
	})
}

// withoutNulls is a document as a twin can have it.
func withoutNulls(document map[string]any) map[string]any {
	clean := map[string]any{}
	device.Merge(clean, document)
	return clean
}
