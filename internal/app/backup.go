package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// BackupResult tells what was backed up.
type BackupResult struct {
	Files   int
	Bytes   int64
	Running bool // by a process that serves the folder
}

// Backup puts a complete, consistent copy of a data folder into a folder that is empty or does not exist. A process that serves
// the data folder takes part; without one, the folder is locked meanwhile. Keys are in it: files have mode 0600. What is cut off
// in the middle has no manifest, and Restore refuses it.
func Backup(ctx context.Context, data, dir string, now time.Time) (r BackupResult, err error) {
	if _, err := os.Stat(filepath.Join(data, formatFile)); err != nil {
		return r, fmt.Errorf("%s is no data folder: %w", data, err)
	}
	if err := outside(dir, data); err != nil {
		return r, err
	}
	if err := emptyFolder(dir); err != nil {
		return r, err
	}
	b := &backup{data: data, dir: dir, manifest: manifest{Version: manifestVersion, Taken: now.UTC()}}
	if err := b.begin(); err != nil {
		return r, err
	}
	lock, err := lockFolder(data)
	switch {
	case errors.Is(err, errInUse):
		r.Running = true
		err = b.ofProcess(ctx)
	case err == nil:
		err = errors.Join(b.ofFolder(ctx), lock.Close())
	}
	if err != nil && b.takenBack() {
		return r, err
	}
	if err != nil {
		return r, fmt.Errorf("%w; what is in %s is no backup", err, dir)
	}
	for _, item := range b.manifest.Files {
		r.Files++
		r.Bytes += item.Size
	}
	return r, b.end()
}

// outside refuses to copy a folder into itself.
func outside(dir, data string) error {
	at, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	of, err := filepath.Abs(data)
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(of, at); err == nil && filepath.IsLocal(rel) {
		return fmt.Errorf("the backup cannot be inside of the data folder %s: choose another folder", data)
	}
	return nil
}

// backup is one in the making.
type backup struct {
	data, dir string
	manifest  manifest
}

// begin marks the folder, so that nobody takes it for a backup before the end.
func (b *backup) begin() error {
	if err := os.WriteFile(filepath.Join(b.dir, unfinishedFile), nil, 0o600); err != nil {
		return err
	}
	return syncFolder(b.dir)
}

// takenBack leaves the folder as empty as it was, so that the same command can be tried again. It reports false when something
// was copied, which is left for whoever wants to look.
func (b *backup) takenBack() bool {
	entries, err := os.ReadDir(b.dir)
	return err == nil && len(entries) == 1 && os.Remove(filepath.Join(b.dir, unfinishedFile)) == nil
}

func (b *backup) end() error {
	if err := syncFolders(b.dir); err != nil {
		return err
	}
	if err := b.manifest.write(b.dir); err != nil {
		return err
	}
	return os.Remove(filepath.Join(b.dir, unfinishedFile))
}

// ofProcess copies a snapshot that the process makes which serves the folder.
func (b *backup) ofProcess(ctx context.Context) error {
	snapshot, err := os.MkdirTemp(b.data, snapshotPrefix)
	if err != nil {
		return err
	}
	err = askForSnapshot(ctx, b.data, filepath.Base(snapshot))
	if err == nil {
		err = b.copyAll(ctx, snapshot)
	}
	if err == nil {
		err = b.copyFiles(ctx)
	}
	return errors.Join(err, os.RemoveAll(snapshot))
}

// ofFolder copies a folder that nobody uses.
func (b *backup) ofFolder(ctx context.Context) error {
	if err := checkRestored(b.data); err != nil {
		return err
	}
	for _, name := range []string{registryFile, registryFile + "-wal", logFolder} {
		err := b.copyAll(ctx, b.data, name)
		if err != nil && !(errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(name, "-wal")) {
			return err
		}
	}
	return b.copyFiles(ctx)
}

// copyFiles copies what is no engine's. Neither is changed while a hub runs but as a whole, and the certificate of a hub that
// is deleted meanwhile goes: what is not there any more is left out, and nothing else.
func (b *backup) copyFiles(ctx context.Context) error {
	for _, name := range []string{formatFile, connectionStringsFile, tlsFolder} {
		err := filepath.WalkDir(filepath.Join(b.data, name), func(path string, d fs.DirEntry, err error) error {
			if err = b.copyEntry(ctx, b.data, path, d, err); errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// copyAll copies what is below a folder, or one entry of it.
func (b *backup) copyAll(ctx context.Context, root string, below ...string) error {
	return filepath.WalkDir(filepath.Join(append([]string{root}, below...)...), func(path string, d fs.DirEntry, err error) error {
		return b.copyEntry(ctx, root, path, d, err)
	})
}

// copyEntry copies an entry of a folder that is walked.
func (b *backup) copyEntry(ctx context.Context, root, path string, d fs.DirEntry, err error) error {
	if err := errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	if !d.Type().IsRegular() || d.Name() == "LOCK" {
		return nil
	}
	name, err := filepath.Rel(root, path)
	if err != nil {
		return err
	}
	item, err := copyFile(path, filepath.Join(b.dir, name))
	if err != nil {
		return err
	}
	item.Name = filepath.ToSlash(name)
	b.manifest.Files = append(b.manifest.Files, item)
	return nil
}

// askForSnapshot has the process that serves a data folder fill a folder in it.
func askForSnapshot(ctx context.Context, data, name string) error {
	f, err := os.Open(filepath.Join(data, lockName))
	if err != nil {
		return err
	}
	pid, admin := readLock(f)
	if err := f.Close(); err != nil {
		return err
	}
	if admin == "" {
		return fmt.Errorf("the hubward that uses %s (pid %s) has no admin listener, or is just starting: start it without --admin off, or stop it first", data, pid)
	}
	u := url.URL{Scheme: "http", Host: reachable(admin), Path: "/snapshot", RawQuery: url.Values{"into": {name}}.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: it is this machine
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("the hubward that uses %s (pid %s) does not answer: %w", data, pid, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return fmt.Errorf("the hubward that uses %s (pid %s) made no snapshot: %s", data, pid, strings.TrimSpace(string(text)))
	}
	return nil
}

// reachable turns the address of a listener on all interfaces into one on this machine.
func reachable(address string) string {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().IsUnspecified() {
		return address
	}
	return net.JoinHostPort("localhost", fmt.Sprint(at.Port()))
}
