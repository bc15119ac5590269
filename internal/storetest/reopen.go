package storetest

import (
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

// Durable is a store that outlives its process.
type Durable interface {
	hub.Store
	Close() error
}

// RunReopen tests what a store still knows after it was closed and opened again. open opens the store that lives in
// dir, and makes it if there is none.
func RunReopen(t *testing.T, open func(t *testing.T, dir string) Durable) {
	t.Run("keepsEverything", func(t *testing.T) { testReopenKeeps(t, open) })
	t.Run("keepsDeletions", func(t *testing.T) { testReopenDeletions(t, open) })
	t.Run("nobodyIsConnected", func(t *testing.T) { testReopenDisconnects(t, open) })
	t.Run("closedStoreRefuses", func(t *testing.T) { testClosed(t, open) })
}

func closeStore(t *testing.T, s Durable) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func testReopenKeeps(t *testing.T, open func(t *testing.T, dir string) Durable) {
	dir := t.TempDir()
	s := open(t, dir)
	withHome(t, s)
	create(t, s, homeHub, aDevice("d"))
	id := hubward.Identity{Device: "d"}
	saveSession(t, s, homeHub, id, someFilters)
	fillQueue(t, s, "d", 3)
	endMessage(t, s, "d")
	makeBatch(t, s, 1)
	lockMessage(t, s, "d")
	queue := readQueue(t, s, "d")
	for range 2 {
		closeStore(t, s)
		s = open(t, dir)
		wantHubs(t, s, aHub(homeHub, aTime))
		want := aDevice("d")
		want.CloudToDeviceMessageCount = 2
		wantEqual(t, "device", device(t, s, homeHub, "d"), want)
		wantSession(t, s, homeHub, id, someFilters)
		wantEqual(t, "queue", readQueue(t, s, "d"), queue)
		wantContents(t, s, "d", 1, 9, "2:two", "3:three")
	}
	wantEqual(t, "feedback", lockBatch(t, s, "t", aTime).Records, []c2dqueue.Record{aRecord("d", 1)})
	closeStore(t, s)
}

func testReopenDeletions(t *testing.T, open func(t *testing.T, dir string) Durable) {
	dir := t.TempDir()
	s := open(t, dir)
	withHome(t, s)
	saveHub(t, s, aHub("gone", aTime))
	create(t, s, homeHub, aDevice("d"))
	edit(t, s, homeHub, "d", remove)
	if err := s.DeleteHub(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	s = open(t, dir)
	wantHubs(t, s, aHub(homeHub, aTime))
	wantNoDevice(t, s, homeHub, "d")
	closeStore(t, s)
}

// testReopenDisconnects: connections do not outlive the process that held them, whether or not it could say so.
func testReopenDisconnects(t *testing.T, open func(t *testing.T, dir string) Durable) {
	dir := t.TempDir()
	s := open(t, dir)
	withHome(t, s)
	create(t, s, homeHub, aDevice("connected"))
	create(t, s, homeHub, aDevice("idle"))
	later := aTime.Add(time.Hour)
	record(t, s, homeHub, hub.Activity{ID: "connected", State: hubward.Connected, StateUpdated: later, LastActivity: later})
	closeStore(t, s)

	s = open(t, dir)
	got := device(t, s, homeHub, "connected")
	if !got.ConnectionStateUpdatedTime.After(later) {
		t.Errorf("connection state updated %v, want the time of the second opening", got.ConnectionStateUpdatedTime)
	}
	want := aDevice("connected")
	want.ConnectionStateUpdatedTime = got.ConnectionStateUpdatedTime
	want.LastActivityTime = hubward.Time{Time: later}
	wantEqual(t, "device that was connected", got, want)
	wantEqual(t, "device that was not", device(t, s, homeHub, "idle"), aDevice("idle"))
	closeStore(t, s)
}

func testClosed(t *testing.T, open func(t *testing.T, dir string) Durable) {
	s := open(t, t.TempDir())
	withHome(t, s)
	closeStore(t, s)
	closeStore(t, s) // twice is once
	wantCode(t, s.SaveHub(t.Context(), aHub("late", aTime)), hubward.CodeServiceUnavailable)
	wantCode(t, s.Ping(t.Context()), hubward.CodeServiceUnavailable)
	_, err := s.Device(t.Context(), homeHub, "d")
	wantCode(t, err, hubward.CodeServiceUnavailable)
	_, err = s.Hubs(t.Context())
	wantCode(t, err, hubward.CodeServiceUnavailable)
}
