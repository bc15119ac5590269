package app

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockOffset lies behind the process id: a locked range cannot be read on Windows.
const lockOffset = 1 << 30

// lockFile takes an exclusive lock on f. taken means that another open file has it.
func lockFile(f *os.File) (taken bool, err error) {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err = windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{Offset: lockOffset})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return true, nil
	}
	return false, err
}
