package sqlstore_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

// now is the clock of tests that look at times.
var now = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// put stores an identity that has little more than its id.
func put(id string) *hub.DeviceEdit {
	return &hub.DeviceEdit{ID: id, Edit: func(*hubward.Device) (*hubward.Device, error) {
		return &hubward.Device{DeviceID: id, Status: hubward.StatusEnabled, ConnectionState: hubward.Disconnected}, nil
	}}
}

// withHub opens a store and gives it the hub "h" with a device "d".
func withHub(t testing.TB, path string) *sqlstore.Store {
	t.Helper()
	s := open(t, path)
	if err := s.SaveHub(t.Context(), hub.Config{Name: "h", Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	mustEdit(t, s, put("d"))
	return s
}

func mustEdit(t testing.TB, s *sqlstore.Store, edits ...*hub.DeviceEdit) {
	t.Helper()
	if err := s.EditDevices(t.Context(), "h", edits); err != nil {
		t.Fatal(err)
	}
}

// wantOpenError opens a file that must be refused, with an error that names it and says all of want.
func wantOpenError(t *testing.T, path string, want ...string) {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), sqlstore.Options{Path: path})
	if err == nil {
		s.Close()
		t.Fatalf("%s was opened", path)
	}
	for _, w := range append(want, path) {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func TestOpen_fileModes(t *testing.T) {
	path := file(t.TempDir())
	if err := os.WriteFile(path, nil, 0o644); err != nil { // an empty file is a new store
		t.Fatal(err)
	}
	for name, path := range map[string]string{"existing": path, "new": file(t.TempDir())} {
		withHub(t, path)
		for _, suffix := range []string{"", "-wal", "-shm"} {
			info, err := os.Stat(path + suffix)
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Mode().Perm(); got != 0o600 {
				t.Errorf("%s file: mode of registry.db%s is %o, want 600", name, suffix, got)
			}
		}
	}
}

func TestOpen_pathWithSpecialCharacters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a?b#c%41 d&e.db")
	withHub(t, path)
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestOpen_notADatabase(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"short":  "hello",
		"long":   strings.Repeat("this is no database\n", 1000),
		"header": "SQLite format 3\x00" + strings.Repeat("\xff", 5000),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		wantOpenError(t, path, "the file is not a database")
		if left, err := os.ReadFile(path); err != nil || string(left) != content {
			t.Errorf("%s: the file was changed (%v)", name, err)
		}
	}
	wantOpenError(t, dir, "not a file")
	wantOpenError(t, filepath.Join(dir, "missing", "registry.db"))
	if _, err := sqlstore.Open(t.Context(), sqlstore.Options{}); err == nil {
		t.Error("no path was accepted")
	}
}

func TestOpen_databaseOfAnotherProgram(t *testing.T) {
	path := file(t.TempDir())
	sqlstore.CreateAt(t, path, 0, `CREATE TABLE schema_migrations (version TEXT); INSERT INTO schema_migrations VALUES ('20240101')`)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wantOpenError(t, path, "another program")
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the file was changed (%v)", err)
	}
}

// TestOpen_damagedPages: damage behind the header is an error of whoever meets it, and no panic.
func TestOpen_damagedPages(t *testing.T) {
	path := file(t.TempDir())
	if err := withHub(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096; i < len(content); i++ {
		content[i] = 0xff
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	wantOpenError(t, path)
}

func TestOpen_newerSchema(t *testing.T) {
	path := file(t.TempDir())
	s := withHub(t, path)
	known := len(sqlstore.Migrations(t))
	s.Exec(t, `INSERT INTO schema_migrations (version, name, applied) VALUES ($1, 'from the future', 0)`, known+4)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantOpenError(t, path, fmt.Sprintf(
		"the data folder was written by a newer hubward (schema %d, this one knows %d); use that version or newer", known+4, known))
}

// TestOpen_olderSchemas opens the file that each older version, and this one, left behind. What they left is in
// testdata/sqlite/NNNN.sql, which a new migration comes with: one hub, one device with a twin, one session; from version 2
// on one message to the device, and feedback of two earlier ones.
func TestOpen_olderSchemas(t *testing.T) {
	for version := 1; version <= len(sqlstore.Migrations(t)); version++ {
		t.Run(fmt.Sprintf("%04d", version), func(t *testing.T) {
			script, err := os.ReadFile(fmt.Sprintf("testdata/sqlite/%04d.sql", version))
			if err != nil {
				t.Fatal(err)
			}
			path := file(t.TempDir())
			sqlstore.CreateAt(t, path, version, string(script))
			s := open(t, path)
			wantOldContent(t, s)
			if version >= 2 {
				wantOldMessages(t, s)
			}
			if got := sqlstore.Value[int](t, s, `SELECT max(version) FROM schema_migrations`); got != len(sqlstore.Migrations(t)) {
				t.Errorf("schema %d after opening", got)
			}
		})
	}
}

func wantOldContent(t *testing.T, s *sqlstore.Store) {
	t.Helper()
	hubs, err := s.Hubs(t.Context())
	if err != nil || len(hubs) != 1 || hubs[0].Name != "old" || len(hubs[0].Policies) != 1 || hubs[0].Retention != 24*time.Hour {
		t.Errorf("hubs %+v, %v", hubs, err)
	}
	d, err := s.Device(t.Context(), "old", "d")
	if err != nil || d.ETag != "MQ==" || d.LastActivityTime.String() != "2024-01-31T08:11:45.1234567Z" {
		t.Errorf("device %+v, %v", d, err)
	}
	subs, ok, err := s.Subscriptions(t.Context(), "old", hubward.Identity{Device: "d"})
	if err != nil || !ok || len(subs) != 1 || subs[0] != (hub.Subscription{Filter: "devices/d/messages/devicebound/#", QoS: 1}) {
		t.Errorf("subscriptions %v, %v, %v", subs, ok, err)
	}
	twin := sqlstore.Value[string](t, s, `SELECT tags || desired || reported || twin_version FROM devices WHERE hub = 'old'`)
	if twin != `{"a":1}{"b":2}{"c":3}7` {
		t.Errorf("twin %s", twin)
	}
}

// TestMigrations_releasedOnesStayAsTheyAre: a step that has run somewhere is history; a new one changes what it did.
func TestMigrations_releasedOnesStayAsTheyAre(t *testing.T) {
	want, err := os.ReadFile("testdata/sqlite/migrations.sha256")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for i, text := range sqlstore.Migrations(t) {
		sum := sha256.Sum256([]byte(text))
		fmt.Fprintf(&got, "%04d %s\n", i+1, hex.EncodeToString(sum[:]))
	}
	if got.String() != string(want) {
		t.Errorf("testdata/sqlite/migrations.sha256 says\n%sthe migrations are\n%s", want, got.String())
	}
}

func TestMigrations_numberedWithoutGaps(t *testing.T) {
	step := &fstest.MapFile{Data: []byte("SELECT 1")}
	for _, c := range []struct {
		files []string
		want  int
		fails string
	}{
		{[]string{"m/0001_a.sql", "m/0002_b.sql"}, 2, ""},
		{[]string{"m/0001_a.sql", "m/0003_b.sql"}, 0, "0003_b.sql"},
		{[]string{"m/0001_a.sql", "m/0001_b.sql"}, 0, "0001_b.sql"},
		{[]string{"m/1_a.sql"}, 0, "1_a.sql"},
		{[]string{"m/0001.sql"}, 0, "0001.sql"},
		{[]string{"m/first_a.sql"}, 0, "first_a.sql"},
	} {
		files := fstest.MapFS{}
		for _, name := range c.files {
			files[name] = step
		}
		steps, err := sqlstore.LoadMigrations(files, "m")
		if len(steps) != c.want || (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%v: %d steps, error %v", c.files, len(steps), err)
		}
	}
}

// TestOpen_afterCrash opens what is on disk while the first store is still at work: all that was acknowledged is there,
// and nobody is connected any more.
func TestOpen_afterCrash(t *testing.T) {
	path := file(t.TempDir())
	s := withHub(t, path)
	for i := range 20 {
		mustEdit(t, s, put(fmt.Sprintf("d%d", i)))
	}
	connected := hub.Activity{ID: "d", State: hubward.Connected, StateUpdated: now.Add(-time.Hour)}
	if err := s.RecordActivity(t.Context(), "h", []hub.Activity{connected}); err != nil {
		t.Fatal(err)
	}
	left := file(t.TempDir())
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(left+suffix, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	again, err := sqlstore.Open(t.Context(), sqlstore.Options{Path: left, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	n, err := again.DeviceStatistics(t.Context(), "h")
	if err != nil || n.TotalDeviceCount != 21 {
		t.Errorf("%+v, %v; want 21 devices", n, err)
	}
	d, err := again.Device(t.Context(), "h", "d")
	if err != nil || d.ConnectionState != hubward.Disconnected || !d.ConnectionStateUpdatedTime.Equal(now) {
		t.Errorf("device %+v, %v; want it disconnected now", d, err)
	}
	if d, err := s.Device(t.Context(), "h", "d"); err != nil || d.ConnectionState != hubward.Connected {
		t.Errorf("in the first store: %+v, %v", d, err)
	}
}
