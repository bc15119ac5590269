package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// snapshotPrefix begins the names of the folders in the data folder into which a running process puts copies.
const snapshotPrefix = "snapshot-"

// snapshot fills an empty folder in the data folder, which the caller has made: who may write there may read all that it will
// hold. So the admin listener needs no other proof.
//
// The registry comes first, then the log, while no hub is made or deleted. Then all that was acknowledged before is in the copy;
// each hub whose events are in the copy of the log is in that of the registry; and what the registry has still to tell, and has
// told meanwhile, is in both and known by its id, where the other order would lose it.
func (a *App) snapshot(ctx context.Context, name string) error {
	if a.engines.pair == nil {
		return errors.New("this hub keeps its data in memory")
	}
	if !a.backups.TryLock() {
		return errors.New("another backup is under way")
	}
	defer a.backups.Unlock()
	dir := filepath.Join(a.cfg.Data, name)
	if name != filepath.Base(name) || !strings.HasPrefix(name, snapshotPrefix) {
		return fmt.Errorf("%.100q cannot name a snapshot", name)
	}
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return fmt.Errorf("there is no folder %s in the data folder", name)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		return fmt.Errorf("the folder %s is not empty", name)
	}
	err = a.hub.WithoutHubChanges(func() error {
		if err := a.engines.pair.store.Backup(ctx, filepath.Join(dir, registryFile)); err != nil {
			return err
		}
		return a.engines.pair.log.Checkpoint(filepath.Join(dir, logFolder))
	})
	if err != nil {
		return err
	}
	if err := a.engines.pair.moveOn(ctx); err != nil {
		return err
	}
	a.logger.Info("made a snapshot for a backup", "folder", name)
	return nil
}

// removeSnapshots removes what backups have left that were cut off.
func removeSnapshots(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, snapshotPrefix+"*"))
	for _, name := range left {
		err = errors.Join(err, os.RemoveAll(name))
	}
	return err
}
