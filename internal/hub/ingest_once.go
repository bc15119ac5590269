package hub

import (
	"context"
	"crypto/x509"
	"sync/atomic"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// AuthorizeDevice checks a device-side call that comes without a connection, over HTTPS: by its token, or, when there is
// none, by the certificate that TLS has seen the client hold the key of; cert may be nil. The device's state and keys
// are those of this moment, so a grant must not outlive the call.
//
// Errors: CodeUnauthorizedAccess, with the reason in the cause; CodeDeviceNotFound to the holder of a policy with
// DeviceConnect, and CodeModuleNotFound for any module; CodeNoSuchHub; the store's.
//
// Source: spec/device.md 7.1, 8.
func (h *Hub) AuthorizeDevice(ctx context.Context, hub string, id hubward.Identity, token string, cert *x509.Certificate) (access.Principal, error) {
	s, _, err := h.find(hub)
	if err != nil {
		return access.Principal{}, err
	}
	if token == "" && cert != nil {
		g, err := h.GrantCertificate(ctx, hub, id, cert)
		if hubward.CodeOf(err) == hubward.CodeDeviceNotFound {
			err = unauthorized(err)
		}
		return g.Principal, err
	}
	p, refused := h.authenticateDevice(ctx, s, id, token)
	if refused == nil || hubward.CodeOf(refused) != hubward.CodeUnauthorizedAccess {
		return p, refused
	}
	// Who holds a policy's key may know which devices there are; nobody else learns that here.
	g, err := h.GrantToken(ctx, hub, token)
	if err != nil || g.Policy == "" || !g.Allows(access.DeviceConnect, "devices", id.Device) {
		return access.Principal{}, refused
	}
	if _, err = h.enabledDevice(ctx, s, id); err == nil {
		err = refused
	}
	return access.Principal{}, err
}

// IngestOnce stores telemetry of a device that has no connection, and returns nil once all of it is durable. The
// device's connection state stays as it is. An error after the first check may leave some messages stored, so sending
// them again may duplicate those.
//
// Errors: CodeMessageTooLarge when one message, or all together, are beyond 256 KiB: then nothing was stored; otherwise
// the log's or ctx's.
func (h *Hub) IngestOnce(ctx context.Context, p *access.Principal, messages []*hubward.Message) error {
	s, _, err := h.find(p.Hub)
	if err != nil {
		return err
	}
	size := 0
	for _, m := range messages {
		size += m.Size()
	}
	if err := checkTelemetrySize(size); err != nil {
		h.observer.TelemetryAttempt(s.name, len(messages))
		h.observer.TelemetryRefused(s.name, hubward.CodeMessageTooLarge, len(messages))
		return err
	}
	w := waiter{left: len(messages), done: make(chan struct{})}
	active := new(atomic.Int64)
	if l := h.sessions.live(sessionKey{s.name, p.Device}); l != nil {
		active = &l.active // it is connected too
	}
	in := h.newIngest(s, p, "", active, w.confirm)
	for _, m := range messages {
		if err := in.Telemetry(ctx, m); err != nil {
			return err
		}
	}
	h.activity.seen(s.name, p.Device, h.now().UTC())
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

// seen notes a sign of life of a device that may have no connection.
func (r *activityRecorder) seen(hub string, id hubward.Identity, now time.Time) {
	if id.Module != "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending[hub] == nil {
		r.pending[hub] = make(map[string]Activity)
	}
	a := r.pending[hub][id.Device] // what is known of its connection stays
	a.ID, a.LastActivity = id.Device, now
	r.pending[hub][id.Device] = a
}
