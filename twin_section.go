package hubward

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// DecodeSection decodes a section of a twin (tags, desired or reported properties) into v, without what the hub adds at its top,
// $metadata and $version. It is json.Unmarshal otherwise, except that a number in an any becomes a json.Number, so that none
// loses digits.
func DecodeSection(section json.RawMessage, v any) error {
	plain, err := PlainSection(section)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(plain))
	dec.UseNumber()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("hubward.DecodeSection: %w", err)
	}
	return nil
}

// PlainSection returns a section without what the hub adds at its top: the members whose names begin with $. The others have
// their values as they are, and are ordered by name. A section that is empty or null is {}.
func PlainSection(section json.RawMessage) (json.RawMessage, error) {
	members := map[string]json.RawMessage{}
	if len(section) > 0 {
		if err := json.Unmarshal(section, &members); err != nil {
			return nil, fmt.Errorf("hubward.PlainSection: %w", err)
		}
	}
	for name := range members {
		if strings.HasPrefix(name, "$") {
			delete(members, name)
		}
	}
	if members == nil { // it was null
		return json.RawMessage("{}"), nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(members); err != nil {
		return nil, fmt.Errorf("hubward.PlainSection: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// SectionVersion returns the $version of a section of properties, and 0 where there is none, as in tags.
func SectionVersion(section json.RawMessage) int64 {
	var s struct {
		Version json.Number `json:"$version"`
	}
	if json.Unmarshal(section, &s) != nil {
		return 0
	}
	if n, err := s.Version.Int64(); err == nil {
		return n
	}
	f, _ := s.Version.Float64() // some write 3.0
	return int64(f)
}
