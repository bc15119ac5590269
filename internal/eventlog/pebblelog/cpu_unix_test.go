//go:build unix

package pebblelog_test

import (
	"syscall"
	"time"
)

// cpuTime returns what the process has used, user and system.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// permissive takes all restrictions from new files, and returns what gives them back.
func permissive() (restore func()) {
	old := syscall.Umask(0)
	return func() { syscall.Umask(old) }
}
