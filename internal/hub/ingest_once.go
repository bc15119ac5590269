package hub

import (
	"context"
	"sync/atomic"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// IngestOnce stores telemetry of an identity that has no connection, and returns nil once all of it is durable. The
// identity's connection state stays as it is. An error after the first check may leave some messages stored, so sending
// them again may duplicate those. p speaks for the identity.
//
// Errors: CodeUnauthorizedAccess; CodeNoSuchHub; those of CheckTelemetry for one message, and CodeMessageTooLarge when all
// together are beyond 256 KiB: then nothing was stored; otherwise the log's or ctx's.
func (h *Hub) IngestOnce(ctx context.Context, p *access.Principal, messages []*hubward.Message) error {
	s, _, err := h.permitIdentity(p)
	if err != nil {
		return err
	}
	if err := checkTogether(messages); err != nil {
		h.observer.TelemetryAttempt(s.ref.Name, len(messages))
		h.observer.TelemetryRefused(s.ref.Name, hubward.CodeOf(err), len(messages))
		return err
	}
	w := waiter{left: len(messages), done: make(chan struct{})}
	active := new(atomic.Int64)
	key := linkKey{s.ref.Name, p.Identity}
	if l := h.links.live(key); l != nil {
		active = &l.active // it is connected too
	}
	in := h.newIngest(s, p, "", active, w.confirm)
	for _, m := range messages {
		if err := in.Telemetry(ctx, m); err != nil {
			return err
		}
	}
	h.connections.sign(key, h.now().UTC())
	if len(messages) == 0 {
		return nil
	}
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// checkTogether checks messages that are stored together or not at all.
func checkTogether(messages []*hubward.Message) error {
	size := 0
	for _, m := range messages {
		if err := CheckTelemetry(m); err != nil {
			return err
		}
		size += m.Size()
	}
	if size > hubward.MaxMessageSize {
		return hubward.Errorf(hubward.CodeMessageTooLarge, "the messages have %d bytes together, the limit is %d", size, hubward.MaxMessageSize)
	}
	return nil
}

// waiter waits for the confirmations of one call. The committer's goroutine alone touches left and err until done is
// closed.
type waiter struct {
	left int
	err  error
	done chan struct{}
}

func (w *waiter) confirm(n int, err error) {
	w.left -= n
	if w.err == nil {
		w.err = err
	}
	if w.left == 0 {
		close(w.done)
	}
}
