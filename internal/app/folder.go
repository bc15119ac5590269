package app

import (
	"errors"
	"fmt"
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

// openFolder makes the data folder unless it is there, locks it against other processes, and checks that this program
// can read it. unlock gives the lock back.
func openFolder(dir string, logger *slog.Logger) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the data folder cannot be made: %w; choose another with --data", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	unlock, err = lockFolder(dir)
	if err != nil {
		return nil, err
	}
	if err := checkFormat(dir); err != nil {
		return nil, errors.Join(err, unlock())
	}
	if info.Mode().Perm()&0o077 != 0 {
		logger.Warn("other users can look into the data folder", "folder", dir, "mode", info.Mode().Perm().String())
	}
	return unlock, nil
}

// lockFolder takes the lock file. The kernel gives it back when the process dies, however it does; the file stays.
func lockFolder(dir string) (unlock func() error, err error) {
	f, err := os.OpenFile(filepath.Join(dir, "hubward.lock"), os.O_RDWR|os.O_CREATE, 0o600)
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
	if err := writePID(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}

// inUse tells who holds the lock, if that process has come to writing it down.
func inUse(dir string, f *os.File) error {
	who := ""
	pid := make([]byte, 20)
	if n, _ := f.ReadAt(pid, 0); n > 0 {
		who = " (pid " + strings.TrimSpace(string(pid[:n])) + ")"
	}
	return fmt.Errorf("the data folder %s is in use by another hubward%s: stop it or choose another folder with --data", dir, who)
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
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
