package twindoc_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hubward/hubward/internal/hub/twindoc"
)

func TestCheck(t *testing.T) {
	desired := merge(t, twindoc.Section{Version: 1}, twindoc.Desired, `{"a":{"b":1},"c":["x",{"d":true}]}`, start)
	large := written(t, 100)
	tags := twindoc.Section{Document: []byte(`{"a":1}`), Size: 9}
	at := func(s twindoc.Section, i int, flip byte) twindoc.Section { // a byte of the metadata, from the end if i is negative
		s.Metadata = bytes.Clone(s.Metadata)
		s.Metadata[(i+len(s.Metadata))%len(s.Metadata)] ^= flip
		return s
	}
	with := func(s twindoc.Section, change func(s *twindoc.Section)) twindoc.Section {
		change(&s)
		return s
	}
	document := func(text string) twindoc.Section {
		return with(desired, func(s *twindoc.Section) { s.Document = []byte(text) })
	}
	type row struct {
		kind    twindoc.Kind
		section twindoc.Section
		want    string
	}
	for name, test := range map[string]row{
		"nobody has written":     {twindoc.Reported, twindoc.Section{Version: 1}, ""},
		"tags of nobody":         {twindoc.Tags, twindoc.Section{}, ""},
		"tags":                   {twindoc.Tags, tags, ""},
		"desired":                {twindoc.Desired, desired, ""},
		"large":                  {twindoc.Reported, large, ""},
		"no JSON":                {twindoc.Desired, document(`{"a":`), "properties.desired: "},
		"nothing":                {twindoc.Desired, document(` `), "properties.desired: "},
		"no object":              {twindoc.Desired, document(`[1]`), "not canonical"},
		"white space":            {twindoc.Desired, document(`{"a": 1}`), "not canonical"},
		"another order":          {twindoc.Desired, document(`{"b":1,"a":2}`), "not canonical"},
		"a name twice":           {twindoc.Desired, document(`{"a":1,"a":2}`), "not canonical"},
		"null":                   {twindoc.Desired, document(`{"a":null}`), "not canonical"},
		"an escape":              {twindoc.Desired, document(`{"a":"\u0041"}`), "not canonical"},
		"size":                   {twindoc.Desired, with(desired, func(s *twindoc.Section) { s.Size++ }), "the size is"},
		"version 0":              {twindoc.Desired, with(desired, func(s *twindoc.Section) { s.Version = 0 }), "the version is 0"},
		"version of tags":        {twindoc.Tags, with(tags, func(s *twindoc.Section) { s.Version = 1 }), "the version is 1"},
		"metadata of tags":       {twindoc.Tags, with(tags, func(s *twindoc.Section) { s.Metadata = desired.Metadata }), "not of this section"},
		"no metadata":            {twindoc.Desired, with(desired, func(s *twindoc.Section) { s.Metadata = nil }), "there are none"},
		"metadata cut":           {twindoc.Desired, with(desired, func(s *twindoc.Section) { s.Metadata = s.Metadata[:5] }), "damaged"},
		"metadata of the future": {twindoc.Desired, at(desired, 0, 2), "has version 3"},
		"metadata of reported":   {twindoc.Reported, desired, "not of this section"},
		"a node less":            {twindoc.Desired, with(desired, func(s *twindoc.Section) { s.Metadata = s.Metadata[:len(s.Metadata)-2] }), "of 3 properties, there are 4"},
		"an unknown stamp":       {twindoc.Desired, at(desired, -1, 0x40), "number 3"},
		"a later version":        {twindoc.Desired, with(desired, func(s *twindoc.Section) { s.Version = 1 }), "a version to come"},
		"an offset of the index": {twindoc.Reported, at(large, -3, 1), "of the index"},
		"a node of the index":    {twindoc.Reported, at(large, -1, 1), "of the index"},
	} {
		err := test.section.Check(test.kind)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
		if err != nil && !strings.HasPrefix(err.Error(), test.kind.String()+": ") {
			t.Errorf("%s: %v does not name the section", name, err)
		}
	}
}
