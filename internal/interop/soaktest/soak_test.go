//go:build soak

package soaktest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/testhub"
)

const (
	// hubName is a hub that the test makes beside the first one, so that it can delete it, with all its events, before
	// it looks at the memory.
	hubName = "soak"

	partitions = 4
	senders    = 50
	readers    = 50
	// groups are just enough: up to five readers share a group and a partition, and no more are allowed. A place that
	// the hub did not give free would keep a reader out for good.
	groups = 3

	defaultLoad = 45 * time.Second

	// finishWithin bounds how long devices and readers need after the load for what is left, settleWithin how long
	// everything needs to be gone.
	finishWithin = 2 * time.Minute
	settleWithin = 30 * time.Second
)

// soak is the load and its hub.
type soak struct {
	t       *testing.T
	hub     *testhub.Hub
	process *access.Principal // may do everything in the hub
	ledgers [partitions]*ledger
	senders []*sender
	readers []*lineage
	quiet   chan struct{} // closed when the load is over: nothing is cut any more
	counts  counts
}

func TestSoak_everythingArrivesAndNothingIsLeft(t *testing.T) {
	s := newSoak(t, seeded(t))
	before := measure(t)
	s.run(loadTime(t))
	if !t.Failed() {
		s.compare()
		s.counts.check(t)
	}
	s.checkGone()
	s.forget()
	if !t.Failed() {
		checkLeft(t, before)
	}
}

// seeded returns the source of all random choices. Its seed is logged, so that a failure shows it.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("HUBWARD_SOAK_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("HUBWARD_SOAK_SEED: %v", err)
		}
	}
	t.Logf("HUBWARD_SOAK_SEED=%d repeats these choices", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func loadTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("HUBWARD_SOAK_TIME")
	if text == "" {
		return defaultLoad
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		t.Fatalf("HUBWARD_SOAK_TIME: %q is no duration above zero", text)
	}
	return d
}

// newSoak starts a hub and registers everybody; nobody is connected yet.
func newSoak(t *testing.T, rng *rand.Rand) *soak {
	t.Helper()
	s := &soak{t: t, hub: testhub.Start(t, testhub.PlainAMQP()), quiet: make(chan struct{})}
	rules := s.hub.App.Hub()
	made, err := rules.CreateHub(t.Context(), s.hub.Process(), hub.NewHub{Name: hubName, Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	s.process = access.Process(access.HubRef{Name: made.Name, Created: made.Created})
	for i := range s.ledgers {
		s.ledgers[i] = &ledger{partition: i, ended: make(chan struct{})}
	}
	for i := range senders {
		s.senders = append(s.senders, s.newSender(fmt.Sprintf("soak-%02d", i), newDice(rng)))
	}
	for i := range groups {
		if err := rules.CreateConsumerGroup(t.Context(), s.process, hubName, groupName(i)); err != nil {
			t.Fatal(err)
		}
	}
	keys := s.policy("service")
	for i := range readers {
		l := &lineage{
			soak: s, name: fmt.Sprintf("reader-%02d", i), group: groupName(i / partitions % groups), policy: keys,
			ledger: s.ledgers[i%partitions], dice: newDice(rng), devices: map[string]int{},
		}
		if l.open = l.openSDK; i/partitions%2 == 1 {
			l.open = l.openBare
		}
		s.readers = append(s.readers, l)
	}
	return s
}

func groupName(n int) string { return fmt.Sprintf("group-%d", n) }

// run runs the load, and then lets all devices send the rest and all readers read it.
func (s *soak) run(load time.Duration) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), load+finishWithin)
	defer cancel()
	sending, stopSending := context.WithTimeout(ctx, load)
	defer stopSending()
	quiet := sync.OnceFunc(func() { close(s.quiet) })
	stop := context.AfterFunc(sending, quiet)
	defer stop()
	reading, readingCtx := errgroup.WithContext(ctx)
	for _, l := range s.readers {
		reading.Go(func() error { return l.run(readingCtx) })
	}
	writing, writingCtx := errgroup.WithContext(readingCtx) // a reader that saw something wrong ends it all
	for _, d := range s.senders {
		writing.Go(func() error { return d.run(writingCtx) })
	}
	if err := writing.Wait(); err != nil {
		s.t.Errorf("senders: %v", err)
		cancel()
	}
	if err := s.setTargets(ctx); err != nil {
		s.t.Error(err)
		cancel()
	}
	if err := reading.Wait(); err != nil {
		s.t.Errorf("readers: %v", err)
		if errors.Is(err, context.DeadlineExceeded) {
			s.logLate()
		}
	}
}

// logLate tells what the readers that are not done have come to.
func (s *soak) logLate() {
	for _, l := range s.readers {
		if at, end := l.next.Load(), l.ledger.target.Load(); at != end {
			s.t.Logf("%s of partition %d and %s has seen %d of %d events; its last error: %v", l.name, l.ledger.partition, l.group, at, end, l.last())
		}
	}
}

// setTargets tells the readers where to end: nobody sends any more.
func (s *soak) setTargets(ctx context.Context) error {
	for _, l := range s.ledgers {
		bounds, err := s.hub.App.Hub().PartitionBounds(ctx, s.process, l.partition)
		if err != nil {
			return err
		}
		if bounds.First != 0 {
			return fmt.Errorf("partition %d begins with %d: the load was too much for the memory of the log", l.partition, bounds.First)
		}
		l.target.Store(bounds.Next)
		close(l.ended)
	}
	return nil
}

// compare checks S1: what each reader saw of each device. That its partition is complete, the reader has checked.
func (s *soak) compare() {
	s.t.Helper()
	acked, stored := 0, int64(0)
	for _, d := range s.senders {
		acked += d.acked
		for _, l := range s.readers {
			if l.ledger.partition == d.partition && l.devices[d.id] < d.acked {
				s.t.Errorf("S1: %s saw messages 0 to %d of %s, 0 to %d are acknowledged", l.name, l.devices[d.id]-1, d.id, d.acked-1)
			}
		}
	}
	for _, l := range s.ledgers {
		stored += l.target.Load()
	}
	s.t.Logf("%d messages acknowledged, %d events stored, each read by its partition's readers; %s", acked, stored, &s.counts)
}

// forget deletes the hub and all that the test remembers of it.
func (s *soak) forget() {
	s.t.Helper()
	if err := s.hub.App.Hub().DeleteHub(s.t.Context(), s.process, hubName); err != nil {
		s.t.Fatal(err)
	}
	s.senders, s.readers, s.ledgers = nil, nil, [partitions]*ledger{}
}
