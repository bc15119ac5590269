package app

import (
	"context"
	"fmt"
	"time"

	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/obs"
	"github.com/hubward/hubward/internal/revocation"
)

// revokedInterval is how often the files of revoked certificates are looked at. SIGHUP does so at once.
const revokedInterval = 15 * time.Second

// openRevoked reads the lists of revoked certificates, if there is a folder of them.
func (a *App) openRevoked() (err error) {
	if a.cfg.Revoked == "" {
		return nil
	}
	if a.revoked, err = revocation.Open(a.cfg.Revoked, a.o.Now, a.logger); err != nil {
		return fmt.Errorf("revoked: %w", err)
	}
	return nil
}

// isRevoked is what the hub asks.
func (a *App) isRevoked() access.Revoked {
	if a.revoked == nil {
		return nil
	}
	return func(p *access.Path) bool { return a.revoked.Revoked(p.Certificates) }
}

func (a *App) revocationStats() func() obs.Revocation {
	if a.revoked == nil {
		return nil
	}
	return func() obs.Revocation {
		s := a.revoked.Stats()
		return obs.Revocation{Broken: s.Broken, Certificates: s.Certificates, NextUpdate: s.NextUpdate}
	}
}

// reloadRevoked reads the files that have changed, or all, and closes the connections of what is revoked by now.
func (a *App) reloadRevoked(all bool) error {
	if a.revoked == nil {
		return nil
	}
	changed, err := a.revoked.Reload(all)
	if changed {
		a.hub.CheckCertificates()
	}
	return err
}

// followRevoked looks at the files of revoked certificates from time to time, until ctx ends. What is wrong with them, the list logs.
func (a *App) followRevoked(ctx context.Context) error {
	if a.revoked == nil {
		return nil
	}
	t := time.NewTicker(revokedInterval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			_ = a.reloadRevoked(false)
		}
	}
}
