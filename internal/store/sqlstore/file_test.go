package sqlstore_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

// now is the clock of tests that look at times.
var now = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

func dev(id string) hubward.Identity { return hubward.Identity{Device: id} }

// put stores a device that has little more than its id.
func put(id string) *hub.IdentityEdit {
	return edit(id, func(*hub.Registration) (*hub.Registration, error) { return registration(id), nil })
}

func registration(id string) *hub.Registration {
	return &hub.Registration{Device: hubward.Device{DeviceID: id, Status: hubward.StatusEnabled, ConnectionState: hubward.Disconnected}}
}

// edit is an edit of a device that has nothing to tell.
func edit(id string, change func(old *hub.Registration) (*hub.Registration, error)) *hub.IdentityEdit {
	return &hub.IdentityEdit{ID: dev(id), Edit: func(old *hub.Registration) (*hub.Registration, []hub.HubEvent, error) {
		next, err := change(old)
		return next, nil, err
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

func mustEdit(t testing.TB, s *sqlstore.Store, edits ...*hub.IdentityEdit) {
	t.Helper()
	if err := s.EditIdentities(t.Context(), "h", edits); err != nil {
		t.Fatal(err)
	}
}

// mustConnect stores a connection as it is.
func mustConnect(t testing.TB, s *sqlstore.Store, c hub.Connection) {
	t.Helper()
	e := &hub.ConnectionEdit{ID: c.ID, Edit: func(hub.Connection) (hub.Connection, []hub.HubEvent) { return c, nil }}
	if err := s.EditConnections(t.Context(), "h", []*hub.ConnectionEdit{e}); err != nil {
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
// testdata/sqlite/NNNN.sql, which a new migration comes with: one hub, one device, one session; from version 2
// on messages to the device, and feedback of two earlier ones; from version 6 on a twin.
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
				wantOldMessages(t, s, version)
			}
			if version >= 3 {
				wantOldNodes(t, s)
			}
			wantOldTwin(t, s, version)
			wantOldAdmission(t, s, version)
			if got := sqlstore.Value[int](t, s, `SELECT max(version) FROM schema_migrations`); got != len(sqlstore.Migrations(t)) {
				t.Errorf("schema %d after opening", got)
			}
		})
	}
}

func wantOldContent(t *testing.T, s *sqlstore.Store) {
	t.Helper()
	hubs, err := s.Hubs(t.Context())
	if err != nil || len(hubs) != 1 {
		t.Fatalf("hubs %+v, %v", hubs, err)
	}
	c := hubs[0]
	policy := access.Policy{Name: "iothubowner", Permissions: access.AllPermissions, PrimaryKey: "b25l", SecondaryKey: "dHdv"}
	if c.Name != "old" || c.Version < 1 || c.Retention != 24*time.Hour || len(c.Policies) != 1 || c.Policies[0] != policy {
		t.Errorf("hub %+v", c)
	}
	d, err := s.Identity(t.Context(), "old", dev("d"))
	if err != nil {
		t.Fatal(err)
	}
	d.CloudToDeviceMessageCount = 0 // of the messages, see wantOldMessages
	at := time.Date(2024, 1, 31, 8, 11, 45, 123456700, time.UTC)
	want := &hub.Registration{Device: hubward.Device{
		DeviceID: "d", GenerationID: "1", ETag: "MQ==", Status: hubward.StatusEnabled, StatusReason: "why",
		StatusUpdatedTime: hubward.Time{Time: at.Add(100)},
		ConnectionState:   hubward.Disconnected, ConnectionStateUpdatedTime: hubward.Time{Time: at.Add(200)},
		LastActivityTime: hubward.Time{Time: at},
		Authentication: &hubward.Authentication{
			Type: hubward.AuthSAS, SymmetricKey: hubward.SymmetricKey{PrimaryKey: "b25l", SecondaryKey: "dHdv"},
			X509Thumbprint: hubward.X509Thumbprint{PrimaryThumbprint: "A1", SecondaryThumbprint: "B2"},
		},
		Capabilities: hubward.Capabilities{IotEdge: true}, DeviceScope: "scope", ParentScopes: []string{"parent"},
	}, ModelID: "dtmi:x;1"}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("device (-want +got):\n%s", diff)
	}
	state, present, err := s.Session(t.Context(), "old", dev("d"))
	if err != nil || !present || string(state) != `[{"filter":"devices/d/messages/devicebound/#","qos":1}]` {
		t.Errorf("session %s, %v, %v", state, present, err)
	}
	wantOldHosts(t, s, c)
}

// wantOldHosts: an old hub keeps its host names, in order, and nobody else gets them.
func wantOldHosts(t *testing.T, s *sqlstore.Store, old hub.Config) {
	t.Helper()
	if !slices.Equal(old.HostNames, []string{"localhost", "old.example.org"}) {
		t.Errorf("host names %v", old.HostNames)
	}
	for _, host := range old.HostNames {
		err := s.SaveHub(t.Context(), hub.Config{Name: "new", Partitions: 1, HostNames: []string{host}})
		if hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
			t.Errorf("another hub gets %s: %v", host, err)
		}
	}
	if err := s.SaveHub(t.Context(), hub.Config{Name: "OLD", Partitions: 1}); hubward.CodeOf(err) != hubward.CodeHubAlreadyExists {
		t.Errorf("another hub of that name: %v", err)
	}
	if err := s.SaveHub(t.Context(), old); err != nil {
		t.Errorf("saving what was read: %v", err)
	}
}

// wantOldNodes looks for what testdata/sqlite/0003.sql has beyond its predecessors.
func wantOldNodes(t *testing.T, s *sqlstore.Store) {
	t.Helper()
	module := hubward.Identity{Device: "d", Module: "m"}
	m, err := s.Identity(t.Context(), "old", module)
	if err != nil || m.Identity() != module || m.ManagedBy != "edge" {
		t.Errorf("module %+v, %v", m, err)
	}
	connected, err := s.Connected(t.Context(), "old", hubward.Identity{}, 10)
	if err != nil || len(connected) != 1 || connected[0].ID != module || connected[0].Fence != 41 {
		t.Errorf("connected %+v, %v", connected, err)
	}
	err = s.SaveSession(t.Context(), "old", module, 40, []byte{})
	if hubward.CodeOf(err) != hubward.CodeConnectionClosedOnNewOne {
		t.Errorf("the fence of an ended session: %v", err)
	}
	batches, err := s.Outbox(t.Context(), "old", 10)
	want := []hub.HubEventBatch{{ID: 7, Events: []hub.HubEvent{{Identity: module, ID: "e", Data: []byte("hello")}}}}
	if diff := cmp.Diff(want, batches); err != nil || diff != "" {
		t.Errorf("outbox: %v (-want +got):\n%s", err, diff)
	}
}

// TestOpen_sharedHostName: should two old hubs claim one host name, both are kept, and it leads to the older one.
func TestOpen_sharedHostName(t *testing.T) {
	path := file(t.TempDir())
	sqlstore.CreateAt(t, path, 2, `INSERT INTO hubs (name, host_names, partitions, retention_ns, consumer_groups, created)
		VALUES ('a', '["shared","a"]', 1, 1, '[]', 20), ('b', '["b","shared"]', 1, 1, '[]', 10), ('c', '[]', 1, 1, '[]', NULL)`)
	s := open(t, path)
	hubs, err := s.Hubs(t.Context())
	if err != nil || len(hubs) != 3 || hubs[1].Name != "b" || hubs[2].Name != "a" {
		t.Fatalf("%+v, %v", hubs, err)
	}
	if err := s.SaveHub(t.Context(), hubs[1]); err != nil {
		t.Errorf("the older one: %v", err)
	}
	if err := s.SaveHub(t.Context(), hubs[2]); hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
		t.Errorf("the newer one: %v", err)
	}
	hubs[2].HostNames = []string{"a"}
	if err := s.SaveHub(t.Context(), hubs[2]); err != nil {
		t.Errorf("the newer one without it: %v", err)
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

// TestOpen_afterCrash opens what is on disk while the first store is still at work: all that was acknowledged is there.
// Who is connected is not for this one to say.
func TestOpen_afterCrash(t *testing.T) {
	path := file(t.TempDir())
	s := withHub(t, path)
	for i := range 20 {
		mustEdit(t, s, put(fmt.Sprintf("d%d", i)))
	}
	connected := hub.Connection{ID: dev("d"), Fence: 3, State: hubward.Connected, StateUpdated: now}
	mustConnect(t, s, connected)

	again := open(t, copyFile(t, path))
	n, err := again.DeviceStatistics(t.Context(), "h")
	if err != nil || n.TotalDeviceCount != 21 {
		t.Errorf("%+v, %v; want 21 devices", n, err)
	}
	for _, at := range []*sqlstore.Store{s, again} {
		got, err := at.Connected(t.Context(), "h", hubward.Identity{}, 10)
		if diff := cmp.Diff([]hub.Connection{connected}, got); err != nil || diff != "" {
			t.Errorf("connected: %v (-want +got):\n%s", err, diff)
		}
	}
}

// copyFile copies what is on disk of a store that is open, as a crash would leave it.
func copyFile(t testing.TB, path string) string {
	t.Helper()
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
	return left
}

// wantOldAdmission sees whom the hub lets in; before version 7 there was nothing of it.
func wantOldAdmission(t *testing.T, s *sqlstore.Store, version int) {
	t.Helper()
	hubs, err := s.Hubs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := hubs[0]
	if version < 7 {
		if len(c.Authorities) != 0 || !reflect.DeepEqual(c.Switches, access.Switches{}) || c.Issuing.Enabled {
			t.Errorf("a hub that had none has %+v, %+v, %+v", c.Authorities, c.Switches, c.Issuing)
		}
		return
	}
	if len(c.Authorities) != 1 || c.Authorities[0].Name != "plant" || !c.Authorities[0].Verified || c.Authorities[0].ETag != "e1" {
		t.Errorf("authorities %+v", c.Authorities)
	}
	if !c.Switches.DisableDeviceSAS || c.Switches.MinTLS != tls.VersionTLS13 || len(c.Switches.Network.Allow) != 1 {
		t.Errorf("switches %+v", c.Switches)
	}
	if !c.Issuing.Enabled || c.Issuing.Validity != 24*time.Hour {
		t.Errorf("issuing %+v", c.Issuing)
	}
}
