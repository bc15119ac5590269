// Package twindoc is the documents of a twin: tags, desired and reported properties. It checks what clients write, makes it
// canonical, and merges it by RFC 7396 into what is stored. It is pure: the clock is passed in.
//
// A canonical document is one JSON object without white space, its members ordered by the bytes of their names as they stand
// there, each name once, strings with the fewest escapes (no HTML escaping, valid UTF-8, neither U+0000 nor lone surrogates),
// numbers as they were written. Two such documents are merged as two sorted lists are, in one pass over both: what a patch does
// not name is copied as bytes, and no tree is built.
package twindoc

import "errors"

// Kind is one of the three sections of a twin.
type Kind int

// The sections.
const (
	Tags Kind = iota
	Desired
	Reported
)

// String returns the path of the section in a twin, as errors name it: "tags", "properties.desired", "properties.reported".
func (k Kind) String() string {
	return [...]string{"tags", "properties.desired", "properties.reported"}[k]
}

// Section is one section as it is stored. What its slices hold is never changed: sections, patches and notifications share it.
type Section struct {
	Document []byte // canonical; nil is {}
	Metadata []byte // when each member was written, and with which version, encoded; nil for tags, and for what nobody has written
	Version  int64  // $version, 1 for what nobody has written; 0 for tags
	Size     int    // by the arithmetic of the limits
}

// Patch is what a client has written to a section, checked and canonical. nil stands for no change at all.
type Patch struct {
	kind Kind
	doc  []byte // canonical; members that are null are to be removed; nil: the whole section is to be cleared
}

var errDamaged = errors.New("twindoc: the stored section is damaged")

// ParsePatch checks a merge patch: an object, or null, which clears the section (but reported properties, which take no null).
// What the hub itself writes into a section ($version, $metadata, $etag at its top) is left out. Of members of one name the
// last one counts. An object without members changes nothing: the result is nil. text is not kept.
//
// Errors: CodeFormatError for what is no JSON; CodeArgumentInvalid, which names the path of the property, for all else.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-device-twins, tags and properties format; RFC 7396.
func ParsePatch(k Kind, text []byte) (*Patch, error) {
	p := parser{text: text, limits: true, maxDepth: maxDepth}
	isNull, f := p.section(k != Reported)
	switch {
	case f != nil:
		return nil, f.of(k)
	case isNull:
		return &Patch{kind: k}, nil
	case len(p.out) == len(`{}`):
		return nil, nil
	}
	return &Patch{kind: k, doc: p.out}, nil
}

// ParseDocument checks the document that is to replace a section, as ParsePatch does; members that are null are left out, and
// null is {}. The result is never nil.
func ParseDocument(k Kind, text []byte) (*Patch, error) {
	p := parser{text: text, limits: true, dropNulls: true, maxDepth: maxDepth}
	isNull, f := p.section(true)
	switch {
	case f != nil:
		return nil, f.of(k)
	case isNull:
		return &Patch{kind: k, doc: []byte(`{}`)}, nil
	}
	return &Patch{kind: k, doc: p.out}, nil
}

// CanonicalValue appends any JSON value, checked: names once in each object (the last one of each counts), at most maxDepth
// levels of objects and arrays, strings as in a document, numbers as they were written, none that a float64 cannot hold; the
// order of members is kept. It is what payloads of direct methods go through, so that no peer gets what its parser refuses.
//
// Errors: CodeFormatError.
func CanonicalValue(dst, text []byte, maxDepth int) ([]byte, error) {
	var few [8]member // of most values, all
	p := parser{text: text, out: dst, keepOrder: true, maxDepth: maxDepth, members: few[:0]}
	f := p.value(place{})
	if f == nil {
		f = p.end()
	}
	if f != nil {
		return nil, f.ofValue()
	}
	return p.out, nil
}
