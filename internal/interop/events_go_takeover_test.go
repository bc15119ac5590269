//go:build interop

package interop_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	"github.com/google/go-cmp/cmp"
)

// checkpoints is a store for processors of one process and one consumer group.
type checkpoints struct {
	mu     sync.Mutex
	claims int
	owners map[string]azeventhubs.Ownership
	read   map[string]azeventhubs.Checkpoint
}

func newCheckpoints() *checkpoints {
	return &checkpoints{owners: map[string]azeventhubs.Ownership{}, read: map[string]azeventhubs.Checkpoint{}}
}

// ClaimOwnership grants what nobody has claimed since the claimant looked.
func (c *checkpoints) ClaimOwnership(_ context.Context, wanted []azeventhubs.Ownership, _ *azeventhubs.ClaimOwnershipOptions) ([]azeventhubs.Ownership, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var granted []azeventhubs.Ownership
	for _, o := range wanted {
		if now, ok := c.owners[o.PartitionID]; ok && (o.ETag == nil || *o.ETag != *now.ETag) {
			continue
		}
		c.claims++
		o.ETag, o.LastModifiedTime = to.Ptr(azcore.ETag(strconv.Itoa(c.claims))), time.Now()
		c.owners[o.PartitionID] = o
		granted = append(granted, o)
	}
	return granted, nil
}

func (c *checkpoints) ListOwnership(context.Context, string, string, string, *azeventhubs.ListOwnershipOptions) ([]azeventhubs.Ownership, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.owners)), nil
}

func (c *checkpoints) ListCheckpoints(context.Context, string, string, string, *azeventhubs.ListCheckpointsOptions) ([]azeventhubs.Checkpoint, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.read)), nil
}

func (c *checkpoints) SetCheckpoint(_ context.Context, at azeventhubs.Checkpoint, _ *azeventhubs.SetCheckpointOptions) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read[at.PartitionID] = at
	return nil
}

// ownedBy returns the partitions that an instance owns, sorted.
func (c *checkpoints) ownedBy(name string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var owned []string
	for id, o := range c.owners {
		if o.OwnerID == name {
			owned = append(owned, id)
		}
	}
	slices.Sort(owned)
	return owned
}

// worker is a running processor that tells what it reads and loses.
type worker struct {
	name   string
	events chan<- event // what it reads, for all processors
	opened chan string  // partitions
	lost   chan string  // partitions that another one has taken
	stop   func()       // returns when all of it has ended
}

// startWorker runs a processor on a store, from the latest events on, until the test ends or stop is called.
func startWorker(t *testing.T, name string, store *checkpoints, events chan<- event) *worker {
	t.Helper()
	client := newGoClient(t, goOptions{name: name, retries: goRetries})
	processor, err := azeventhubs.NewProcessor(client, store, &azeventhubs.ProcessorOptions{
		LoadBalancingStrategy: azeventhubs.ProcessorStrategyGreedy, UpdateInterval: 300 * time.Millisecond,
		StartPositions: azeventhubs.StartPositions{Default: azeventhubs.StartPosition{Latest: to.Ptr(true)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &worker{name: name, events: events, opened: make(chan string, 64), lost: make(chan string, 64)}
	var running sync.WaitGroup
	running.Go(func() {
		if err := processor.Run(ctx); err != nil {
			t.Errorf("processor %s: %v", name, err)
		}
	})
	running.Go(func() {
		for p := processor.NextPartitionClient(ctx); p != nil; p = processor.NextPartitionClient(ctx) {
			w.opened <- p.PartitionID()
			running.Go(func() { w.readPartition(t, ctx, p) })
		}
	})
	w.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(w.stop)
	return w
}

func (w *worker) readPartition(t *testing.T, ctx context.Context, p *azeventhubs.ProcessorPartitionClient) {
	defer p.Close(context.Background())
	for ctx.Err() == nil {
		events, err := p.ReceiveEvents(ctx, 1, nil)
		for _, e := range events {
			w.events <- goShown(p.PartitionID(), e)
			if err := p.UpdateCheckpoint(ctx, e, nil); err != nil {
				t.Errorf("%s, partition %s: %v", w.name, p.PartitionID(), err)
			}
		}
		if e := (*azeventhubs.Error)(nil); errors.As(err, &e) && e.Code == azeventhubs.ErrorCodeOwnershipLost {
			w.lost <- p.PartitionID()
			return
		} else if err != nil && ctx.Err() == nil {
			t.Errorf("%s, partition %s: %v", w.name, p.PartitionID(), err)
			return
		}
	}
}

// expect returns the next n values of a channel, sorted.
func expect(t *testing.T, what string, from <-chan string, n int) []string {
	t.Helper()
	timeout := time.After(readerWithin)
	var got []string
	for len(got) < n {
		select {
		case v := <-from:
			got = append(got, v)
		case <-timeout:
			t.Fatalf("%s: %q, and no more", what, got)
		}
	}
	slices.Sort(got)
	return got
}

// wantRead takes from processors the events of a fleet after the first `had` of each device, each of which has to come
// once.
func wantRead(t *testing.T, f *fleet, had int, events <-chan event) {
	t.Helper()
	want := slices.DeleteFunc(f.stored(t), func(e event) bool {
		n, err := messageNumber(e.MessageID)
		return err != nil || n < had
	})
	ours := map[string]bool{}
	for _, d := range f.devices {
		ours[d.DeviceID] = true
	}
	timeout := time.After(readerWithin)
	var got []event
	for len(got) < len(want) {
		select {
		case e := <-events:
			if ours[e.Device] {
				got = append(got, e)
			}
		case <-timeout:
			t.Fatalf("%d of %d events came", len(got), len(want))
		}
	}
	slices.SortStableFunc(got, func(a, b event) int { return strings.Compare(a.Partition, b.Partition) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%.5000s", diff)
	}
}

// Two processors share the partitions: the second takes half of them from the first, and all when the first is gone.
// Nothing is read twice and nothing is left out, as every event is checked off when it is read.
func TestGo_processorsShare(t *testing.T) {
	f := newFleet(t, "go-share")
	store, events := newCheckpoints(), make(chan event, 4096)
	first := startWorker(t, "first", store, events)
	all := []string{"0", "1", "2", "3"}
	if got := expect(t, "the first one opens", first.opened, 4); !slices.Equal(got, all) {
		t.Fatalf("the first one has opened %q", got)
	}
	f.send(t, 5)
	wantRead(t, f, 0, events)

	second := startWorker(t, "second", store, events)
	taken := expect(t, "the second one opens", second.opened, 2)
	if lost := expect(t, "the first one loses", first.lost, 2); !slices.Equal(lost, taken) {
		t.Errorf("the first one has lost %q, the second one has %q", lost, taken)
	}
	f.send(t, 5)
	wantRead(t, f, 5, events)

	first.stop()
	if owned := store.ownedBy("first"); len(owned) > 0 {
		t.Errorf("the first one has ended and owns %q", owned)
	}
	has := slices.Concat(taken, expect(t, "the second one opens", second.opened, 2))
	if slices.Sort(has); !slices.Equal(has, all) {
		t.Errorf("the second one has %q", has)
	}
	f.send(t, 5)
	wantRead(t, f, 10, events)
}

// An exclusive reader takes a partition from readers without a level and from those of its level or a lower one.
func TestGo_exclusiveReaderTakesOver(t *testing.T) {
	f := newFleet(t, "go-exclusive")
	f.send(t, 2)
	events := f.onPartition(t, "3")
	start := azeventhubs.StartPosition{SequenceNumber: &events[0].Sequence, Inclusive: true}
	open := func(name string, level *int64) *azeventhubs.PartitionClient {
		client := newGoClient(t, goOptions{name: name, retries: goOnce})
		return newGoPartition(t, client, "3", azeventhubs.PartitionClientOptions{StartPosition: start, OwnerLevel: level})
	}
	before := open("without level", nil)
	goWants(t, before, events)
	for _, next := range []struct {
		name  string
		level int64
	}{{"level 0", 0}, {"level 2", 2}, {"level 2 again", 2}} {
		after := open(next.name, &next.level)
		goWants(t, after, events)
		err := goFails(t, before)
		wantGoCode(t, err, azeventhubs.ErrorCodeOwnershipLost)
		if !strings.Contains(err.Error(), "New receiver '"+next.name+"' with higher epoch of '"+strconv.FormatInt(next.level, 10)+"'") {
			t.Errorf("the error does not name the new reader %q: %v", next.name, err)
		}
		before = after
	}
	for name, level := range map[string]*int64{"lower level": to.Ptr[int64](1), "no level": nil} {
		if err := goFails(t, open(name, level)); !strings.Contains(err.Error(), "amqp:link:stolen") {
			t.Errorf("%s: the error is %v, want amqp:link:stolen", name, err)
		}
	}
	f.send(t, 1)
	goWants(t, before, f.onPartition(t, "3")[len(events):]) // who was there has noticed nothing
}

// Five readers without a level share a partition, the sixth is refused, and has a place when one leaves.
func TestGo_sixthReaderRefused(t *testing.T) {
	f := newFleet(t, "go-six")
	f.send(t, 1)
	events := f.onPartition(t, "0")
	open := func(name string) *azeventhubs.PartitionClient {
		client := newGoClient(t, goOptions{name: name, retries: goOnce})
		return newGoPartition(t, client, "0", azeventhubs.PartitionClientOptions{
			StartPosition: azeventhubs.StartPosition{SequenceNumber: &events[0].Sequence, Inclusive: true},
		})
	}
	var five []*azeventhubs.PartitionClient
	for i := range 5 {
		p := open("reader " + strconv.Itoa(i))
		goWants(t, p, events)
		five = append(five, p)
	}
	err := goFails(t, open("reader 5"))
	if text := err.Error(); !strings.Contains(text, "amqp:resource-limit-exceeded") || !strings.Contains(text, "reader 3") {
		t.Errorf("the sixth reader: %v; want amqp:resource-limit-exceeded and the names of the five", err)
	}
	if err := five[2].Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	goWants(t, open("reader 6"), events)
}

// A reader goes on where it was when the hub comes back.
func TestGo_survivesRestart(t *testing.T) {
	f := newFleet(t, "go-restart")
	f.send(t, 3)
	before := f.onPartition(t, "1")
	clients := map[string]*azeventhubs.PartitionClient{}
	for _, transport := range []string{"amqp", "ws", "plain"} {
		clients[transport] = newGoPartition(t, newGoClient(t, goOptions{transport: transport, retries: goRetries}), "1", azeventhubs.PartitionClientOptions{
			StartPosition: azeventhubs.StartPosition{SequenceNumber: &before[0].Sequence, Inclusive: true},
		})
		goWants(t, clients[transport], before)
	}
	if err := hub.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := hub.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.send(t, 3) // the devices come back by themselves
	after := f.onPartition(t, "1")[len(before):]
	for transport, p := range clients {
		t.Run(transport, func(t *testing.T) { goWants(t, p, after) })
	}
}
