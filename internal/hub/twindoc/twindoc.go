// Package twindoc is the documents of a twin: tags, desired and reported properties. It checks what clients write, makes it
// canonical, and merges it by RFC 7396 into what is stored. It is pure: the clock is passed in.
//
// A canonical document is one JSON object without white space, its members ordered by the bytes of their names, each name once,
// strings with the fewest escapes (no HTML escaping, valid UTF-8, neither U+0000 nor lone surrogates), numbers as they were
// written.
package twindoc

import (
	"errors"
	"time"
)

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

// Section is one section as it is stored.
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

var errNotBuilt = errors.New("twindoc: not built")

// ParsePatch checks a merge patch: an object, or null, which clears the section. What the hub itself writes into a section
// ($version, $metadata, $etag at its top) is left out. An object without members changes nothing: the result is nil.
//
// Errors: CodeFormatError for what is no JSON; CodeArgumentInvalid, which names the path of the property, for all else.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-device-twins, tags and properties format; RFC 7396.
func ParsePatch(k Kind, text []byte) (*Patch, error) { return nil, errNotBuilt }

// ParseDocument checks the document that is to replace a section, as ParsePatch does; members that are null are left out, and
// null is {}. The result is never nil.
func ParseDocument(k Kind, text []byte) (*Patch, error) { return nil, errNotBuilt }

// Merge returns s with p merged into it at a time. The version grows by one, that of tags stays 0.
//
// Errors: CodeArgumentInvalid when the section would be larger than it may be.
func (s Section) Merge(p *Patch, at time.Time) (Section, error) { return s, errNotBuilt }

// Replace returns s with p in its place. Errors are as for Merge.
func (s Section) Replace(p *Patch, at time.Time) (Section, error) { return s, errNotBuilt }

// AppendDocument appends the section as devices see it: with $version, which tags have none of.
func (s Section) AppendDocument(dst []byte) []byte { return dst }

// AppendFull appends the section as back ends see it: with $metadata and $version, which tags have none of. The stored section
// does not say of which kind it is.
//
// Errors: what is stored is damaged, or of a newer program.
func (s Section) AppendFull(dst []byte, k Kind) ([]byte, error) { return nil, errNotBuilt }

// AppendChange appends what the event of a change shows of the section after the change: the members of p, nulls for those
// that were removed, with the $metadata of these, and $version. A cleared section shows each of its former top members (before
// is the section as it was) as null.
func (s Section) AppendChange(dst []byte, before Section, p *Patch) []byte { return dst }

// Notification returns what a device is told of a change, with $version: the members of p, and null for each that it clears.
// For a replacement it is the new document, and null for every member that is gone, at any depth. It is nil when there is
// nothing but the version to tell, which clients do not take.
func (s Section) Notification(before Section, p *Patch, replaced bool) []byte { return nil }

// CanonicalValue appends any JSON value, checked: names once in each object, at most maxDepth levels of objects and arrays,
// strings as in a document, numbers as they were written; the order of members is kept. It is what payloads of direct methods
// go through, so that no peer gets what its parser refuses.
//
// Errors: CodeFormatError.
func CanonicalValue(dst, text []byte, maxDepth int) ([]byte, error) { return nil, errNotBuilt }
