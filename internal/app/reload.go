package app

import (
	"context"
	"errors"
	"slices"

	"github.com/hubward/hubward/internal/config"
	"github.com/hubward/hubward/internal/obs"
)

// reloadable are the options that Reload applies to a running process.
var reloadable = []string{"hostname", "retention", "log.level", "log.amqp-trace"}

// Reload reads the configuration, the certificate files and the lists of revoked certificates again. Host names, retention, the log level and the
// AMQP trace apply at once; other options that changed are logged as needing a restart. Open connections live on. A configuration with an
// error in it changes nothing; a certificate that cannot be read leaves the old one in use.
func (a *App) Reload(ctx context.Context) error {
	next, err := a.reconfigure()
	if err != nil {
		return err
	}
	hubs, err := a.hub.Hubs(a.operator)
	if err != nil {
		return err
	}
	errs := []error{a.reloadCertificates(), a.reloadRevoked(true), a.adjustFirstHub(ctx, hubs[0], next)}
	if level, err := obs.ParseLevel(next.Log.Level); err == nil {
		a.level.Set(level)
	}
	a.adopt(next)
	errs = append(errs, a.refresh(true))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	a.logger.Info("reloaded")
	return nil
}

func (a *App) reconfigure() (config.Config, error) {
	if a.o.Reconfigure == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.cfg, nil
	}
	return a.o.Reconfigure()
}

func (a *App) reloadCertificates() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.certs.Reload(a.names)
}

// adopt takes over the options that apply now and names the others. They are named at each Reload until the restart.
func (a *App) adopt(next config.Config) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, path := range config.Changed(a.cfg, next) {
		if !slices.Contains(reloadable, path) {
			a.logger.Warn("this option takes a restart to change", "option", path)
		}
	}
	a.cfg.HostNames, a.cfg.Retention, a.cfg.Log.Level = next.HostNames, next.Retention, next.Log.Level
	a.cfg.Log.AMQPTrace = next.Log.AMQPTrace
	if a.setTrace != nil {
		a.setTrace(next.Log.AMQPTrace)
	}
}
