//go:build soak

package soaktest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward/internal/hub/access"
)

const (
	// hubHost is the host name by which clients name the hub. Nobody looks it up.
	hubHost = hubName + ".localhost"

	// readerLifetime is the longest that a reader uses one client before it leaves, and leaveWithin how long it may take
	// to leave in good order.
	readerLifetime = 8 * time.Second
	leaveWithin    = 5 * time.Second
	openWithin     = 20 * time.Second
)

// readerReach is such that a connection may end in the handshake: a reader writes little.
var readerReach = reach{written: 4_000, read: 256 << 10, time: 6 * time.Second}

// shown is one event as a client shows it.
type shown struct {
	sequence int64
	offset   string
	device   string // by the hub's stamp
	body     []byte
}

// client reads a partition from a position on.
type client interface {
	// receive returns at least one event, or an error.
	receive(ctx context.Context) ([]shown, error)
	// close leaves in good order, as far as the connection lets it, and frees everything.
	close(ctx context.Context) error
}

// lineage is one reader over all its connections.
type lineage struct {
	soak   *soak
	name   string
	group  string
	policy access.Policy
	ledger *ledger
	dice   *dice
	open   func(ctx context.Context) (client, error) // after the last event seen

	next    atomic.Int64 // the sequence number that is due
	cuts    atomic.Int64 // connections that were cut
	lastErr atomic.Pointer[error]

	// Touched by run only.
	devices map[string]int // by device, the first number not seen
	before  int64          // cuts when the present client was made
}

// run reads until nothing is left, with one client after the other.
func (l *lineage) run(ctx context.Context) error {
	for !l.ledger.complete(l.next.Load()) {
		if err := l.useClient(ctx); err != nil {
			return fmt.Errorf("%s of partition %d and %s: %w", l.name, l.ledger.partition, l.group, err)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", l.name, context.Cause(ctx))
		}
	}
	return nil
}

// useClient reads with a client until that is cut or its time is over.
func (l *lineage) useClient(ctx context.Context) error {
	opening, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	l.before = l.cuts.Load()
	c, err := l.open(opening)
	if err != nil {
		pause(ctx, l.dice.within(50*time.Millisecond))
		return l.excuse(err)
	}
	life, cancel := context.WithTimeout(ctx, l.dice.within(readerLifetime))
	defer cancel()
	// A reader that has seen everything waits for more. Whoever is not done yet gets another client, for the rest.
	life, cancel = l.ledger.bound(life)
	defer cancel()
	err = l.readWith(life, c)
	leaving, cancel := context.WithTimeout(ctx, leaveWithin)
	defer cancel()
	if closed := c.close(leaving); closed == nil && err == nil {
		l.soak.counts.left.Add(1)
	}
	return err
}

// readWith returns nil when life ends, and when the connection breaks.
func (l *lineage) readWith(life context.Context, c client) error {
	for first := true; !l.ledger.complete(l.next.Load()); first = false {
		events, err := c.receive(life)
		if life.Err() != nil && len(events) == 0 {
			return nil
		}
		if err != nil {
			return l.excuse(err)
		}
		if first {
			l.soak.counts.opened.Add(1)
		}
		for _, e := range events {
			if err := l.take(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// take checks S2 to S4 for one event.
func (l *lineage) take(e shown) error {
	if due := l.next.Load(); e.sequence != due {
		return fmt.Errorf("S2: event %d is shown, %d is due", e.sequence, due)
	}
	if e.offset != strconv.FormatInt(e.sequence, 10) {
		return fmt.Errorf("event %d has the offset %q", e.sequence, e.offset)
	}
	got, err := parseBody(e.body)
	if err != nil {
		return fmt.Errorf("event %d: %w", e.sequence, err)
	}
	if got.device != e.device {
		return fmt.Errorf("event %d was sent by %s and is stamped %s", e.sequence, got.device, e.device)
	}
	if err := l.ledger.note(e.sequence, got); err != nil {
		return err
	}
	due := l.devices[got.device]
	if got.number > due {
		return fmt.Errorf("S4: event %d is message %d of %s, %d is due", e.sequence, got.number, got.device, due)
	}
	l.devices[got.device] = max(due, got.number+1)
	l.next.Add(1)
	return nil
}

// excuse makes nil of an error that this load brings about: that of a connection that was cut, and a place that the hub
// has not given free yet; and the end of the time that the reader itself has given a call, which the clients make the
// end of their connection when it comes while they write. Every other one breaks S6, also when the hub ends a connection
// without a word.
func (l *lineage) excuse(err error) error {
	l.lastErr.Store(&err)
	var wire *amqp.Error
	switch {
	case errors.As(err, &wire) && wire.Condition == amqp.ErrCondResourceLimitExceeded:
		l.soak.counts.crowded.Add(1)
		return nil
	case wire == nil && (l.cuts.Load() > l.before || isTimeout(err)):
		return nil
	}
	return fmt.Errorf("S6: %w", err)
}

// isTimeout knows the errors of deadlines. The clients do not wrap all of them.
func isTimeout(err error) bool {
	text := err.Error()
	return errors.Is(err, context.DeadlineExceeded) || strings.Contains(text, os.ErrDeadlineExceeded.Error()) ||
		strings.Contains(text, context.DeadlineExceeded.Error())
}

func (l *lineage) last() error {
	if err := l.lastErr.Load(); err != nil {
		return *err
	}
	return nil
}

// dial opens a connection for AMQP: one in three without TLS, where a cut leaves a part of a frame for sure.
func (l *lineage) dial(ctx context.Context) (net.Conn, error) {
	if l.dice.once(3) {
		return l.soak.dial(ctx, l.dice, readerReach, &l.cuts, l.soak.hub.Plain, nil)
	}
	trust := l.soak.hub.TLSConfig()
	trust.ServerName = hubHost
	return l.soak.dial(ctx, l.dice, readerReach, &l.cuts, l.soak.hub.AMQP, trust)
}
