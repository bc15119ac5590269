package sqlstore_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hubward/hubward/internal/store/sqlstore"
)

// What is damaged is found by whoever reads it. From then on the readiness probe fails, and the log has one line.
func TestDamage_isRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	s := withHub(t, path)
	for i := range 500 {
		mustEdit(t, s, put(fmt.Sprintf("device-%03d", i)))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	damageRows(t, path)
	var log bytes.Buffer
	s, err := sqlstore.Open(t.Context(), sqlstore.Options{Path: path, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Ping(t.Context()); err != nil {
		t.Fatalf("before anybody has met it: %v", err)
	}
	for range 3 {
		if _, err := s.Devices(t.Context(), "h", "", 1000); err == nil {
			t.Fatal("the damage was not noticed")
		}
	}
	if err := s.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "registry.db is damaged") {
		t.Errorf("Ping: %v", err)
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, path) {
		t.Errorf("logged:\n%s", text)
	}
}

// damageRows overwrites the pages that hold the rows of devices.
func damageRows(t *testing.T, path string) {
	t.Helper()
	const page = 4096
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := 0
	for at := page; at < len(b); at += page {
		if b[at] == 13 && bytes.Contains(b[at:at+page], []byte("Disconnected")) { // a leaf of a table: sqlite.org/fileformat2.html
			copy(b[at:], bytes.Repeat([]byte{0xa5}, page))
			damaged++
		}
	}
	if damaged == 0 {
		t.Fatal("no page holds devices")
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
