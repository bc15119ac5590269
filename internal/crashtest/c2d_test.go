//go:build crash

package crashtest

import (
	"context"
	"errors"
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
	// c2dWithin bounds a whole run, finishWithin each of its last steps.
	c2dWithin    = 5 * time.Minute
	finishWithin = time.Minute

	// confirmationWithin is how long a kill waits for the confirmation behind which it is to come.
	confirmationWithin = time.Second

	senders = 6
)

// Tried by hand with hubs that are broken: one that confirms what a device settles before that is committed fails D2 or
// D4 within a few kills, in about all runs; one that accepts messages before they are committed fails D1, one that
// completes feedback so fails D6, one that forgets locks when it starts fails D4.
func TestKill_messagesToDevicesEndOnce(t *testing.T) {
	newC2DRun(t, build(t.Context(), t), c2dPlan{
		messages: 1000, devices: 20, kills: 18, protocols: []protocol{byMQTT, byAMQP, byHTTPS}, sendREST: true, sendAMQP: true,
	}).do()
}

func TestKill_messagesToDevicesByOneProtocol(t *testing.T) {
	binary := build(t.Context(), t)
	for name, plan := range map[string]c2dPlan{
		"MQTT":  {protocols: []protocol{byMQTT}, sendREST: true},
		"AMQP":  {protocols: []protocol{byAMQP}, sendAMQP: true},
		"HTTPS": {protocols: []protocol{byHTTPS}, sendREST: true},
	} {
		t.Run(name, func(t *testing.T) {
			plan.messages, plan.devices, plan.kills = 200, 6, 4
			newC2DRun(t, binary, plan).do()
		})
	}
}

// c2dPlan says how large a run is and who takes part.
type c2dPlan struct {
	messages, devices, kills int
	protocols                []protocol // of the devices, in turn
	sendREST, sendAMQP       bool
}

// c2dRun is one run.
type c2dRun struct {
	c2dPlan
	t         *testing.T
	ctx       context.Context
	rng       *rand.Rand
	hub       *childhub.Hub
	ledger    *c2dLedger
	receivers []*receiver // the last one is idle
	senders   []*sender
	reader    *feedbackReader
	registry  *service.Client
}

func newC2DRun(t *testing.T, binary string, plan c2dPlan) *c2dRun {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), c2dWithin)
	t.Cleanup(cancel)
	run := &c2dRun{c2dPlan: plan, t: t, ctx: ctx, rng: seeded(t)}
	var at listeners
	run.hub, at = startHub(ctx, t, binary)
	fleet := register(ctx, t, run.hub, at.mqtts, plan.devices, run.rng)
	run.ledger = newC2DLedger(plan.messages, fleet, run.rng)
	for i, d := range fleet {
		run.receivers = append(run.receivers, &receiver{device: d, speaks: plan.protocols[i%len(plan.protocols)], at: at, ledger: run.ledger})
	}
	open := []func(context.Context) (*outbound, error){}
	if plan.sendREST {
		open = append(open, openREST(run.hub))
	}
	if plan.sendAMQP {
		open = append(open, openAMQP(run.hub, at.amqps))
	}
	for i := range senders {
		run.senders = append(run.senders, &sender{ledger: run.ledger, open: open[i%len(open)], rng: run.split()})
	}
	run.reader = &feedbackReader{hub: run.hub, ledger: run.ledger, rng: run.split()}
	var err error
	if run.registry, err = serviceClient(run.hub); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(run.registry.Close)
	settings := service.C2DSettings{Feedback: service.FeedbackSettings{LockDuration: service.Duration(feedbackLock)}}
	if _, err := run.registry.UpdateHub(ctx, "hubward", service.HubChange{CloudToDevice: settings}); err != nil {
		t.Fatal(err)
	}
	return run
}

// split makes another source of random choices.
func (r *c2dRun) split() *rand.Rand { return rand.New(rand.NewPCG(r.rng.Uint64(), r.rng.Uint64())) }

func (r *c2dRun) do() {
	r.t.Helper()
	begin := time.Now()
	r.must("fill a queue", r.fill())
	for n := range r.kills {
		runFor := time.Duration(r.rng.Int64N(int64(longestRun)))
		r.must(fmt.Sprintf("life %d of %s", n, runFor), r.liveAndDie(n, runFor))
		r.must("restart", r.hub.Start(r.ctx))
	}
	r.must("send the rest", r.sendRest())
	r.restart()
	r.must("drain", r.drain())
	r.restart()
	r.must("read the rest of the feedback", r.readFeedback())
	r.restart()
	r.must("look again", r.lookAgain())
	r.must("stop", r.hub.Stop())
	r.checkOutcomes(time.Since(begin))
}

func (r *c2dRun) must(what string, err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("%s: %v", what, err)
	}
}

func (r *c2dRun) restart() {
	r.t.Helper()
	r.must("kill", r.hub.Kill())
	r.must("restart", r.hub.Start(r.ctx))
	r.registry.Close() // its connections are dead
}

// life is the time of one hub process, from "ready" to its death.
type life struct{ dying chan struct{} }

// end is what a broken connection means: nothing when the hub is dying or the step is over, else that the hub has
// broken it.
func (l *life) end(ctx context.Context, err error) error {
	if v := (violation{}); errors.As(err, &v) {
		return err
	}
	select {
	case <-l.dying:
		return nil
	case <-ctx.Done():
		return nil
	default:
		return violated("the hub lives, but: %w", err)
	}
}

// fill sends as many messages to a device as its queue holds, and one more.
func (r *c2dRun) fill() error {
	out, err := openREST(r.hub)(r.ctx)
	if err != nil {
		return err
	}
	defer out.close()
	for range queueDepth {
		if err := r.senders[0].try(r.ctx, out, r.ledger.next(r.messages)); err != nil {
			return err
		}
	}
	m := r.ledger.next(r.messages)
	if err := r.senders[0].try(r.ctx, out, m); !errors.Is(err, errFull) {
		return fmt.Errorf("message %d to one device is not refused as one too many (%v)", queueDepth+1, err)
	}
	r.ledger.giveBack(m)
	return nil
}

// liveAndDie lets all but the idle device take part for a while, then kills the hub under them: at once or, which is
// as random a moment, with the next confirmation of a kind. It returns when all have noticed. Each life sends its share of
// the messages, so that they last.
func (r *c2dRun) liveAndDie(n int, runFor time.Duration) error {
	life := &life{dying: make(chan struct{})}
	group, ctx := errgroup.WithContext(r.ctx)
	share := queueDepth + (r.messages-queueDepth)*(n+1)/(r.kills+1)
	for _, s := range r.senders {
		group.Go(func() error { return s.send(ctx, life, share) })
	}
	r.receive(ctx, group, life)
	group.Go(func() error {
		r.awaitMoment(ctx, moments[n%len(moments)], runFor)
		close(life.dying)
		return r.hub.Kill()
	})
	return group.Wait()
}

// awaitMoment returns after runFor or, when a confirmation is to be waited for, at the next one after that, unless it does
// not come for a while. Feedback comes when the hub starts, so for that it begins to wait at once.
func (r *c2dRun) awaitMoment(ctx context.Context, what confirmation, runFor time.Duration) {
	if what != feedbackConfirmed && !pauseFor(ctx, runFor) || what == none {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, confirmationWithin)
	defer cancel()
	select {
	case <-r.ledger.await(what):
	case <-ctx.Done():
	}
}

// receive starts the devices and the reader of feedback.
func (r *c2dRun) receive(ctx context.Context, group *errgroup.Group, life *life) {
	for _, d := range r.receivers[:len(r.receivers)-1] {
		group.Go(func() error { return d.receive(ctx, life) })
	}
	group.Go(func() error {
		return r.reader.follow(ctx, life, func() bool { return ctx.Err() != nil })
	})
}

// sendRest sends all messages that are left, while devices receive.
func (r *c2dRun) sendRest() error {
	ctx, cancel := context.WithTimeout(r.ctx, finishWithin)
	defer cancel()
	life := &life{dying: make(chan struct{})}
	group, ctx := errgroup.WithContext(ctx)
	working, stop := context.WithCancel(ctx)
	defer stop()
	r.receive(working, group, life)
	group.Go(func() error {
		defer stop()
		sending, ctx := errgroup.WithContext(ctx)
		for _, s := range r.senders {
			sending.Go(func() error { return s.send(ctx, life, r.messages) })
		}
		return sending.Wait()
	})
	return group.Wait()
}

// drain empties all queues, the one of the idle device too.
func (r *c2dRun) drain() error {
	ctx, cancel := context.WithTimeout(r.ctx, finishWithin)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	for _, d := range r.receivers {
		group.Go(func() error { return d.drain(ctx, r.registry) })
	}
	return group.Wait()
}

// readFeedback reads feedback until there is some on every message.
func (r *c2dRun) readFeedback() error {
	ctx, cancel := context.WithTimeout(r.ctx, finishWithin)
	defer cancel()
	err := r.reader.follow(ctx, &life{}, r.ledger.allTold)
	if err == nil && !r.ledger.allTold() {
		r.t.Error("there is not feedback on every message")
	}
	return err
}

// lookAgain checks after one more restart that nothing comes back.
func (r *c2dRun) lookAgain() error {
	ctx, cancel := context.WithTimeout(r.ctx, finishWithin)
	defer cancel()
	group, groupCtx := errgroup.WithContext(ctx)
	for _, d := range r.receivers {
		group.Go(func() error { return d.wantNothing(groupCtx) })
	}
	looked := false
	return errors.Join(group.Wait(), r.reader.follow(ctx, &life{}, func() bool {
		defer func() { looked = true }()
		return looked
	}))
}

// checkOutcomes checks that sender, device and feedback agree on every message, and that messages ended in each of the ways
// that there are: else the run has proved nothing of that way.
func (r *c2dRun) checkOutcomes(took time.Duration) {
	r.t.Helper()
	sum, err := r.ledger.checkAll()
	if err != nil {
		r.t.Error(err)
	}
	r.t.Logf("%d messages in %s: the senders of %d got no answer, %d were in their queues in the end, %v",
		r.messages, took.Round(time.Second), sum.unknown, sum.pending, sum.ends)
	want := []hubward.FeedbackStatus{hubward.FeedbackSuccess, hubward.FeedbackExpired}
	if r.protocols[0] != byMQTT || len(r.protocols) > 1 {
		want = append(want, hubward.FeedbackRejected, hubward.FeedbackDeliveryCountExceeded)
	}
	for _, status := range want {
		if sum.ends[status] == 0 {
			r.t.Errorf("no message ended as %s: the test proves nothing of it", status)
		}
	}
	if sum.pending == 0 {
		r.t.Error("no message was in its queue in the end: the test proves nothing of those")
	}
}
