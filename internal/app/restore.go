package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Restore puts a backup into a data folder that is empty or does not exist. It looks at all of the backup first. A restore that
// is cut off leaves a folder that no hub starts on.
func Restore(ctx context.Context, dir, data string) error {
	m, err := readManifest(dir)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if problems := m.verify(dir); len(problems) > 0 {
		return fmt.Errorf("the backup %s is damaged: %s", dir, strings.Join(problems, "; "))
	}
	if err := emptyFolder(data); err != nil {
		return fmt.Errorf("a backup is restored into an empty data folder: %w", err)
	}
	mark := filepath.Join(data, restoringFile)
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return err
	}
	if err := syncFolder(data); err != nil {
		return err
	}
	for _, item := range m.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := filepath.FromSlash(item.Name)
		got, err := copyFile(filepath.Join(dir, name), filepath.Join(data, name))
		if err != nil {
			return err
		}
		if got.SHA256 != item.SHA256 {
			return fmt.Errorf("%s has changed while it was restored", filepath.Join(dir, name))
		}
	}
	if err := syncFolders(data); err != nil {
		return err
	}
	return errors.Join(os.Remove(mark), syncFolder(data))
}

// checkRestored refuses a data folder into which a backup was restored in part.
func checkRestored(dir string) error {
	if _, err := os.Lstat(filepath.Join(dir, restoringFile)); err == nil {
		return fmt.Errorf("a backup was restored into %s, and not to the end: empty the folder and restore it again", dir)
	}
	return nil
}
