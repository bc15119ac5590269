package twindoc

import "bytes"

// Notification returns what a device is told of a change, with $version: the members of p, and null for each that it clears.
// For a replacement it is the new document, and null for every member that is gone, at any depth. It is nil when there is
// nothing but the version to tell, which clients do not take. A device that merges it into before has s.
func (s Section) Notification(before Section, p *Patch, replaced bool) []byte {
	if p == nil {
		return nil
	}
	var dst []byte
	if replaced {
		dst = appendDifference(dst, before.document(), s.document())
	} else {
		dst = appendPatchMembers(dst, before, p)
	}
	if len(dst) == len(`{`) {
		return nil
	}
	return s.appendVersion(dst)
}

// appendDifference appends the patch that makes one document of another, without its end.
func appendDifference(dst, old, next []byte) []byte {
	d := differ{dst: dst, old: reader{text: old}, next: reader{text: next}}
	d.object()
	return d.dst[:len(d.dst)-1]
}

// differ goes over two documents side by side.
type differ struct {
	dst       []byte
	old, next reader
}

// object appends the next object with null for what is only in the old one.
func (d *differ) object() {
	d.old.open()
	d.next.open()
	d.dst = append(d.dst, '{')
	first := len(d.dst)
	old, next := d.old.entry(), d.next.entry()
	for old.ok || next.ok {
		if len(d.dst) > first {
			d.dst = append(d.dst, ',')
		}
		order := 0
		switch {
		case !old.ok:
			order = 1
		case !next.ok:
			order = -1
		default:
			order = bytes.Compare(old.name, next.name)
		}
		if order < 0 {
			d.dst = append(append(d.dst, d.old.text[old.start:d.old.at]...), "null"...)
			d.old.skip()
			old = d.old.entry()
			continue
		}
		d.dst = append(d.dst, d.next.text[next.start:d.next.at]...)
		if order == 0 && d.old.peek() == '{' && d.next.peek() == '{' {
			d.object()
			old, next = d.old.entry(), d.next.entry()
			continue
		}
		from := d.next.at
		d.next.skip()
		d.dst = append(d.dst, d.next.text[from:d.next.at]...)
		next = d.next.entry()
		if order == 0 {
			d.old.skip()
			old = d.old.entry()
		}
	}
	d.dst = append(d.dst, '}')
}
