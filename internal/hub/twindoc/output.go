package twindoc

import (
	"encoding/binary"
	"strconv"

	"github.com/hubward/hubward"
)

// AppendDocument appends the section as devices see it: with $version, which tags have none of.
func (s Section) AppendDocument(dst []byte) []byte {
	return s.appendVersion(appendMembers(dst, s.document()))
}

// AppendFull appends the section as back ends see it: with $metadata and $version, which tags have none of.
//
// Errors: what is stored is damaged, or of a newer program.
func (s Section) AppendFull(dst []byte) ([]byte, error) {
	if s.Version == 0 {
		return append(dst, s.document()...), nil
	}
	m, err := s.metadata(Reported)
	if err != nil {
		return nil, err
	}
	w := metadataWriter{doc: reader{text: s.document()}, metadata: m, number: -1}
	w.dst = appendName(appendMembers(dst, s.document()), "$metadata")
	isObject := w.doc.peek() == '{'
	w.value(w.next())
	if !isObject || w.doc.failed || w.doc.at < len(w.doc.text) || len(w.nodes) > 0 {
		return nil, errDamaged
	}
	return s.appendVersion(w.dst), nil
}

// AppendChange appends what the event of a change shows of the section after the change: the members of p, nulls for those
// that were removed, with the $metadata of the others, and $version. A cleared section shows each of its former top members
// (before is the section as it was) as null. s is what Merge has made of before and p.
func (s Section) AppendChange(dst []byte, before Section, p *Patch) []byte {
	dst = appendPatchMembers(dst, before, p)
	if p.kind == Tags {
		return append(dst, '}')
	}
	// What the patch has written has the stamp of the section itself.
	if m, err := s.metadata(p.kind); err == nil {
		w := metadataWriter{doc: reader{text: p.document()}, metadata: m, number: -1}
		w.dst = appendName(dst, "$metadata")
		text := w.next()
		w.uniform = true
		w.value(text)
		dst = w.dst
	}
	return s.appendVersion(dst)
}

// document returns a patch that clears as one that changes nothing.
func (p *Patch) document() []byte {
	if p.doc == nil {
		return []byte(`{}`)
	}
	return p.doc
}

// appendMembers appends a document without its end.
func appendMembers(dst, document []byte) []byte {
	return append(dst, document[:len(document)-1]...)
}

// appendPatchMembers appends the members of p, with null for all that it clears, and no end.
func appendPatchMembers(dst []byte, before Section, p *Patch) []byte {
	if p.doc != nil {
		return appendMembers(dst, p.doc)
	}
	dst = append(dst, '{')
	first := len(dst)
	r := reader{text: before.document()}
	r.open()
	for e := r.entry(); e.ok; e = r.entry() {
		if len(dst) > first {
			dst = append(dst, ',')
		}
		dst = append(append(dst, r.text[e.start:r.at]...), "null"...)
		r.skip()
	}
	return dst
}

// appendName appends a name to an object that has no end yet.
func appendName(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return append(append(append(dst, '"'), name...), '"', ':')
}

// appendVersion appends the $version of a section of properties, and its end.
func (s Section) appendVersion(dst []byte) []byte {
	if s.Version != 0 {
		dst = strconv.AppendInt(appendName(dst, "$version"), s.Version, 10)
	}
	return append(dst, '}')
}

// metadataWriter prints metadata, in step with a document.
type metadataWriter struct {
	dst []byte
	doc reader
	metadata

	number  int    // of the stamp that is in text; -1 for none
	text    []byte // members of metadata
	uniform bool   // all has that stamp, and nodes does not count
}

// next takes the next node, and returns the members that its stamp makes.
func (w *metadataWriter) next() []byte {
	if w.uniform {
		return w.text
	}
	if len(w.nodes) == 0 {
		w.doc.fail()
		return nil
	}
	number := int(binary.BigEndian.Uint16(w.nodes))
	w.nodes = w.nodes[nodeWidth:]
	if number != w.number {
		s, ok := w.stamp(number)
		if !ok {
			w.doc.fail()
		}
		w.number, w.text = number, appendStampText(w.text[:0], s, w.width == 16)
	}
	return w.text
}

// value prints the metadata of the value that comes next in the document.
func (w *metadataWriter) value(text []byte) {
	w.dst = append(w.dst, '{')
	w.dst = append(w.dst, text...)
	if w.doc.peek() != '{' {
		w.doc.skip()
		w.dst = append(w.dst, '}')
		return
	}
	w.doc.open()
	for e := w.doc.entry(); e.ok; e = w.doc.entry() {
		if w.doc.peek() == 'n' {
			w.doc.skip()
			continue
		}
		w.dst = append(append(w.dst, ','), w.doc.text[e.start:w.doc.at]...)
		w.value(w.next())
	}
	w.dst = append(w.dst, '}')
}

// appendStampText appends $lastUpdated and, if it is kept, $lastUpdatedVersion. What nobody has written has no version, and a time
// without a fraction.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-non-telemetry-event-schema, where the example of a life cycle event shows
// the sections of a new module, and that of a twin change event what is written.
func appendStampText(dst []byte, s stamp, withVersion bool) []byte {
	if s.ticks == 0 {
		return append(dst, `"$lastUpdated":"0001-01-01T00:00:00Z"`...)
	}
	dst = s.time().AppendFormat(append(dst, `"$lastUpdated":"`...), hubward.TimeLayout)
	dst = append(dst, '"')
	if withVersion {
		dst = strconv.AppendInt(append(dst, `,"$lastUpdatedVersion":`...), s.version, 10)
	}
	return dst
}
