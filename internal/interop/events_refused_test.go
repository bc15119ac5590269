//go:build interop

package interop_test

import (
	"encoding/base64"
	"testing"
)

// A refusal reaches the application as the SDK's own error for it.
func TestEvents_refused(t *testing.T) {
	cases := map[refusal]readOptions{
		wrongKey: {key: base64.StdEncoding.EncodeToString(make([]byte, 32))},
		noGroup:  {group: "none"},
	}
	eachReader(t, func(t *testing.T, r reader) {
		for why, o := range cases {
			open := r.open(t, o)
			wantError(t, r, open, why)
			stopReader(t, open)
		}
	})
}

// One exclusive reader displaces plain ones and those of a lower level, and while it is there nobody else
// reads in its consumer group. SDKs without levels meet an exclusive reader of another SDK.
func TestEvents_exclusiveReader(t *testing.T) {
	eachReader(t, func(t *testing.T, r reader) {
		holder := r
		if !r.exclusive {
			holder = readers()[0]
		}
		group := newGroup(t, r.name)
		open := func(r reader, level string) eventReader {
			opened := r.open(t, readOptions{group: group, start: "latest", level: level})
			t.Cleanup(func() { stopReader(t, opened) })
			return opened
		}
		ready := func(r eventReader) eventReader {
			if err := waitReady(r); err != nil {
				t.Fatal(err)
			}
			return r
		}
		plain := ready(open(r, ""))
		first := ready(open(holder, "1"))
		wantError(t, r, plain, displaced)
		second := ready(open(holder, "2"))
		wantError(t, holder, first, displaced)
		wantError(t, r, open(r, ""), excluded)
		if r.exclusive {
			wantError(t, r, open(r, "1"), outranked)
			// Not of the same level: @azure/event-hubs comes back by itself before it tells its program, and takes it back.
			ready(open(r, "3"))
			wantError(t, r, second, displaced)
		}
	})
}

// A partition has room for five plain readers in a consumer group. They go on reading when a sixth is refused.
func TestEvents_sixthReader(t *testing.T) {
	f := newFleet(t, "crowd")
	five := readers()[:5]
	group := newGroup(t, "crowd")
	open := map[string]eventReader{}
	for _, r := range five {
		open[r.name] = r.open(t, readOptions{group: group, start: "latest"})
	}
	for name, r := range open {
		if err := waitReady(r); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	eachReader(t, func(t *testing.T, r reader) {
		sixth := r.open(t, readOptions{group: group})
		defer stopReader(t, sixth)
		wantError(t, r, sixth, crowded)
	})
	f.send(t, 1)
	want := f.stored(t)
	for name, r := range open {
		t.Run("still there "+name, func(t *testing.T) {
			defer stopReader(t, r)
			f.wantExactly(t, r, want)
		})
	}
}
