package app

import (
	"context"

	"github.com/hubward/hubward/internal/hub"
)

// watchedStore is the hub's store, with an eye on configurations: what app derives from them follows within moments,
// whoever changed them and over whatever wire.
type watchedStore struct {
	hub.Store
	app *App
}

// SaveHub stores c and has the derived files renewed.
func (w watchedStore) SaveHub(ctx context.Context, c hub.Config) error {
	err := w.Store.SaveHub(ctx, c)
	if err == nil {
		w.app.hubsChanged()
	}
	return err
}

// DeleteHub removes a hub and stops counting for it.
func (w watchedStore) DeleteHub(ctx context.Context, name string) error {
	err := w.Store.DeleteHub(ctx, name)
	if err == nil {
		w.app.metrics.ForgetHub(name)
		w.app.hubsChanged()
	}
	return err
}

// hubsChanged wakes followHubs. A wake-up that waits already covers this change too: it reads the store later.
func (a *App) hubsChanged() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// followHubs renews certificate and connection strings after each change, until ctx ends.
func (a *App) followHubs(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.changed:
			if err := a.refresh(ctx, false); err != nil && ctx.Err() == nil {
				a.logger.Error("certificate or connection strings could not be renewed", "error", err)
			}
		}
	}
}
