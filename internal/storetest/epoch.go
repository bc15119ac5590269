package storetest

import (
	"context"
	"sync"
	"testing"

	"github.com/hubward/hubward"
)

// Epochs numbers the starts of processes.
type Epochs interface {
	Durable
	// NextEpoch returns a number that is greater than all that the database has given before, and above zero, once that is
	// durable.
	NextEpoch(ctx context.Context) (uint64, error)
}

// RunEpochs tests that numbers grow, whoever asks. open opens the store that lives in dir, and makes it if there is none;
// several may have it open.
func RunEpochs(t *testing.T, open func(t *testing.T, dir string) Epochs) {
	t.Run("growOverRestarts", func(t *testing.T) { testEpochsGrow(t, open) })
	t.Run("areGivenOnce", func(t *testing.T) { testEpochsAreGivenOnce(t, open) })
}

func nextEpoch(t *testing.T, s Epochs) uint64 {
	t.Helper()
	epoch, err := s.NextEpoch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return epoch
}

func testEpochsGrow(t *testing.T, open func(t *testing.T, dir string) Epochs) {
	dir := t.TempDir()
	last := uint64(0)
	for range 3 {
		s := open(t, dir)
		for range 2 {
			epoch := nextEpoch(t, s)
			if epoch <= last {
				t.Fatalf("epoch %d comes after %d", epoch, last)
			}
			last = epoch
		}
		closeStore(t, s)
		_, err := s.NextEpoch(t.Context())
		wantCode(t, err, hubward.CodeServiceUnavailable)
	}
}

func testEpochsAreGivenOnce(t *testing.T, open func(t *testing.T, dir string) Epochs) {
	const each = 20
	dir := t.TempDir()
	stores := []Epochs{open(t, dir), open(t, dir)}
	given := make(chan uint64, each*len(stores))
	var wg sync.WaitGroup
	for _, s := range stores {
		wg.Go(func() {
			for range each {
				epoch, err := s.NextEpoch(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				given <- epoch
			}
		})
	}
	wg.Wait()
	close(given)
	seen := map[uint64]bool{}
	for epoch := range given {
		if seen[epoch] {
			t.Errorf("epoch %d was given twice", epoch)
		}
		seen[epoch] = true
	}
	for _, s := range stores {
		closeStore(t, s)
	}
}
