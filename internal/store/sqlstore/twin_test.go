package sqlstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/twindoc"
	"github.com/hubward/hubward/internal/store/sqlstore"
	"github.com/hubward/hubward/internal/storetest"
)

// TestTwins_leaveNoRow: an identity whose twin nobody writes to costs no row of it, and an edit that changes nothing no write.
func TestTwins_leaveNoRow(t *testing.T) {
	s := withHub(t, sqlstore.Memory)
	sameTwin := &hub.TwinEdit{ID: dev("d"), Edit: func(*hub.Registration) ([]hub.HubEvent, error) { return nil, nil }}
	sameReported := &hub.ReportedEdit{ID: dev("d"), Edit: func(_ int64, old twindoc.Section) (twindoc.Section, []hub.HubEvent, error) {
		return old, nil, nil
	}}
	sameIdentity := edit("d", func(old *hub.Registration) (*hub.Registration, error) { return old, nil })
	sameIdentity.WithTwin = true
	nothing := func() {
		t.Helper()
		mustEdit(t, s, sameIdentity)
		err := errors.Join(s.EditTwins(t.Context(), "h", []*hub.TwinEdit{sameTwin}), storetest.EditReported(t.Context(), s, "h", []*hub.ReportedEdit{sameReported}))
		if err != nil {
			t.Fatal(err)
		}
	}
	fresh := put("fresh")
	fresh.Edit = func(*hub.Registration) (*hub.Registration, []hub.HubEvent, error) {
		r := registration("fresh")
		r.Twin = hub.NewTwin()
		return r, nil, nil
	}
	mustEdit(t, s, fresh)
	nothing()
	if n := sqlstore.Value[int](t, s, `SELECT (SELECT count(*) FROM twins) + (SELECT count(*) FROM twin_reported)`); n != 0 {
		t.Errorf("%d rows", n)
	}
	mustEdit(t, s, edit("d", func(old *hub.Registration) (*hub.Registration, error) {
		old.Twin = &hub.StoredTwin{ETag: 2, Reported: twindoc.Section{Version: 2}}
		return old, nil
	}))
	for _, table := range []string{"twins", "twin_reported"} {
		s.Exec(t, fmt.Sprintf(`CREATE TEMP TRIGGER no_write_%s BEFORE UPDATE ON %[1]s BEGIN SELECT raise(ABORT, 'an update that changes nothing'); END`, table))
	}
	nothing()
}

// TestEditReported_writesWhatChanged: a large document of which little changes costs few pages, also when it becomes longer or
// shorter. Without padding it would be more than twice as many as it has, 9.
func TestEditReported_writesWhatChanged(t *testing.T) {
	path := file(t.TempDir())
	s := withHub(t, path)
	s.Exec(t, `PRAGMA wal_autocheckpoint = 0`)
	document := []byte(`{"a":1,"text":"` + strings.Repeat("x", 32_000) + `","z":1}`)
	pages := func(change func(*twindoc.Section)) int64 {
		t.Helper()
		before := walPages(t, path)
		e := &hub.ReportedEdit{ID: dev("d"), Edit: func(_ int64, old twindoc.Section) (twindoc.Section, []hub.HubEvent, error) {
			next := twindoc.Section{Document: bytes.Clone(old.Document), Metadata: bytes.Clone(old.Metadata), Version: old.Version + 1}
			change(&next)
			return next, nil, nil
		}}
		if err := errors.Join(storetest.EditReported(t.Context(), s, "h", []*hub.ReportedEdit{e}), e.Err); err != nil {
			t.Fatal(err)
		}
		return walPages(t, path) - before
	}
	pages(func(n *twindoc.Section) { n.Document, n.Metadata = document, make([]byte, 900) })
	for what, change := range map[string]func(*twindoc.Section){
		"same length": func(n *twindoc.Section) { n.Document[5]++ },
		"longer":      func(n *twindoc.Section) { n.Document = append(n.Document[:len(n.Document)-2], "23}"...) },
		"shorter":     func(n *twindoc.Section) { n.Document = append(n.Document[:len(n.Document)-400], "\"}"...) },
		"much longer": func(n *twindoc.Section) {
			n.Document = append(n.Document[:len(n.Document)-2], strings.Repeat("y", 300)+`"}`...)
		},
		"metadata only": func(n *twindoc.Section) { n.Metadata[10]++ },
	} {
		if n := pages(change); n > 4 {
			t.Errorf("%s: %d pages", what, n)
		}
	}
}

// walPages is the length of the write-ahead log.
func walPages(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return info.Size() / 4120
}

// TestReportedCache_isBounded: however many identities report, and how much, what is remembered of it is bounded; the newest
// is.
func TestReportedCache_isBounded(t *testing.T) {
	for _, size := range []int{0, 1000, 100_000, sqlstore.MaxReported} {
		held, newest := sqlstore.Remembered(40_000_000/(size+1000), size)
		if held > sqlstore.MaxReported+size+1000 || !newest {
			t.Errorf("rows of %d bytes: %d bytes held, the newest one: %v", size, held, newest)
		}
	}
}

// TestEditReported_readsOnce: who reports again has its row written, and not read; others' writes are seen.
func TestEditReported_readsOnce(t *testing.T) {
	path := file(t.TempDir())
	s, other := withHub(t, path), open(t, path)
	report := func(at *sqlstore.Store, want int64) {
		t.Helper()
		e := &hub.ReportedEdit{ID: dev("d"), Edit: func(_ int64, old twindoc.Section) (twindoc.Section, []hub.HubEvent, error) {
			if old.Version != want {
				t.Errorf("version %d, want %d", old.Version, want)
			}
			old.Version++
			return old, nil, nil
		}}
		if err := errors.Join(storetest.EditReported(t.Context(), at, "h", []*hub.ReportedEdit{e}), e.Err); err != nil {
			t.Fatal(err)
		}
	}
	report(s, 1)
	report(s, 2)
	s.Exec(t, `ALTER TABLE twins RENAME TO unreadable`) // nobody is asked for it
	report(s, 3)
	report(s, 4)
	s.Exec(t, `ALTER TABLE unreadable RENAME TO twins`)
	report(other, 5)
	report(s, 6)
}

// TestSchema_twinsReadIndexes: what is read of a twin comes by the keys of the identity, and what is written by the row's.
func TestSchema_twinsReadIndexes(t *testing.T) {
	s := withHub(t, sqlstore.Memory)
	got := sqlstore.Plans(t, s, `SELECT t.etag, r.document FROM devices
		LEFT JOIN twins t ON t.hub = devices.hub AND t.device_id = devices.device_id AND t.module_id = devices.module_id
		LEFT JOIN twin_reported r ON r.hub = devices.hub AND r.device_id = devices.device_id AND r.module_id = devices.module_id
		WHERE devices.hub = 'h' AND devices.device_id = 'd' AND devices.module_id = ''`)
	want := []string{
		"SEARCH devices USING COVERING INDEX sqlite_autoindex_devices_1 (hub=? AND device_id=? AND module_id=?)",
		"SEARCH t USING INDEX sqlite_autoindex_twins_1 (hub=? AND device_id=? AND module_id=?) LEFT-JOIN",
		"SEARCH r USING INDEX sqlite_autoindex_twin_reported_1 (hub=? AND device_id=? AND module_id=?) LEFT-JOIN",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

// wantOldTwin looks for the twin of testdata/sqlite/0006.sql. Before that version nobody could write to one.
func wantOldTwin(t *testing.T, s *sqlstore.Store, version int) {
	t.Helper()
	want := hub.NewTwin()
	if version >= 6 {
		want = &hub.StoredTwin{
			ETag: 8, Tags: twindoc.Section{Document: []byte(`{"a":1}`), Size: 7},
			Desired:        twindoc.Section{Document: []byte(`{"b":2}`), Metadata: []byte("M"), Version: 6, Size: 9},
			Reported:       twindoc.Section{Document: []byte(`{"c":3}`), Metadata: []byte("N"), Version: 5, Size: 4},
			DesiredChanges: []hub.DesiredChange{{Version: 6, Patch: []byte(`{"b":2,"$version":6}`)}},
		}
	}
	got, err := s.Twin(t.Context(), "old", dev("d"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.Twin); diff != "" {
		t.Errorf("twin (-want +got):\n%s", diff)
	}
}

// TestBackup_hasTwins: a copy of a running store has its twins, and the events that wait.
func TestBackup_hasTwins(t *testing.T) {
	s := withHub(t, file(t.TempDir()))
	want := &hub.StoredTwin{
		ETag: 3, Tags: twindoc.Section{Document: []byte(`{"a":1}`)},
		Desired:        twindoc.Section{Document: []byte(`{"b":2}`), Metadata: []byte("M"), Version: 3},
		Reported:       twindoc.Section{Document: []byte(`{"c":"` + strings.Repeat("x", 20_000) + `"}`), Metadata: []byte("N"), Version: 2},
		DesiredChanges: []hub.DesiredChange{{Version: 3, Patch: []byte(`{"b":2}`)}},
	}
	event := hub.HubEvent{Identity: dev("d"), ID: "e", Data: []byte("told")}
	e := &hub.TwinEdit{ID: dev("d"), Edit: func(r *hub.Registration) ([]hub.HubEvent, error) {
		r.Twin = want
		return []hub.HubEvent{event}, nil
	}}
	if err := errors.Join(s.EditTwins(t.Context(), "h", []*hub.TwinEdit{e}), e.Err); err != nil {
		t.Fatal(err)
	}
	path := file(t.TempDir())
	if err := s.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	copied := open(t, path)
	got, err := copied.Twin(t.Context(), "h", dev("d"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.Twin); diff != "" {
		t.Errorf("twin (-want +got):\n%s", diff)
	}
	batches, err := copied.Outbox(t.Context(), "h", 10)
	if diff := cmp.Diff([]hub.HubEventBatch{{ID: 1, Events: []hub.HubEvent{event}}}, batches); err != nil || diff != "" {
		t.Errorf("outbox: %v (-want +got):\n%s", err, diff)
	}
}
