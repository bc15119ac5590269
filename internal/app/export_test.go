package app

import (
	"context"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/hubward/hubward/internal/eventlog/pebblelog"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/obs"
)

// FollowHubs is what Run does beside its listeners.
func (a *App) FollowHubs(ctx context.Context) error { return a.followHubs(ctx) }

// Leaf is the certificate that clients are shown now.
func (a *App) Leaf() *x509.Certificate { return a.certs.Leaf() }

// LookAtRevoked is what Run does from time to time.
func (a *App) LookAtRevoked() error { return a.reloadRevoked(false) }

// Metrics are what the admin listener shows.
func (a *App) Metrics() *obs.Metrics { return a.metrics }

// FailingLog stands before the log of an App that does not run yet: it has failed once failed is closed.
func (a *App) FailingLog(failed chan struct{}) { a.engines.log = failingLog{a.engines.log, failed} }

type failingLog struct {
	hub.EventLog
	failed chan struct{}
}

func (l failingLog) Failed() <-chan struct{} { return l.failed }

// Disown makes the log in a folder one of an older version, which does not say whose it is.
func Disown(t *testing.T, dir string) {
	t.Helper()
	log, err := pebblelog.Open(pebblelog.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(log.SetOwner(t.Context(), pebblelog.Owner{}), log.Close()); err != nil {
		t.Fatal(err)
	}
}

// Snapshot is what the admin listener calls.
func (a *App) Snapshot(ctx context.Context, name string) error { return a.snapshot(ctx, name) }
