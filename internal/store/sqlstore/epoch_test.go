package sqlstore_test

import (
	"os"
	"testing"

	"github.com/hubward/hubward/internal/store/sqlstore"
	"github.com/hubward/hubward/internal/storetest"
)

func TestStore_epochs(t *testing.T) {
	storetest.RunEpochs(t, func(t *testing.T, dir string) storetest.Epochs { return open(t, file(dir)) })
}

func TestNextEpoch_inMemory(t *testing.T) {
	if epoch, err := open(t, sqlstore.Memory).NextEpoch(t.Context()); err != nil || epoch != 1 {
		t.Errorf("%d, %v", epoch, err)
	}
}

// The file of an earlier version 4 was opened six times.
func TestNextEpoch_goesOn(t *testing.T) {
	script, err := os.ReadFile("testdata/sqlite/0004.sql")
	if err != nil {
		t.Fatal(err)
	}
	path := file(t.TempDir())
	sqlstore.CreateAt(t, path, 4, string(script))
	if epoch, err := open(t, path).NextEpoch(t.Context()); err != nil || epoch != 7 {
		t.Errorf("%d, %v", epoch, err)
	}
}
