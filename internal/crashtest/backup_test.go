//go:build crash

package crashtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hubward/hubward/internal/childhub"
)

// backups is how many are begun; about half of them are killed.
const backups = 12

// A backup under load that comes to its end, restored, holds all that was acknowledged before it began, in order and without a
// gap, and the messages to devices; one that is killed holds all of that, too, or says that it is none.
func TestKill_backup(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), testWithin)
	defer cancel()
	rng := seeded(t)
	binary := build(ctx, t)
	hub, at := startHub(ctx, t, binary)
	fleet := register(ctx, t, hub, at.mqtts, 10, rng)
	complete, killed := 0, 0
	for n := range backups {
		dir := filepath.Join(t.TempDir(), "backup")
		if err := hub.Do(ctx, http.MethodPost, "/devices/"+fleet[0].id+"/messages/deviceBound", map[string]int{"n": n}, "", nil); err != nil {
			t.Fatal(err)
		}
		limit := time.Duration(0) // no kill
		if n%2 == 1 {
			limit = time.Duration(rng.Int64N(int64(400 * time.Millisecond)))
		}
		before, err := loadAndBackUp(ctx, hub, binary, fleet, dir, limit)
		if err != nil {
			t.Fatalf("backup %d: %v", n, err)
		}
		if err := hub.Start(ctx); err != nil {
			t.Fatal(err)
		}
		if output, err := exec.CommandContext(ctx, binary, "check", dir).CombinedOutput(); err != nil {
			killed++
			if limit == 0 {
				t.Fatalf("backup %d: %v\n%s", n, err, output)
			}
			data := filepath.Join(t.TempDir(), "data")
			if output, err := exec.CommandContext(ctx, binary, "restore", dir, "--data", data).CombinedOutput(); err == nil {
				t.Errorf("a backup that check refuses is restored:\n%s", output)
			}
			continue
		}
		complete++
		checkRestored(ctx, t, hub, binary, dir, fleet, before, n+1)
	}
	t.Logf("%d backups were complete, %d cut off", complete, killed)
	if left, err := filepath.Glob(filepath.Join(hub.Data, "snapshot-*")); err != nil || len(left) > 0 {
		t.Errorf("left in the data folder: %v, %v", left, err)
	}
	if err := hub.Stop(); err != nil {
		t.Error(err)
	}
	if output, err := exec.CommandContext(ctx, binary, "check", hub.Data).CombinedOutput(); err != nil {
		t.Errorf("the data folder: %v\n%s", err, output)
	}
}

// loadAndBackUp lets devices publish and makes a backup meanwhile, which is killed after a limit, unless that is zero; then it
// kills the hub. It returns how many messages of each device were acknowledged before the backup began.
func loadAndBackUp(ctx context.Context, hub *childhub.Hub, binary string, fleet []*device, dir string, limit time.Duration) ([]int, error) {
	before := make([]int, len(fleet))
	group, gctx := errgroup.WithContext(ctx)
	for _, d := range fleet {
		group.Go(func() error { return d.publishUntilCut(gctx) })
	}
	group.Go(func() error {
		time.Sleep(300 * time.Millisecond) // of load
		for i, d := range fleet {
			before[i] = int(d.live.Load())
		}
		bctx, cancel := ctx, context.CancelFunc(func() {})
		if limit > 0 {
			bctx, cancel = context.WithTimeout(ctx, limit)
		}
		defer cancel()
		output, err := exec.CommandContext(bctx, binary, "backup", dir, "--data", hub.Data).CombinedOutput() // the end of bctx is SIGKILL
		if err != nil && limit == 0 {
			err = fmt.Errorf("%w:\n%s", err, output)
		} else {
			err = nil
		}
		return errors.Join(err, hub.Kill())
	})
	return before, group.Wait()
}

// checkRestored starts a second hub on a restored backup and looks for what was acknowledged, and for waiting messages to a device.
func checkRestored(ctx context.Context, t *testing.T, hub *childhub.Hub, binary, dir string, fleet []*device, before []int, waiting int) {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	if output, err := exec.CommandContext(ctx, binary, "restore", dir, "--data", data).CombinedOutput(); err != nil {
		t.Fatalf("restore: %v\n%s", err, output)
	}
	if err := hub.Kill(); err != nil {
		t.Fatal(err)
	}
	restored := &childhub.Hub{Binary: binary, Data: data, Args: hub.Args, HTTPS: hub.HTTPS}
	if err := restored.Start(ctx); err != nil {
		t.Fatal(err)
	}
	then := make([]*device, len(fleet))
	for i, d := range fleet {
		then[i] = &device{id: d.id, acked: before[i]}
	}
	compare(ctx, t, restored, then, newLedger())
	var d struct{ CloudToDeviceMessageCount int }
	if err := restored.Do(ctx, http.MethodGet, "/devices/"+fleet[0].id, nil, "", &d); err != nil || d.CloudToDeviceMessageCount != waiting {
		t.Errorf("%d messages to the device wait in the backup, %d were sent: %v", d.CloudToDeviceMessageCount, waiting, err)
	}
	if err := restored.Stop(); err != nil {
		t.Error(err)
	}
	if err := hub.Start(ctx); err != nil {
		t.Fatal(err)
	}
}
