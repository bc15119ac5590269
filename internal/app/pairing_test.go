package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/app"
	"github.com/hubward/hubward/internal/hub"
)

// folder is a data folder that is used and damaged.
type folder struct {
	t   *testing.T
	dir string
	log syncBuffer
}

// try opens the folder, does something, and closes it.
func (f *folder) try(do func(a *app.App)) error {
	f.t.Helper()
	a, err := app.Open(f.t.Context(), load(f.t, f.dir, nil), app.Options{LogTo: &f.log})
	if err != nil {
		return err
	}
	if do != nil {
		do(a)
	}
	return a.Close()
}

func (f *folder) use(do func(a *app.App)) {
	f.t.Helper()
	if err := f.try(do); err != nil {
		f.t.Fatal(err)
	}
}

// send stores a message in a hub.
func (f *folder) send(a *app.App, text string) {
	f.t.Helper()
	p := process(f.t, a)
	p.Identity.Device = "d1"
	m := hubward.Message{Body: []byte(text)}
	if err := a.Hub().IngestOnce(f.t.Context(), p, []*hubward.Message{&m}); err != nil {
		f.t.Fatal(err)
	}
}

// stored returns how many events of the device there are, and the number of the first.
func (f *folder) stored(a *app.App) (first, n int64) {
	f.t.Helper()
	b, err := a.Hub().PartitionBounds(f.t.Context(), process(f.t, a), hub.PartitionOf("d1", 4))
	if err != nil {
		f.t.Fatal(err)
	}
	return b.First, b.Next - b.First
}

func (f *folder) path(name string) string { return filepath.Join(f.dir, name) }

func (f *folder) move(from, to string) {
	f.t.Helper()
	if err := os.Rename(f.path(from), f.path(to)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *folder) copy(from, to string) {
	f.t.Helper()
	info, err := os.Stat(f.path(from))
	if err == nil && info.IsDir() {
		err = os.CopyFS(f.path(to), os.DirFS(f.path(from)))
	} else if err == nil {
		err = os.WriteFile(f.path(to), readFile(f.t, f.path(from)), 0o600)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// refused says that the folder cannot be used, in words that tell why and what to do, and that nothing was made in it.
func (f *folder) refused(words ...string) {
	f.t.Helper()
	for range 2 { // also a second time
		err := f.try(nil)
		if err == nil {
			f.t.Fatal("the folder is used as if nothing were wrong")
		}
		for _, word := range words {
			if !strings.Contains(err.Error(), word) {
				f.t.Errorf("the error does not say %q: %v", word, err)
			}
		}
	}
	if log := f.log.String(); strings.Contains(log[strings.LastIndex(log, "mark")+1:], "created the hub") {
		f.t.Errorf("a hub was made:\n%s", log)
	}
}

func newFolder(t *testing.T) *folder {
	t.Helper()
	f := &folder{t: t, dir: filepath.Join(t.TempDir(), "data")}
	f.use(func(a *app.App) { f.send(a, "one") })
	f.log.Write([]byte("mark\n"))
	return f
}

func TestOpen_registryIsGone(t *testing.T) {
	f := newFolder(t)
	f.copy("registry.db", "registry.copy")
	f.move("registry.db", "registry.away")
	f.refused("telemetry", "another registry", "hubward restore", "move "+f.path("log")+" away")
	if err := os.WriteFile(f.path("registry.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f.refused("another registry")

	f.copy("registry.copy", "registry.db") // put back, over what the refused starts have made
	f.use(func(a *app.App) {
		if _, n := f.stored(a); n != 1 {
			t.Errorf("%d events after the registry was put back", n)
		}
	})
}

// The log of an older version does not say whose it is.
func TestOpen_registryIsGoneAndTheLogIsNobodys(t *testing.T) {
	f := newFolder(t)
	app.Disown(t, f.path("log"))
	f.move("registry.db", "registry.away")
	f.refused("the hub hubward, of which", "knows nothing", "hubward restore", "move "+f.path("log")+" away")
}

func TestOpen_logIsMovedAway(t *testing.T) {
	f := newFolder(t)
	f.move("log", "log.away")
	now := time.Now().UnixMicro()
	var first, n int64
	f.use(func(a *app.App) {
		f.send(a, "two")
		first, n = f.stored(a)
	})
	if first < now || first > 1<<53 || n != 1 {
		t.Errorf("the new log begins with number %d and holds %d events", first, n)
	}
	if !strings.Contains(f.log.String(), "the telemetry log is new and the registry is not") {
		t.Errorf("nobody is told:\n%s", f.log.String())
	}
	f.use(func(a *app.App) {
		f.send(a, "three")
		if again, n := f.stored(a); again != first || n != 2 {
			t.Errorf("after another start: %d events from %d on", n, again)
		}
	})
	if strings.Count(f.log.String(), "the telemetry log is new") != 1 {
		t.Error("it is told again")
	}
	f.move("log", "log.new")
	f.move("log.away", "log") // a volume that was not mounted
	f.refused("is older than", "hubward restore", "move "+f.path("log")+" away")
}

func TestOpen_logIsRestoredAlone(t *testing.T) {
	f := newFolder(t)
	f.copy("log", "log.copy")
	f.use(func(a *app.App) { f.send(a, "two") })
	f.move("log", "log.away")
	f.move("log.copy", "log")
	f.refused("is older than", "numbers that readers have seen")
}

func TestOpen_registryIsRestoredAlone(t *testing.T) {
	f := newFolder(t)
	f.copy("registry.db", "registry.copy")
	f.use(func(a *app.App) { f.send(a, "two") })
	f.use(nil)
	f.copy("registry.copy", "registry.db")
	f.use(func(a *app.App) {
		if _, n := f.stored(a); n != 2 {
			t.Errorf("%d events", n)
		}
	})
	if !strings.Contains(f.log.String(), "registry.db is older than the telemetry log") {
		t.Errorf("nobody is told:\n%s", f.log.String())
	}
}

func TestOpen_registryIsFromBeforeAHub(t *testing.T) {
	f := newFolder(t)
	f.copy("registry.db", "registry.copy")
	f.use(func(a *app.App) {
		config, err := a.Hub().CreateHub(t.Context(), process(t, a), hub.NewHub{Name: "later"})
		if err != nil {
			t.Fatal(err)
		}
		p := process(t, a)
		p.Hub.Name, p.Hub.Created, p.Identity.Device = config.Name, config.Created, "d1"
		if err := a.Hub().IngestOnce(t.Context(), p, []*hubward.Message{{Body: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
	})
	f.copy("registry.db", "registry.right")
	f.copy("registry.copy", "registry.db")
	f.refused("telemetry of the hub later, of which", "knows nothing")
	f.copy("registry.right", "registry.db")
	f.use(func(a *app.App) {
		if err := a.Hub().DeleteHub(t.Context(), process(t, a), "later"); err != nil {
			t.Fatal(err)
		}
	})
	f.use(nil)
}
