package cli

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// writeWhole has write fill a file that only its owner can read. The file appears, or replaces an older one, when all of it is
// on disk; after an error, and after a crash, the older one is as it was. What is no regular file, a pipe or a device, is written
// to as it is.
func writeWhole(name string, write func(io.Writer) error) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		file, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(writeBuffered(file, write), file.Close())
	}
	target, err := filepath.EvalSymlinks(name) // a link stays one
	if errors.Is(err, fs.ErrNotExist) {
		target, err = name, nil
	}
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".*")
	if err != nil {
		return err
	}
	err = writeBuffered(file, write)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), target)
	}
	if err != nil {
		os.Remove(file.Name())
		return err
	}
	return syncFolder(filepath.Dir(target))
}

// writeBuffered has write write to w, in large pieces.
func writeBuffered(w io.Writer, write func(io.Writer) error) error {
	buffered := bufio.NewWriterSize(w, 64<<10)
	if err := write(buffered); err != nil {
		return err
	}
	return buffered.Flush()
}

// syncFolder makes a rename durable, where folders can be synced.
func syncFolder(name string) error {
	folder, err := os.Open(name)
	if err != nil {
		return nil // a folder that may be written to and not read: the file is there
	}
	folder.Sync() // some file systems cannot
	return folder.Close()
}
