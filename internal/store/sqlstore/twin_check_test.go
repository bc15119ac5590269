package sqlstore_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/twindoc"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

// A twin that SQLite takes for sound and the hub cannot use is told with whose it is; all others are passed over.
func TestCheck_twins(t *testing.T) {
	for damage, want := range map[string]string{
		`UPDATE twins SET etag = etag`:                                                                                       "",
		`UPDATE twins SET desired = '{"a": 1}' WHERE device_id = 'd1'`:                                                       "properties.desired: the document is not canonical",
		`UPDATE twins SET tags = '[]' WHERE device_id = 'd1'`:                                                                "tags: the document is not canonical",
		`UPDATE twins SET etag = 0 WHERE device_id = 'd1'`:                                                                   "the etag is 0",
		`UPDATE twins SET desired_metadata = x'0110' WHERE device_id = 'd1'`:                                                 "properties.desired: metadata: ",
		`UPDATE twins SET desired_changes = x'09' WHERE device_id = 'd1'`:                                                    "the encoding of a column",
		`UPDATE twins SET desired_version = desired_version + 1 WHERE device_id = 'd1'`:                                      "change 1 of 2 is of version 2, want 3",
		`UPDATE twins SET desired_changes = CAST(replace(desired_changes, '"a":1', '"a":') AS BLOB) WHERE device_id = 'd1'`:  "the encoding of a column",
		`UPDATE twins SET desired_changes = CAST(replace(desired_changes, '"a":1', '"a" 1') AS BLOB) WHERE device_id = 'd1'`: "the change of version 2 cannot be read",
		`UPDATE twin_reported SET version = 0 WHERE device_id = 'd1'`:                                                        "properties.reported: the version is 0",
		`UPDATE twin_reported SET document = '{"r":' WHERE device_id = 'd1'`:                                                 "properties.reported: ",
	} {
		path := filepath.Join(t.TempDir(), "registry.db")
		s := withHub(t, path)
		for i := range 3 {
			mustEdit(t, s, put(fmt.Sprint("d", i)))
			writeTwin(t, s, fmt.Sprint("d", i))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.ExecContext(t.Context(), damage)
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(damage, err)
		}
		r, err := sqlstore.Check(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case want == "":
			if diff := cmp.Diff([]string(nil), r.Problems); diff != "" {
				t.Error(diff)
			}
		case len(r.Problems) != 1 || !strings.HasPrefix(r.Problems[0], "the twin of d1 of the hub h: ") || !strings.Contains(r.Problems[0], want):
			t.Errorf("%s: got %q, want %q", damage, r.Problems, want)
		}
	}
}

// writeTwin writes to all sections of a device's twin, twice to the desired properties.
func writeTwin(t *testing.T, s *sqlstore.Store, device string) {
	t.Helper()
	write := func(section *twindoc.Section, k twindoc.Kind, text string) *twindoc.Patch {
		p, err := twindoc.ParsePatch(k, []byte(text))
		if err == nil {
			*section, err = section.Merge(p, time.Unix(1, 0))
		}
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	e := &hub.TwinEdit{ID: hubward.Identity{Device: device}, Edit: func(r *hub.Registration) ([]hub.HubEvent, error) {
		write(&r.Twin.Tags, twindoc.Tags, `{"t":1}`)
		write(&r.Twin.Reported, twindoc.Reported, `{"r":{"s":true}}`)
		for _, text := range []string{`{"a":1}`, `{"b":"x"}`} {
			before := r.Twin.Desired
			p := write(&r.Twin.Desired, twindoc.Desired, text)
			r.Twin.DesiredChanges = append(r.Twin.DesiredChanges, hub.DesiredChange{
				Version: r.Twin.Desired.Version, Patch: r.Twin.Desired.Notification(before, p, false),
			})
		}
		r.Twin.ETag++
		return nil, nil
	}}
	if err := errors.Join(s.EditTwins(t.Context(), "h", []*hub.TwinEdit{e}), e.Err); err != nil {
		t.Fatal(err)
	}
}
