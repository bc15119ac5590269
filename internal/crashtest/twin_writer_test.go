//go:build crash

package crashtest

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/childhub"
	"github.com/hubward/hubward/service"
)

// maxWritePause bounds the pause between two writes of a back end.
const maxWritePause = 30 * time.Millisecond

// twinWriter is a back end that reads and writes twins over REST, one call after the other.
type twinWriter struct {
	hub    *childhub.Hub
	ledger *twinLedger
	fleet  []*device
	rng    *rand.Rand
	etags  map[string]string // of twins, as answers had them last
}

// write writes until ctx ends or the hub is gone.
func (w *twinWriter) write(ctx context.Context, life *life) error {
	client, err := serviceClient(w.hub)
	if err != nil {
		return violation{err}
	}
	defer client.Close()
	for pauseFor(ctx, time.Duration(w.rng.Int64N(int64(maxWritePause)))) {
		if err := w.writeOne(ctx, client, w.fleet[w.rng.IntN(len(w.fleet))].id); err != nil {
			return life.end(ctx, err)
		}
	}
	return nil
}

// writeOne reads a twin, or writes to it in one of the ways that there are.
func (w *twinWriter) writeOne(ctx context.Context, client *service.Client, device string) error {
	id, floor := hubward.Identity{Device: device}, w.ledger.floor(device)
	if w.rng.IntN(5) == 0 {
		twin, err := client.Twin(ctx, id)
		if err != nil {
			return twinError(err)
		}
		return w.shown(twin, floor)
	}
	write := &twinWrite{device: device, replace: w.rng.IntN(8) == 0, tags: w.rng.IntN(2) == 0, desired: w.rng.IntN(2) == 0}
	if !write.tags {
		write.desired = true
	}
	etag := ""
	if w.rng.IntN(3) == 0 {
		etag = w.etags[device]
	}
	return w.send(ctx, client, w.ledger.begin(write), etag, floor)
}

// send makes a write, and notes what becomes of it. floor is what the twin's version has to be above.
func (w *twinWriter) send(ctx context.Context, client *service.Client, write *twinWrite, etag string, floor int64) error {
	var patch service.TwinPatch
	if write.tags {
		patch.Tags = write.section()
	}
	if write.desired {
		patch.Desired = write.section()
	}
	call := client.UpdateTwin
	if write.replace {
		call = client.ReplaceTwin
	}
	twin, err := call(ctx, hubward.Identity{Device: write.device}, patch, etag)
	if hubward.CodeOf(err) == hubward.CodePreconditionFailed && etag != "" {
		w.ledger.refused(write)
		delete(w.etags, write.device)
		return nil
	}
	if err != nil {
		return twinError(err)
	}
	count, err := etagCount(twin.ETag)
	if err != nil {
		return violation{err}
	}
	return errors.Join(w.ledger.acknowledged(write, count), w.shown(twin, floor+1))
}

func (w *twinWriter) shown(twin *hubward.Twin, floor int64) error {
	w.etags[twin.DeviceID] = twin.ETag
	return w.ledger.show(twin, floor)
}

// twinError tells what the hub has said from a connection that was cut.
func twinError(err error) error {
	if answer := (*hubward.Error)(nil); errors.As(err, &answer) {
		return violation{err}
	}
	return err
}

// etagCount is the count of writes in a twin's etag.
func etagCount(etag string) (int64, error) {
	raw, err := base64.StdEncoding.DecodeString(etag)
	if err != nil || len(raw) != 8 {
		return 0, fmt.Errorf("a twin has the etag %q", etag)
	}
	return int64(binary.BigEndian.Uint64(raw)), nil
}
