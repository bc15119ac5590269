package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/hubward/hubward/internal/eventlog/pebblelog"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

// CheckResult is what Check has found.
type CheckResult struct {
	Backup   bool     // it is one; else a data folder
	Problems []string // what is damaged; none: all is well
	Hubs     int
	Devices  int
	Events   int64 // counted when the log is whole
}

// Check reads all of a data folder that no process has open, or of a backup, and changes nothing. Its error says that it could
// not look.
func Check(ctx context.Context, dir string) (r CheckResult, err error) {
	if _, err := os.Stat(dir); err != nil {
		return r, err
	}
	unlock, err := r.enter(dir)
	if err != nil {
		return r, err
	}
	registry, err := sqlstore.Check(ctx, filepath.Join(dir, registryFile))
	if err != nil {
		r.problem("%s cannot be read: %v", registryFile, err)
	}
	for _, problem := range registry.Problems {
		r.problem("%s: %s", registryFile, problem)
	}
	log, logErr := pebblelog.Check(ctx, filepath.Join(dir, logFolder))
	if logErr != nil {
		r.problem("%s/ cannot be read: %v", logFolder, logErr)
	}
	for _, problem := range log.Problems {
		r.problem("%s/: %s", logFolder, problem)
	}
	r.Hubs, r.Devices, r.Events = registry.Hubs, registry.Devices, log.Events
	if len(r.Problems) == 0 {
		if err := belongingOf(registry, log).check(dir); err != nil {
			r.problem("%v", err)
		}
	}
	return r, errors.Join(ctx.Err(), unlock())
}

func (r *CheckResult) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// enter finds out what a folder is, and keeps others out of a data folder.
func (r *CheckResult) enter(dir string) (leave func() error, err error) {
	_, manifestErr := os.Lstat(filepath.Join(dir, manifestFile))
	_, unfinishedErr := os.Lstat(filepath.Join(dir, unfinishedFile))
	if manifestErr == nil || unfinishedErr == nil {
		r.Backup = true
		m, err := readManifest(dir)
		if err != nil {
			r.problem("%v", err)
		}
		r.Problems = append(r.Problems, m.verify(dir)...)
		return func() error { return nil }, nil
	}
	if _, err := os.Stat(filepath.Join(dir, formatFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is neither a data folder nor a backup", dir)
	}
	lock, err := lockFolder(dir)
	if errors.Is(err, errInUse) {
		return nil, fmt.Errorf("%w; or make a backup of it, and check that", err)
	}
	if err != nil {
		return nil, err
	}
	if err := checkRestored(dir); err != nil {
		r.problem("%v", err)
	}
	return lock.Close, nil
}

// belongingOf compares registry and log as a start would.
func belongingOf(registry sqlstore.Report, log pebblelog.Report) *belonging {
	b := &belonging{registry: registry.Pairing, hubs: registry.Hubs, owner: log.Owner, logged: log.Hubs}
	for _, name := range log.Hubs {
		if !slices.Contains(registry.Logs, name) {
			b.stray = append(b.stray, name)
		}
	}
	return b
}
