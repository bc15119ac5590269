//go:build crash

package crashtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/childhub"
	"github.com/hubward/hubward/service"
)

const (
	twinKills   = 14
	twinDevices = 16
	twinWriters = 4

	// longestTwinRun bounds how long a hub lives between "ready" and its death.
	longestTwinRun = 1500 * time.Millisecond
	twinWithin     = 4 * time.Minute
)

// twinRun is one run.
type twinRun struct {
	t       *testing.T
	ctx     context.Context
	rng     *rand.Rand
	hub     *childhub.Hub
	ledger  *twinLedger
	history *twinHistory
	fleet   []*device
	devices []*twinDevice
	writers []*twinWriter
}

// Tried by hand with hubs that are broken: one that stores a write that it has refused fails V1; one that answers reports before they
// are committed, or does not store some of them, or stores half of a write, fails V2; one that tells devices of the newest change alone, or
// of some not at all, fails V4; one that deletes events before they are in its log, moves some twice or in another order, has
// none for some writes, or counts one write twice, fails V5. All do within the first run.
func TestKill_twins(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), twinWithin)
	defer cancel()
	run := newTwinRun(ctx, t)
	begin := time.Now()
	for n := range twinKills {
		runFor := time.Duration(run.rng.Int64N(int64(longestTwinRun)))
		run.must(fmt.Sprintf("life %d of %s", n, runFor), run.liveAndDie(n, runFor))
		run.must("restart", run.hub.Start(ctx))
	}
	run.must("follow to the end", run.followToTheEnd())
	versions, err := run.finalVersions()
	run.must("read the twins", err)
	readCtx, cancelRead := context.WithTimeout(ctx, finishWithin)
	defer cancelRead()
	run.must("read the events", run.history.readAgain(readCtx, run.hub, versions))
	sum, err := run.ledger.check(run.history)
	if err != nil {
		t.Error(err)
	}
	changes := 0
	for _, d := range run.devices {
		changes += d.changes
	}
	t.Logf("%s: %+v, %d changes told to devices", time.Since(begin).Round(time.Second), sum, changes)
	if sum.acknowledged == 0 || sum.unanswered == 0 || sum.refused == 0 || changes == 0 {
		t.Error("some kind of write never was: the test proves nothing of it")
	}
	run.must("stop", run.hub.Stop())
}

func newTwinRun(ctx context.Context, t *testing.T) *twinRun {
	t.Helper()
	run := &twinRun{t: t, ctx: ctx, rng: seeded(t), history: newTwinHistory()}
	var at listeners
	run.hub, at = startHub(ctx, t, build(ctx, t))
	run.fleet = register(ctx, t, run.hub, at.mqtts, twinDevices, run.rng)
	run.ledger = newTwinLedger(run.fleet)
	for i, d := range run.fleet {
		open := openMQTTTwin(d, byte(i%2))
		if i%3 == 0 {
			open = openAMQPTwin(d, at.amqps)
		}
		run.devices = append(run.devices, &twinDevice{device: d, open: open, ledger: run.ledger})
	}
	for range twinWriters {
		run.writers = append(run.writers, &twinWriter{
			hub: run.hub, ledger: run.ledger, fleet: run.fleet, rng: rand.New(rand.NewPCG(run.rng.Uint64(), 0)), etags: map[string]string{},
		})
	}
	return run
}

func (r *twinRun) must(what string, err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("%s: %v", what, err)
	}
}

// liveAndDie lets devices and back ends change twins for a while, and a reader follow the events, then kills the hub under them:
// at once or with the next acknowledged write. It returns when all have noticed.
func (r *twinRun) liveAndDie(n int, runFor time.Duration) error {
	life := &life{dying: make(chan struct{})}
	group, ctx := errgroup.WithContext(r.ctx)
	for _, d := range r.devices {
		group.Go(func() error { return d.live(ctx, life) })
	}
	for _, w := range r.writers {
		group.Go(func() error { return w.write(ctx, life) })
	}
	group.Go(func() error { return r.history.follow(ctx, r.hub) })
	group.Go(func() error {
		if pauseFor(ctx, runFor) && n%2 == 0 {
			waiting, cancel := context.WithTimeout(ctx, confirmationWithin)
			defer cancel()
			select {
			case <-r.ledger.await():
			case <-waiting.Done():
			}
		}
		close(life.dying)
		return r.hub.Kill()
	})
	return group.Wait()
}

// followToTheEnd connects all devices, writes to each twin some more, and waits until they were told of that.
func (r *twinRun) followToTheEnd() error {
	ctx, cancel := context.WithTimeout(r.ctx, finishWithin)
	defer cancel()
	client, err := serviceClient(r.hub)
	if err != nil {
		return err
	}
	defer client.Close()
	group, ctx := errgroup.WithContext(ctx)
	for _, d := range r.devices {
		group.Go(func() error {
			conn, err := d.enter(ctx)
			if err != nil {
				return err
			}
			defer conn.close()
			if err := d.burst(ctx, conn); err != nil {
				return err
			}
			version, err := r.writeMore(ctx, client, d.id)
			if err != nil {
				return err
			}
			return d.followUntil(ctx, conn, version)
		})
	}
	return group.Wait()
}

// writeMore writes to a twin, and returns the $version of its desired properties.
func (r *twinRun) writeMore(ctx context.Context, client *service.Client, device string) (int64, error) {
	w := &twinWriter{ledger: r.ledger, etags: map[string]string{}}
	for range 3 {
		write := r.ledger.begin(&twinWrite{device: device, desired: true, tags: true})
		if err := w.send(ctx, client, write, "", r.ledger.floor(device)); err != nil {
			return 0, err
		}
	}
	twin, err := client.Twin(ctx, hubward.Identity{Device: device})
	if err != nil {
		return 0, err
	}
	return hubward.SectionVersion(twin.Properties.Desired), r.ledger.show(twin, r.ledger.floor(device))
}

// finalVersions reads all twins.
func (r *twinRun) finalVersions() (map[string]int64, error) {
	client, err := serviceClient(r.hub)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	versions := map[string]int64{}
	for _, d := range r.fleet {
		floor := r.ledger.floor(d.id)
		twin, err := client.Twin(r.ctx, hubward.Identity{Device: d.id})
		if err != nil {
			return nil, err
		}
		if err := r.ledger.show(twin, floor); err != nil {
			return nil, err
		}
		versions[d.id] = twin.Version
	}
	return versions, nil
}
