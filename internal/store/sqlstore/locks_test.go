package sqlstore_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/store/sqlstore"
	"github.com/hubward/hubward/internal/storetest"
)

// readsUnderALock are the writer's SELECTs that need lock no row: a lock that is held already covers what they read, or the
// statement that writes decides.
var readsUnderALock = []string{
	"SELECT count(*) FROM (SELECT id FROM feedback_records",                     // the hub is locked
	"SELECT min(lock_until) FROM notifications",                                 // the hub is locked
	"SELECT device_id, module_id, generation_id, message_id, status, at FROM",   // records of a notification that is locked
	"SELECT devices.generation_id, devices.status, q.next_sequence",             // the identity is locked
	"SELECT t.id, coalesce(t.etag, 1)",                                          // the identity is locked
	"SELECT coalesce(t.etag, 1), r.id",                                          // the identity is locked
	"SELECT count(*) FROM devices WHERE hub = $1 AND device_id = $2 AND module", // the device is locked
	"SELECT hub FROM hub_hosts",                                                 // whose name it is, for the error
	"SELECT request FROM certificate_requests",                                  // the identity is locked
}

// TestStore_memory runs the contract in memory, and as for an engine of several writers, whose rows are locked. Here the
// locks are comments, so that what can be seen is that all statements are complete, and that none was forgotten.
func TestStore_memory(t *testing.T) {
	var texts []string
	storetest.Run(t, func(t *testing.T) hub.Store {
		s := sqlstore.OpenLocking(t)
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			texts = append(texts, sqlstore.Written(s)...)
		})
		return s
	})
	slices.Sort(texts)
	used := map[string]bool{}
	for _, text := range slices.Compact(texts) {
		text = regexp.MustCompile(`\s+`).ReplaceAllString(text, " ")
		if !strings.HasPrefix(text, "SELECT") || strings.HasSuffix(text, sqlstore.RowLock) {
			continue
		}
		i := slices.IndexFunc(readsUnderALock, func(prefix string) bool { return strings.HasPrefix(text, prefix) })
		if i < 0 {
			t.Errorf("a writer reads without a lock: %s", text)
			continue
		}
		used[readsUnderALock[i]] = true
	}
	if len(used) != len(readsUnderALock) {
		t.Errorf("of the reads that need no lock, only these are left: %v", used)
	}
}
