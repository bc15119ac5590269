package storetest

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

var sessionTests = []test{
	{"keepBytes", testSessionBytes},
	{"saveReplaces", testSessionReplace},
	{"emptyOneExists", testSessionEmpty},
	{"nilForgets", testSessionForget},
	{"newerClaimWins", testSessionFences},
	{"newerClaimForgets", testSessionForgetFences},
	{"needAnIdentity", testSessionOrphan},
}

// aState is the state of a session: any bytes.
var aState = []byte("[{\"filter\":\"#\"}]\x00\xff\xfe no UTF-8")

func saveSession(t *testing.T, s hub.Store, hubName string, id hubward.Identity, fence uint64, state []byte) {
	t.Helper()
	if err := s.SaveSession(t.Context(), hubName, id, fence, state); err != nil {
		t.Fatalf("SaveSession(%s, %d): %v", id, fence, err)
	}
}

// wantDisplaced tries to save with a fence that is too old.
func wantDisplaced(t *testing.T, s hub.Store, id hubward.Identity, fence uint64) {
	t.Helper()
	for _, state := range [][]byte{[]byte("too late"), {}, nil} {
		err := s.SaveSession(t.Context(), homeHub, id, fence, state)
		wantCode(t, err, hubward.CodeConnectionClosedOnNewOne)
	}
}

func wantSession(t *testing.T, s hub.Store, hubName string, id hubward.Identity, want []byte) {
	t.Helper()
	got, present, err := s.Session(t.Context(), hubName, id)
	if err != nil || !present || !bytes.Equal(got, want) {
		t.Errorf("Session(%s, %s): %q, %v, %v, want %q", hubName, id, got, present, err, want)
	}
}

func wantNoSession(t *testing.T, s hub.Store, hubName string, id hubward.Identity) {
	t.Helper()
	got, present, err := s.Session(t.Context(), hubName, id)
	if err != nil || present || len(got) != 0 {
		t.Errorf("Session(%s, %s): %q, %v, %v, want no session", hubName, id, got, present, err)
	}
}

func testSessionBytes(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	wantNoSession(t, s, homeHub, dev("d"))
	for fence, state := range [][]byte{aState, {0}, []byte(strings.Repeat("\x00\xff", 40<<10))} {
		saveSession(t, s, homeHub, dev("d"), uint64(fence), state)
		wantSession(t, s, homeHub, dev("d"), state)
	}
	wantNoSession(t, s, homeHub, dev("D"))
	wantNoSession(t, s, homeHub, mod("d", "m"))
	wantNoSession(t, s, "nowhere", dev("d"))
}

func testSessionReplace(t *testing.T, s hub.Store) {
	withHome(t, s, "d", "e")
	saveSession(t, s, homeHub, dev("e"), 1, aState)
	saveSession(t, s, homeHub, dev("d"), 1, aState)
	saveSession(t, s, homeHub, dev("d"), 1, []byte("short")) // by the same claim
	wantSession(t, s, homeHub, dev("d"), []byte("short"))
	wantSession(t, s, homeHub, dev("e"), aState)
}

func testSessionEmpty(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	saveSession(t, s, homeHub, dev("d"), 1, []byte{})
	wantSession(t, s, homeHub, dev("d"), nil)
}

func testSessionForget(t *testing.T, s hub.Store) {
	withHome(t, s, "d", "e")
	saveSession(t, s, homeHub, dev("e"), 1, aState)
	saveSession(t, s, homeHub, dev("d"), 1, aState)
	for range 2 { // the second time there is none, which is no error
		saveSession(t, s, homeHub, dev("d"), 1, nil)
		wantNoSession(t, s, homeHub, dev("d"))
	}
	saveSession(t, s, homeHub, dev("d"), 1, aState)
	wantSession(t, s, homeHub, dev("d"), aState)
	wantSession(t, s, homeHub, dev("e"), aState)
}

func testSessionFences(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	saveSession(t, s, homeHub, dev("d"), 5, []byte("five"))
	wantDisplaced(t, s, dev("d"), 4)
	wantDisplaced(t, s, dev("d"), 0)
	wantSession(t, s, homeHub, dev("d"), []byte("five"))
	saveSession(t, s, homeHub, dev("d"), 6, []byte("six"))
	wantDisplaced(t, s, dev("d"), 5)
	saveSession(t, s, homeHub, dev("d"), math.MaxInt64, []byte("last"))
	wantDisplaced(t, s, dev("d"), math.MaxInt64-1)
	wantSession(t, s, homeHub, dev("d"), []byte("last"))

	edit(t, s, homeHub, dev("d"), remove)
	create(t, s, homeHub, aDevice("d"))
	saveSession(t, s, homeHub, dev("d"), 1, aState) // fences go with the identity
	wantSession(t, s, homeHub, dev("d"), aState)
}

// testSessionForgetFences: what a claim has ended, no older one brings back.
func testSessionForgetFences(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	saveSession(t, s, homeHub, dev("d"), 5, aState)
	saveSession(t, s, homeHub, dev("d"), 7, nil)
	wantDisplaced(t, s, dev("d"), 6)
	wantNoSession(t, s, homeHub, dev("d"))
	saveSession(t, s, homeHub, dev("d"), 8, nil) // there is none, and yet the claim is noted
	wantDisplaced(t, s, dev("d"), 7)
	saveSession(t, s, homeHub, dev("d"), 8, aState)
	wantSession(t, s, homeHub, dev("d"), aState)
}

func testSessionOrphan(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	for _, c := range []struct {
		hubName string
		id      hubward.Identity
	}{
		{homeHub, dev("unknown")}, {homeHub, mod("d", "unknown")}, {"nowhere", dev("d")}, {"nowhere", mod("d", "m")},
	} {
		wantNotFound(t, s.SaveSession(t.Context(), c.hubName, c.id, 1, aState), c.id)
		wantNotFound(t, s.SaveSession(t.Context(), c.hubName, c.id, 1, []byte{}), c.id)
		saveSession(t, s, c.hubName, c.id, 1, nil) // there is nothing to forget
		wantNoSession(t, s, c.hubName, c.id)
	}
}
