package app

import (
	"context"
	"time"
)

// hubsChanged wakes followHubs. A wake-up that waits already covers this change too: it looks at the hubs later.
func (a *App) hubsChanged() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// checkInterval is how often the certificate's end is looked at. It is issued again 30 days before, so a check that
// fails is followed by many more.
const checkInterval = 24 * time.Hour

// followHubs brings what depends on the hubs up to date after each change of one, whoever changed it and over whatever
// wire, and renews the certificate before it ends, until ctx ends.
func (a *App) followHubs(ctx context.Context) error {
	daily := time.NewTicker(checkInterval)
	defer daily.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.changed:
			if err := a.refresh(false); err != nil {
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
	return a.certs.Renew(a.names)
}
