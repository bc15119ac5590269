//go:build !unix

package listen

// fileLimit is how many connections one process serves where the system has no limit of open files to ask for.
func fileLimit() int { return 100_000 }
