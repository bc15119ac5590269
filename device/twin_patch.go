package device

import (
	"bytes"
	"encoding/json"
	"reflect"
	"unicode/utf8"

	"github.com/hubward/hubward"
)

const (
	// maxReported is how large the reported properties may be, by the arithmetic of sizeOf.
	//
	// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-device-twins, size.
	maxReported = 32 << 10
	// maxPatchText bounds the text of a patch: white space and escapes count for nothing in that arithmetic, but a packet has
	// a limit.
	maxPatchText = 256 << 10
)

// reportedPatch returns the text of a patch of the reported properties, which belongs to the caller no more.
func reportedPatch(patch any) ([]byte, error) {
	text, err := encodeJSON(patch)
	if err != nil {
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "the patch cannot be encoded: %v", err)
	}
	if raw, ok := patch.(json.RawMessage); ok {
		text = bytes.Clone(raw) // encodeJSON has checked it, and changed its white space
	}
	if start := bytes.TrimLeft(text, " \t\r\n"); len(start) == 0 || start[0] != '{' {
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "the patch of reported properties has to be a JSON object, not %.20s", text)
	}
	if len(text) > maxPatchText {
		return nil, hubward.Errorf(hubward.CodeMessageTooLarge, "the patch has %d bytes of JSON, the limit is %d", len(text), maxPatchText)
	}
	members, err := decodeObject(text)
	if err != nil {
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "the patch is no JSON: %v", err)
	}
	if n := sizeOf(members); n > maxReported {
		return nil, hubward.Errorf(hubward.CodeMessageTooLarge, "the patch has %d bytes of names and values, the limit of all reported properties is %d", n, maxReported)
	}
	return text, nil
}

// encodeJSON encodes v as json.Marshal does, except that <, > and & stay as they are.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decodeJSON decodes as json.Unmarshal does; numbers in an any stay as they are written.
func decodeJSON(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(v)
}

// decodeObject reads a JSON object.
func decodeObject(text []byte) (object map[string]any, err error) {
	err = decodeJSON(text, &object)
	return object, err
}

// sizeOf returns how much a value counts for the limits of a twin: names and strings without control characters, 8 bytes for a
// number, 4 for a boolean. What is null, and deletes, counts for nothing here.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-device-twins, size.
func sizeOf(v any) int {
	switch v := v.(type) {
	case map[string]any:
		n := 0
		for name, member := range v {
			if member != nil {
				n += sizeOf(name) + sizeOf(member)
			}
		}
		return n
	case []any:
		n := 0
		for _, element := range v {
			n += sizeOf(element)
		}
		return n
	case string:
		n := 0
		for _, r := range v {
			if r >= 0x20 && (r < 0x7f || r > 0x9f) {
				n += utf8.RuneLen(r)
			}
		}
		return n
	case json.Number:
		return 8
	case bool:
		return 4
	}
	return 0
}

// merge merges a patch into a document by RFC 7396. It keeps parts of the patch.
func merge(document, patch map[string]any) {
	for name, v := range patch {
		inner, isObject := v.(map[string]any)
		switch {
		case v == nil:
			delete(document, name)
		case isObject:
			old, _ := document[name].(map[string]any)
			if old == nil {
				old = map[string]any{}
			}
			merge(old, inner)
			document[name] = old
		default:
			document[name] = v
		}
	}
}

// difference returns the patch that makes a document of an older one. It shares parts with them.
func difference(older, newer map[string]any) map[string]any {
	patch := map[string]any{}
	for name := range older {
		if _, stays := newer[name]; !stays {
			patch[name] = nil
		}
	}
	for name, v := range newer {
		was, known := older[name]
		a, wasObject := was.(map[string]any)
		b, isObject := v.(map[string]any)
		switch {
		case known && reflect.DeepEqual(was, v):
		case wasObject && isObject:
			patch[name] = difference(a, b)
		default:
			patch[name] = v
		}
	}
	return patch
}
