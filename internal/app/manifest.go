package app

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hubward/hubward/internal/front/listen"
)

// Files of a data folder, and of a backup.
const (
	registryFile = "registry.db"
	logFolder    = "log"
	tlsFolder    = "tls"
	formatFile   = "format"

	manifestFile   = "backup.json"       // the last file of a backup: with it, the backup is complete
	unfinishedFile = "backup-unfinished" // the first one, removed at the end
	restoringFile  = "restore-unfinished"
)

// manifestVersion is that of backups.
const manifestVersion = 1

// manifest tells what a backup holds.
type manifest struct {
	Version int            `json:"version"`
	Taken   time.Time      `json:"taken"` // when it began: what was acknowledged before is in it
	Files   []manifestItem `json:"files"` // by name
}

// manifestItem is one file.
type manifestItem struct {
	Name   string `json:"name"` // relative, with slashes
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // hexadecimal
}

var errUnfinished = errors.New("the backup is not complete: it was cut off, or somebody has removed its " + manifestFile)

// readManifest reads that of a backup.
func readManifest(dir string) (m manifest, err error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return m, errUnfinished
	}
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("%s cannot be read: %w", manifestFile, err)
	}
	if m.Version < 1 || m.Version > manifestVersion {
		return m, fmt.Errorf("%s has version %d, this program knows up to %d: use the newer hubward that made the backup", manifestFile, m.Version, manifestVersion)
	}
	for _, item := range m.Files {
		if !filepath.IsLocal(filepath.FromSlash(item.Name)) {
			return m, fmt.Errorf("%s names a file %.100q outside of the backup", manifestFile, item.Name)
		}
	}
	return m, nil
}

// write completes a backup.
func (m *manifest) write(dir string) error {
	slices.SortFunc(m.Files, func(a, b manifestItem) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := listen.ReplaceFile(filepath.Join(dir, manifestFile), append(text, '\n'), 0o600); err != nil {
		return err
	}
	return syncFolder(dir)
}

// verify compares a backup's files with its manifest, and returns what differs.
func (m *manifest) verify(dir string) (problems []string) {
	for _, item := range m.Files {
		got, err := sumFile(filepath.Join(dir, filepath.FromSlash(item.Name)))
		switch {
		case err != nil:
			problems = append(problems, fmt.Sprintf("%s: %v", item.Name, err))
		case got.Size != item.Size:
			problems = append(problems, fmt.Sprintf("%s has %d bytes, %d were backed up", item.Name, got.Size, item.Size))
		case got.SHA256 != item.SHA256:
			problems = append(problems, item.Name+" is not as it was backed up: its checksum differs")
		}
	}
	return problems
}

func sumFile(name string) (manifestItem, error) { return copyTo(io.Discard, name) }

// copyTo writes a file's bytes, and returns what a manifest says of them.
func copyTo(to io.Writer, name string) (manifestItem, error) {
	f, err := os.Open(name)
	if err != nil {
		return manifestItem{}, err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, sum), f)
	return manifestItem{Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, errors.Join(err, f.Close())
}

// copyFile copies a file into one that does not exist, only its owner can read, and is on disk when copyFile returns.
func copyFile(from, to string) (item manifestItem, err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return item, err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return item, err
	}
	item, err = copyTo(out, from)
	if err == nil {
		err = out.Sync()
	}
	return item, errors.Join(err, out.Close())
}

// syncFolders has the names in a folder and all below it on disk.
func syncFolders(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return syncFolder(path)
	})
}

// emptyFolder makes a folder, or finds it empty.
func emptyFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("the folder %s is not empty (%s): choose another", dir, entries[0].Name())
	}
	return nil
}
