package app

import (
	"context"
	"fmt"
	"slices"

	"github.com/hubward/hubward/internal/config"
	"github.com/hubward/hubward/internal/hub"
)

// prepareFirstHub creates the operator's hub in a new data folder, and adjusts it in an old one.
func (a *App) prepareFirstHub(ctx context.Context) error {
	hubs, err := a.hub.Hubs(a.operator)
	if err != nil {
		return err
	}
	if len(hubs) > 0 {
		return a.adjustFirstHub(ctx, hubs[0], a.cfg)
	}
	_, err = a.hub.CreateHub(ctx, a.operator, hub.NewHub{
		Name: a.cfg.Hub, HostNames: a.cfg.HostNames, Partitions: a.cfg.Partitions, Retention: a.cfg.Retention,
	})
	if err != nil {
		return fmt.Errorf("the hub %s cannot be created: %w", a.cfg.Hub, err)
	}
	a.logger.Info("created the hub", "hub", a.cfg.Hub, "partitions", a.cfg.Partitions, "retention", a.cfg.Retention)
	return nil
}

// adjustFirstHub applies host names and retention to the stored hub, and refuses what cannot be changed. All of these
// count only where somebody gave them: a forgotten flag must not delete telemetry, nor send clients to another host.
func (a *App) adjustFirstHub(ctx context.Context, stored hub.Config, cfg config.Config) error {
	if cfg.Given("hub") && cfg.Hub != stored.Name {
		return fmt.Errorf("hub: the first hub in %s is %q, which cannot be renamed to %q: leave --hub out, or choose another folder with --data",
			cfg.Data, stored.Name, cfg.Hub)
	}
	if cfg.Given("partitions") && cfg.Partitions != stored.Partitions {
		return fmt.Errorf("partitions: the hub %s was created with %d, which cannot change to %d: leave --partitions out, or choose another folder with --data",
			stored.Name, stored.Partitions, cfg.Partitions)
	}
	change := a.firstHubChange(stored, cfg)
	if change.HostNames == nil && change.Retention == 0 {
		return nil
	}
	c, err := a.hub.UpdateHub(ctx, a.operator, stored.Name, change)
	if err != nil {
		return fmt.Errorf("the hub %s cannot be brought up to date: %w", stored.Name, err)
	}
	a.logger.Info("updated the hub", "hub", c.Name, "hostnames", c.HostNames, "retention", c.Retention)
	return nil
}

// firstHubChange is what was given and differs from what is stored.
func (a *App) firstHubChange(stored hub.Config, cfg config.Config) (change hub.HubChange) {
	if !slices.Equal(cfg.HostNames, stored.HostNames) {
		if cfg.Given("hostname") {
			change.HostNames = cfg.HostNames
		} else {
			a.logger.Info("the hub keeps its stored host names, none are given", "hub", stored.Name, "hostnames", stored.HostNames)
		}
	}
	if cfg.Retention != stored.Retention {
		if cfg.Given("retention") {
			change.Retention = cfg.Retention
		} else {
			a.logger.Info("the hub keeps its stored retention, none is given", "hub", stored.Name, "retention", stored.Retention)
		}
	}
	return change
}
