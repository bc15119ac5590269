package app_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/app"
)

func backup(t *testing.T, data string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "backup")
	if _, err := app.Backup(t.Context(), data, dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func wantWhole(t *testing.T, dir string, isBackup bool, events int64) {
	t.Helper()
	r, err := app.Check(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(app.CheckResult{Backup: isBackup, Hubs: 1, Events: events}, r); diff != "" {
		t.Errorf("%s (-want +got):\n%s", dir, diff)
	}
}

// wantDamaged says that Check has one finding, with these words.
func wantDamaged(t *testing.T, dir string, words ...string) {
	t.Helper()
	r, err := app.Check(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(r.Problems, "\n")
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%s: no finding says %q:\n%s", dir, word, text)
		}
	}
}

func TestBackup_ofARunningHub(t *testing.T) {
	f := &folder{t: t, dir: filepath.Join(t.TempDir(), "data")}
	r := start(t, f.dir, nil, nil)
	f.send(r.app, "one")
	dir := backup(t, f.dir)
	f.send(r.app, "two")
	if left, err := filepath.Glob(filepath.Join(f.dir, "snapshot-*")); err != nil || len(left) > 0 {
		t.Errorf("left in the data folder: %v, %v", left, err)
	}
	r.stop()
	wantWhole(t, f.dir, false, 2)
	wantWhole(t, dir, true, 1)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	again := &folder{t: t, dir: filepath.Join(t.TempDir(), "data")}
	if err := app.Restore(t.Context(), dir, again.dir); err != nil {
		t.Fatal(err)
	}
	wantWhole(t, again.dir, false, 1)
	for _, name := range []string{"tls/ca.pem", "tls/ca-key.pem", "tls/server-key.pem", "connection-strings.env"} {
		if string(readFile(t, f.path(name))) != string(readFile(t, again.path(name))) {
			t.Errorf("%s is another", name)
		}
	}
	again.use(func(a *app.App) {
		if first, n := again.stored(a); first != 0 || n != 1 {
			t.Errorf("%d events from %d on", n, first)
		}
		again.send(a, "three")
	})
}

// putBack replaces a part of the data folder by that of a backup.
func (f *folder) putBack(dir, part string) {
	f.t.Helper()
	f.move(part, part+".away")
	if err := os.CopyFS(f.path("backup"), os.DirFS(dir)); err != nil {
		f.t.Fatal(err)
	}
	f.move("backup/"+part, part)
}

// The backup is from the same start as what it is put back over.
func TestBackup_logIsPutBackAlone(t *testing.T) {
	f := &folder{t: t, dir: filepath.Join(t.TempDir(), "data")}
	r := start(t, f.dir, nil, nil)
	f.send(r.app, "one")
	dir := backup(t, f.dir)
	f.send(r.app, "two")
	r.stop()
	f.putBack(dir, "log")
	f.refused("is older than", "numbers that readers have seen")
}

func TestBackup_registryIsPutBackAlone(t *testing.T) {
	f := &folder{t: t, dir: filepath.Join(t.TempDir(), "data")}
	r := start(t, f.dir, nil, nil)
	f.send(r.app, "one")
	dir := backup(t, f.dir)
	r.stop()
	f.putBack(dir, "registry.db")
	f.use(func(a *app.App) {
		if _, n := f.stored(a); n != 1 {
			t.Errorf("%d events", n)
		}
	})
	if !strings.Contains(f.log.String(), "registry.db is older than the telemetry log") {
		t.Errorf("nobody is told:\n%s", f.log.String())
	}
}

func TestBackup_ofAStoppedHub(t *testing.T) {
	f := newFolder(t)
	dir := backup(t, f.dir)
	wantWhole(t, dir, true, 1)
	wantWhole(t, f.dir, false, 1)
}

// What was refused before anything was copied can be tried again with the same words.
func TestBackup_againAfterARefusal(t *testing.T) {
	f := newFolder(t)
	dir := filepath.Join(t.TempDir(), "backup")
	f.move("registry.db", "registry.away")
	if _, err := app.Backup(t.Context(), f.dir, dir, time.Now()); err == nil || strings.Contains(err.Error(), "no backup") {
		t.Fatalf("a backup without the registry: %v", err)
	}
	f.move("registry.away", "registry.db")
	if _, err := app.Backup(t.Context(), f.dir, dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	wantWhole(t, dir, true, 1)

	late := filepath.Join(t.TempDir(), "backup")
	f.move("log", "log.away")
	if _, err := app.Backup(t.Context(), f.dir, late, time.Now()); err == nil || !strings.Contains(err.Error(), "is no backup") {
		t.Errorf("a backup without the log, when the registry is copied: %v", err)
	}
}

func TestBackup_refusals(t *testing.T) {
	f := newFolder(t)
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, test := range map[string]struct{ data, dir, want string }{
		"a folder with something in it": {f.dir, full, "is not empty"},
		"inside of the data folder":     {f.dir, f.path("backup"), "cannot be inside"},
		"no data folder":                {full, filepath.Join(t.TempDir(), "b"), "is no data folder"},
	} {
		if _, err := app.Backup(t.Context(), test.data, test.dir, time.Now()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	r := start(t, f.dir, map[string][]string{"admin": {"off"}}, nil)
	if _, err := app.Backup(t.Context(), f.dir, filepath.Join(t.TempDir(), "b"), time.Now()); err == nil || !strings.Contains(err.Error(), "no admin listener") {
		t.Errorf("without an admin listener: %v", err)
	}
	if _, err := app.Check(t.Context(), f.dir); err == nil || !strings.Contains(err.Error(), "is in use") {
		t.Errorf("check of a running hub: %v", err)
	}
	r.stop()
}

// Whoever reaches the admin listener, and not the data folder, gets nothing made.
func TestSnapshot_onlyIntoAFolderThatIsThere(t *testing.T) {
	f := &folder{t: t, dir: filepath.Join(t.TempDir(), "data")}
	r := start(t, f.dir, nil, nil)
	if err := os.Mkdir(f.path("snapshot-full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.path("snapshot-full/x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "log", "tls", "snapshot-none", "snapshot-full", "../data/log", "snapshot-x/../log"} {
		if err := r.app.Snapshot(t.Context(), name); err == nil {
			t.Errorf("a snapshot was made in %q", name)
		}
	}
}

func TestRestore_refusals(t *testing.T) {
	f := newFolder(t)
	dir := backup(t, f.dir)
	restore := func(want string) {
		t.Helper()
		data := filepath.Join(t.TempDir(), "data")
		if err := app.Restore(t.Context(), dir, data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("restored: %v; want an error with %q", err, want)
		}
		if _, err := os.Stat(filepath.Join(data, "registry.db")); err == nil {
			t.Error("something was restored")
		}
	}
	if err := app.Restore(t.Context(), dir, f.dir); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("over another hub: %v", err)
	}
	whole := readFile(t, filepath.Join(dir, "registry.db"))
	for _, damage := range []string{string(whole[:len(whole)-1]), "x" + string(whole[1:])} {
		if err := os.WriteFile(filepath.Join(dir, "registry.db"), []byte(damage), 0o600); err != nil {
			t.Fatal(err)
		}
		restore("registry.db")
		wantDamaged(t, dir, "registry.db")
	}
	if err := os.Remove(filepath.Join(dir, "backup.json")); err != nil {
		t.Fatal(err)
	}
	restore("not complete")
}

// A restore that was cut off leaves a folder on which no hub starts.
func TestRestore_cutOff(t *testing.T) {
	f := newFolder(t)
	if err := os.WriteFile(f.path("restore-unfinished"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f.refused("not to the end")
	wantDamaged(t, f.dir, "not to the end")
}

func TestCheck_damage(t *testing.T) {
	f := newFolder(t)
	f.use(nil) // the write-ahead log becomes tables
	tables, err := filepath.Glob(f.path("log/*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("%v, %v", tables, err)
	}
	for _, name := range tables {
		b := readFile(t, name)
		b[10] ^= 0xff
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wantDamaged(t, f.dir, "partition hubward/events/", ".sst", "checksum")
	f.move("registry.db", "away")
	wantDamaged(t, f.dir, "registry.db cannot be read")
	if _, err := app.Check(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "neither a data folder nor a backup") {
		t.Errorf("an empty folder: %v", err)
	}
}

func TestCheck_strangeLog(t *testing.T) {
	f, other := newFolder(t), newFolder(t)
	if err := os.RemoveAll(f.path("log")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(f.path("log"), os.DirFS(other.path("log"))); err != nil {
		t.Fatal(err)
	}
	wantDamaged(t, f.dir, "another registry")
}
