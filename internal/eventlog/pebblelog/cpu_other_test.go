//go:build !unix

package pebblelog_test

import "time"

// cpuTime is not measured here.
func cpuTime() time.Duration { return 0 }

// permissive does nothing where there is no umask.
func permissive() (restore func()) { return func() {} }
