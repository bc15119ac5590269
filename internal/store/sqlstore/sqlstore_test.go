package sqlstore_test

import (
	"path/filepath"
	"testing"

	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/store/sqlstore"
	"github.com/hubward/hubward/internal/storetest"
)

// open opens a store that the test closes itself, or leaves to be closed when it ends.
func open(t testing.TB, path string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), sqlstore.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func file(dir string) string { return filepath.Join(dir, "registry.db") }

func TestStore_file(t *testing.T) {
	storetest.Run(t, func(t *testing.T) hub.Store { return open(t, file(t.TempDir())) })
}

func TestStore_twoHandles(t *testing.T) {
	storetest.RunTwo(t, func(t *testing.T) (a, b hub.Store) {
		path := file(t.TempDir())
		return open(t, path), open(t, path)
	})
}

func TestStore_reopen(t *testing.T) {
	storetest.RunReopen(t, func(t *testing.T, dir string) storetest.Durable { return open(t, file(dir)) })
}
