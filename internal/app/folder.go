package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hubward/hubward/internal/front/listen"
)

// folderFormat is the version of the data folder's layout. It only goes up; each engine has a version of its own
// besides.
const folderFormat = 1

// lockName is the file that is locked, and tells who has done so.
const lockName = "hubward.lock"

// openFolder makes the data folder unless it is there, locks it against other processes, and checks that this program
// can read it. unlock gives the lock back.
func openFolder(dir string, logger *slog.Logger) (lock *folderLock, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the data folder cannot be made: %w; choose another with --data", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	lock, err = lockFolder(dir)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(checkRestored(dir), checkFormat(dir), removeSnapshots(dir)); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if info.Mode().Perm()&0o077 != 0 {
		logger.Warn("other users can look into the data folder", "folder", dir, "mode", info.Mode().Perm().String())
	}
	return lock, nil
}

// folderLock is the lock of a data folder, held until Close.
type folderLock struct{ f *os.File }

func (l *folderLock) Close() error { return l.f.Close() }

// errInUse is wrapped by the error of a folder that another process has locked.
var errInUse = errors.New("in use")

// lockFolder takes the lock file. The kernel gives it back when the process dies, however it does; the file stays.
func lockFolder(dir string) (*folderLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the data folder cannot be used: %w", err)
	}
	taken, err := lockFile(f)
	switch {
	case err != nil:
		return nil, errors.Join(fmt.Errorf("the data folder %s cannot be locked: %w", dir, err), f.Close())
	case taken:
		return nil, errors.Join(inUse(dir, f), f.Close())
	}
	l := &folderLock{f}
	if err := l.write(""); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return l, nil
}

// inUse tells who holds the lock, if that process has come to writing it down.
func inUse(dir string, f *os.File) error {
	who := ""
	if pid, _ := readLock(f); pid != "" {
		who = " (pid " + pid + ")"
	}
	return fmt.Errorf("the data folder %s is %w by another hubward%s: stop it or choose another folder with --data", dir, errInUse, who)
}

// write tells who holds the lock, and where its admin listener is: empty when it has none, or none yet.
func (l *folderLock) write(admin string) error {
	if err := l.f.Truncate(0); err != nil {
		return err
	}
	_, err := l.f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"+admin+"\n"), 0)
	return err
}

// readLock returns what the holder of a lock has written.
func readLock(f io.ReaderAt) (pid, admin string) {
	text := make([]byte, 300)
	n, _ := f.ReadAt(text, 0)
	lines := strings.Split(string(text[:n])+"\n\n", "\n")
	return strings.TrimSpace(lines[0]), strings.TrimSpace(lines[1])
}

// checkFormat reads the layout's version, or writes it into a new folder.
func checkFormat(dir string) error {
	file := filepath.Join(dir, "format")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return listen.ReplaceFile(file, []byte(strconv.Itoa(folderFormat)+"\n"), 0o600)
	}
	if err != nil {
		return fmt.Errorf("the data folder cannot be read: %w", err)
	}
	version, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || version < 1 {
		return fmt.Errorf("%s holds %.20q, which is no version of a data folder", file, text)
	}
	if version > folderFormat {
		return fmt.Errorf("the data folder %s has format %d, this program knows up to %d: use the newer hubward that wrote it, or choose another folder with --data", dir, version, folderFormat)
	}
	return nil
}
