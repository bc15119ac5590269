//go:build crash

package crashtest

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/hubward/hubward/service"
)

// protocol is how a device receives.
type protocol int

const (
	byMQTT protocol = iota
	byAMQP
	byHTTPS
)

// Pace of the devices.
const (
	maxWork    = 60 * time.Millisecond  // on one message
	maxAbsence = 300 * time.Millisecond // between two connections
	maxVisit   = 25                     // messages, or polls, of one connection
)

// receiver is a device that receives messages. It is for one goroutine at a time.
type receiver struct {
	*device
	speaks protocol
	at     listeners
	ledger *c2dLedger
}

// receive connects, works on messages and leaves, again and again, until ctx ends or the hub is gone.
func (r *receiver) receive(ctx context.Context, life *life) error {
	visit := r.visitMQTT
	switch r.speaks {
	case byAMQP:
		visit = r.visitAMQP
	case byHTTPS:
		visit = r.visitHTTPS
	}
	for pauseFor(ctx, time.Duration(r.rng.Int64N(int64(maxAbsence)))) {
		if err := visit(ctx); err != nil {
			return life.end(ctx, fmt.Errorf("%s: %w", r.id, err))
		}
	}
	return nil
}

func (r *receiver) visits() int { return 1 + r.rng.IntN(maxVisit) }

// work takes its time. It reports false when ctx has ended.
func (r *receiver) work(ctx context.Context) bool {
	return pauseFor(ctx, time.Duration(r.rng.Int64N(int64(maxWork))))
}

// decide says what the device does with a message that it gets for the nth time.
func (r *receiver) decide(m *message, nth int) outcome {
	switch {
	case m.handling == rejectIt:
		return reject
	case m.handling == abandonAlways, m.handling == abandonSometimes && r.rng.IntN(2) == 0:
		return abandon
	case m.handling == ignoreOnce && nth == 1:
		return unsettled
	}
	return complete
}

// drain completes all that is left in the device's queue, by HTTPS, until the registry says that it is empty.
func (r *receiver) drain(ctx context.Context, registry *service.Client) error {
	c, err := r.caller()
	if err != nil {
		return violation{err}
	}
	defer c.client.CloseIdleConnections()
	for {
		m, _, held, err := r.takeHTTPS(ctx, c)
		if err != nil {
			return err
		}
		if m != nil {
			r.ledger.leftInQueue(m)
			if err := r.settleHTTPS(ctx, c, m, held, complete); err != nil {
				return err
			}
			continue
		}
		d, err := registry.Device(ctx, r.id)
		if err != nil || d.CloudToDeviceMessageCount == 0 {
			return err
		}
		if !pauseFor(ctx, pollPause) { // what is left is locked
			return fmt.Errorf("%s: %d messages are still locked: %w", r.id, d.CloudToDeviceMessageCount, ctx.Err())
		}
	}
}

// wantNothing checks that no message comes back once the queue was drained.
func (r *receiver) wantNothing(ctx context.Context) error {
	c, err := r.caller()
	if err != nil {
		return err
	}
	defer c.client.CloseIdleConnections()
	switch a, err := c.call(ctx, http.MethodGet, "/devices/"+r.id+"/messages/deviceBound", ""); {
	case err != nil:
		return err
	case a.status != http.StatusNoContent:
		return violated("D2: the queue of %s was empty, after a restart there is %q with %q", r.id, a.header.Get("iothub-messageid"), a.body)
	}
	return nil
}

// pauseFor returns false when ctx ends before the pause does.
func pauseFor(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
