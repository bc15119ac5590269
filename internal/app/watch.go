package app

import (
	"context"
	"slices"
	"time"

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
		w.app.metrics.KeepConsumerGroups(c.Name, c.ConsumerGroups)
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

// checkInterval is how often the certificate's end is looked at. It is issued again 30 days before, so a check that
// fails is followed by many more.
const checkInterval = 24 * time.Hour

// followHubs renews certificate and connection strings after each change of a hub, and the certificate before it ends,
// until ctx ends.
func (a *App) followHubs(ctx context.Context) error {
	daily := time.NewTicker(checkInterval)
	defer daily.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.changed:
			if err := a.refresh(ctx, false); err != nil && ctx.Err() == nil {
				a.logger.Error("certificate or connection strings could not be renewed", "error", err)
			}
		case <-daily.C:
			if err := a.renewCertificate(); err != nil {
				a.logger.Error("the server's certificate could not be renewed", "error", err)
			}
		}
	}
}

func (a *App) renewCertificate() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.certs.Renew(slices.Clone(a.names))
}
