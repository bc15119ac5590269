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
	t.Run("keepsConnections", func(t *testing.T) { testReopenConnections(t, open) })
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
	home := saveHub(t, s, aHub(homeHub, aTime))
	create(t, s, homeHub, aDevice("d"))
	create(t, s, homeHub, anIdentity(mod("d", "m")))
	saveSession(t, s, homeHub, dev("d"), 3, aState)
	fillQueue(t, s, dev("d"), 3)
	endMessage(t, s, dev("d"))
	batchAll(t, s, 1)
	lockMessage(t, s, dev("d"), aHolder)
	tell(t, s, homeHub, dev("d"), "one", "two")
	editTwins(t, s, homeHub, twinEdit(dev("d"), fill))
	editReported(t, s, homeHub, reportedEdit(mod("d", "m"), report))
	queue := readQueue(t, s, dev("d"))
	for range 2 {
		closeStore(t, s)
		s = open(t, dir)
		wantHubs(t, s, home)
		want := aDevice("d")
		want.CloudToDeviceMessageCount = 2
		wantEqual(t, "device", device(t, s, homeHub, "d"), want)
		wantEqual(t, "module", identity(t, s, homeHub, mod("d", "m")), anIdentity(mod("d", "m")))
		want.Twin = aTwin(0)
		wantTwin(t, s, homeHub, want)
		want = withTwin(anIdentity(mod("d", "m")), hub.NewTwin())
		want.Twin.Reported = report(0, want.Twin.Reported)
		wantTwin(t, s, homeHub, want)
		wantSession(t, s, homeHub, dev("d"), aState)
		wantDisplaced(t, s, dev("d"), 2)
		wantEqual(t, "queue", readQueue(t, s, dev("d")), queue)
		wantContents(t, s, dev("d"), 1, 9, "2:two", "3:three")
		wantOutbox(t, s, homeHub, told(dev("d"), "one"), told(dev("d"), "two"))
	}
	wantEqual(t, "feedback", lockFeedback(t, s, "t", aTime).Feedback, []c2dqueue.Record{aRecord(dev("d"), 1)})
	closeStore(t, s)
}

func testReopenDeletions(t *testing.T, open func(t *testing.T, dir string) Durable) {
	dir := t.TempDir()
	s := open(t, dir)
	home := saveHub(t, s, aHub(homeHub, aTime))
	saveHub(t, s, aHub("gone", aTime))
	create(t, s, homeHub, aDevice("d"))
	edit(t, s, homeHub, dev("d"), remove)
	tell(t, s, homeHub, dev("d"), "gone")
	emptyOutbox(t, s, homeHub)
	if err := s.DeleteHub(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	s = open(t, dir)
	wantHubs(t, s, home)
	wantNoDevice(t, s, homeHub, "d")
	wantOutbox(t, s, homeHub)
	closeStore(t, s)
}

// testReopenConnections: who opens a store knows nothing of connections that others may hold.
func testReopenConnections(t *testing.T, open func(t *testing.T, dir string) Durable) {
	dir := t.TempDir()
	s := open(t, dir)
	withHome(t, s, "connected", "idle")
	later := aTime.Add(time.Hour)
	want := hub.Connection{ID: dev("connected"), Fence: 7, State: hubward.Connected, StateUpdated: later, LastActivity: later}
	connect(t, s, homeHub, want)
	closeStore(t, s)

	s = open(t, dir)
	wantConnected(t, s, homeHub, want)
	wantEqual(t, "connection", connection(t, s, dev("connected")), want)
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
	_, err := s.Identity(t.Context(), homeHub, dev("d"))
	wantCode(t, err, hubward.CodeServiceUnavailable)
	_, err = s.Hubs(t.Context())
	wantCode(t, err, hubward.CodeServiceUnavailable)
}
