//go:build crash

package crashtest

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/hubward/hubward/internal/childhub"
)

// feedbackLock is for how long a feedback message is locked: the shortest that there is.
const feedbackLock = 5 * time.Second

// feedbackReader reads what became of the messages. It completes most feedback messages, abandons some, and leaves some
// unsettled.
type feedbackReader struct {
	hub    *childhub.Hub
	ledger *c2dLedger
	rng    *rand.Rand
}

// follow reads until done says so, ctx ends or the hub is gone.
func (f *feedbackReader) follow(ctx context.Context, life *life, done func() bool) error {
	_, token, err := serviceLogin(f.hub)
	if err != nil {
		return violation{err}
	}
	roots, err := f.hub.Roots()
	if err != nil {
		return violation{err}
	}
	c := newCaller(f.hub.HTTPS, roots, token)
	defer c.client.CloseIdleConnections()
	for !done() {
		if err := f.read(ctx, c); err != nil {
			return life.end(ctx, err)
		}
	}
	return nil
}

// read waits up to a second for a feedback message.
func (f *feedbackReader) read(ctx context.Context, c *caller) error {
	const path = "/messages/serviceBound/feedback"
	asked := time.Now()
	a, err := c.call(ctx, http.MethodGet, path, "&wait=1")
	if err != nil || a.status == http.StatusNoContent {
		return err
	}
	id, token := a.header.Get("iothub-messageid"), a.header.Get("iothub-messagelocktoken")
	if a.status != http.StatusOK || id == "" || token == "" {
		return violated("the feedback is %d with %v and %.200q", a.status, a.header, a.body)
	}
	isNew, err := f.ledger.feedback(id, a.body)
	if err != nil {
		return err
	}
	method, settle := http.MethodDelete, path+"/"+token
	switch chance := f.rng.IntN(8); {
	case isNew && chance == 0:
		return nil // its lock ends
	case isNew && chance == 1:
		method, settle = http.MethodPost, settle+"/abandon"
	}
	a, err = c.call(ctx, method, settle, "")
	switch {
	case err != nil:
		return err
	case a.status == http.StatusPreconditionFailed && time.Now().After(asked.Add(feedbackLock)):
	case a.status != http.StatusNoContent:
		return violated("D6: the hub answers %d to %s of the feedback message %s: %.200q", a.status, method, id, a.body)
	case method == http.MethodDelete:
		f.ledger.feedbackEnded(id)
	}
	return nil
}
