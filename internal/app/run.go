package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// drainTimeout bounds the time in which front ends let calls in flight finish.
const drainTimeout = 10 * time.Second

// Run opens the listeners, calls Options.OnReady, and serves until ctx ends or a part fails; then it stops in reverse:
// front ends first, then the hub's background work, then log and store. It returns nil after an orderly end, else the
// first failure. An App runs once.
func (a *App) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, a.Close()) }()
	fronts, err := a.bind(ctx)
	if err != nil {
		return err
	}
	// What is behind the front ends outlives ctx: calls in flight still need it.
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.hub.Run(work) })
	g.Go(func() error { return a.followHubs(work) })
	g.Go(func() error { return a.followRevoked(work) })
	g.Go(func() error { return a.tickets.Run(work) })
	g.Go(func() error { return a.awaitLogFailure(gctx) })
	for _, b := range fronts.listeners {
		g.Go(func() error {
			if err := b.serve(b.listener); err != nil {
				return fmt.Errorf("the %s listener failed: %w", b.listener.Option(), err)
			}
			return nil
		})
	}
	g.Go(func() error {
		<-gctx.Done()
		a.drain(fronts)
		stopWork()
		return nil
	})
	a.ready(fronts)
	return g.Wait()
}

// errLogFailed ends the process: only a new start recovers a log that has failed. Its cause is what closing it says.
var errLogFailed = errors.New("the telemetry log has failed and takes no more events: make room or mend the disk, and start again")

// awaitLogFailure returns when the log has failed, or ctx has ended. A hub that goes on without its log would refuse what
// devices send, until somebody looks; a supervisor that starts it again does so once there is room.
func (a *App) awaitLogFailure(ctx context.Context) error {
	select {
	case <-a.engines.log.Failed():
		return errLogFailed
	case <-ctx.Done():
		return nil
	}
}

func (a *App) ready(f *fronts) {
	var listeners []Listener
	for _, b := range f.listeners {
		l := Listener{Name: b.listener.Option(), Address: b.listener.Addr().String()}
		listeners = append(listeners, l)
		a.logger.Debug("listening", "listener", l.Name, "address", l.Address)
	}
	if a.o.OnReady != nil {
		a.o.OnReady(listeners)
	}
}

// drain ends the front ends: the public ones together, the operator's port after them, so that it can tell meanwhile
// that the process drains.
func (a *App) drain(f *fronts) {
	a.logger.Info("draining", "timeout", drainTimeout)
	a.startDrain()
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	for _, together := range [][]front{f.public, f.admin} {
		var wg sync.WaitGroup
		for _, end := range together {
			wg.Go(func() { a.stop(ctx, end) })
		}
		wg.Wait()
	}
}

func (a *App) stop(ctx context.Context, f front) {
	if err := f.shutdown(ctx); err != nil {
		a.logger.Warn("connections were cut at the end of the drain", "front", f.name, "error", err)
	}
}
