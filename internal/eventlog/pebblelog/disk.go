package pebblelog

import (
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// diskFS is the disk. Whatever the umask is, only the owner can read what it makes: files get their mode just after they
// were made, and until then the folder's mode keeps others out.
type diskFS struct{ vfs.FS }

const (
	fileMode = 0o600
	dirMode  = 0o700
)

// MkdirAll implements vfs.FS. A folder that exists already loses the rights of others too.
func (d diskFS) MkdirAll(dir string, _ os.FileMode) error {
	if err := d.FS.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	return os.Chmod(dir, dirMode)
}

// Create implements vfs.FS.
func (d diskFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, category)
	return private(f, name, err)
}

// OpenReadWrite implements vfs.FS.
func (d diskFS) OpenReadWrite(
	name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption,
) (vfs.File, error) {
	f, err := d.FS.OpenReadWrite(name, category, opts...)
	return private(f, name, err)
}

// Lock implements vfs.FS.
func (d diskFS) Lock(name string) (io.Closer, error) {
	lock, err := d.FS.Lock(name)
	return private(lock, name, err)
}

// Unwrap implements vfs.FS.
func (d diskFS) Unwrap() vfs.FS { return d.FS }

// private takes a file that was just opened for writing away from others.
func private[F io.Closer](f F, name string, err error) (F, error) {
	var none F
	if err != nil {
		return none, err
	}
	if err := os.Chmod(name, fileMode); err != nil {
		f.Close()
		return none, err
	}
	return f, nil
}
