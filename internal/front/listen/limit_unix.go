//go:build unix

package listen

import "golang.org/x/sys/unix"

const (
	// reservedFiles are kept for the stores, the log and the admin listener: Pebble and SQLite must never meet a
	// process out of file descriptors.
	reservedFiles = 1024
	// mostConnections is the limit where that of open files is absent or beyond what one process can serve.
	mostConnections = 500_000
)

// fileLimit is how many connections the limit of open files leaves room for. The Go runtime has raised the soft limit
// to the hard one at start.
func fileLimit() int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return mostConnections
	}
	files := int64(min(uint64(r.Cur), mostConnections+reservedFiles))
	return int(max(files-reservedFiles, files/2, 1))
}
