package app

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/hubward/hubward/internal/eventlog/pebblelog"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

// The registry and the telemetry log of a data folder belong together. Whoever puts back one of them alone, or loses it, is
// told before anything is made anew over what is there.

// pair is what the embedded engines of a data folder know of each other. At each start, its number is written into the log,
// and then into the registry that the log has it. A backup of a running hub counts as a start: what goes on is then later than
// the copy.
type pair struct {
	store *sqlstore.Store
	log   *pebblelog.Log
	start uint64 // number of this start
}

// belonging is what the two say.
type belonging struct {
	registry sqlstore.Pairing
	started  uint64 // number of the last start of the registry before this one
	hubs     int    // that the registry knows

	owner  pebblelog.Owner
	newLog bool
	logged []string // hubs of which the log holds events
	stray  []string // those of them that the registry does not know
}

// check says why the two cannot be used together, and what to do. dir is the data folder.
func (b *belonging) check(dir string) error {
	log, registry := filepath.Join(dir, "log"), filepath.Join(dir, "registry.db")
	restore := "restore both from one backup (hubward restore)"
	away := fmt.Sprintf("move %s away: the hub then starts without that telemetry", log)
	switch {
	case len(b.logged) > 0 && b.owner.Registry != "" && b.owner.Registry != b.registry.ID:
		return fmt.Errorf("%s holds telemetry that belongs to another registry than %s: %s, or put the registry.db back that belongs to it, or %s",
			log, registry, restore, away)
	case len(b.stray) > 0:
		return fmt.Errorf("%s holds telemetry of %s, of which %s knows nothing: %s, or put the registry.db back that belongs to it, or %s",
			log, hubList(b.stray), registry, restore, away)
	case len(b.logged) > 0 && b.owner.Start < b.registry.Opened:
		return fmt.Errorf("%s is older than %s, and numbers that readers have seen would stand for other events: %s, or %s",
			log, registry, restore, away)
	}
	return nil
}

// logIsLost reports whether the log is in the place of another one, in which there was, or may have been, telemetry.
func (b *belonging) logIsLost() bool {
	return b.hubs > 0 && len(b.logged) == 0 && (b.newLog || b.owner.Start < b.registry.Opened || b.owner.Registry != b.registry.ID && b.owner.Registry != "")
}

// registryIsOlder reports whether the log was used with a later state of the registry.
func (b *belonging) registryIsOlder() bool {
	return b.owner.Registry == b.registry.ID && b.owner.Start > b.started
}

// hubList names some hubs. In the log, a name may have a suffix that only we know.
func hubList(names []string) string {
	const most = 5
	if len(names) == 1 {
		return "the hub " + hubOf(names[0])
	}
	text := make([]string, 0, most+1)
	for _, name := range names[:min(len(names), most)] {
		text = append(text, hubOf(name))
	}
	if len(names) > most {
		text = append(text, fmt.Sprintf("%d more", len(names)-most))
	}
	return "the hubs " + strings.Join(text, ", ")
}

func hubOf(logName string) string {
	name, _, _ := strings.Cut(logName, ".")
	return name
}

// checkBelonging refuses a registry and a log that do not belong together, and ties them to each other.
func (a *App) checkBelonging(ctx context.Context) error {
	p := a.engines.pair
	if p == nil {
		return nil
	}
	b, err := a.belonging(ctx)
	if err != nil {
		return err
	}
	if err := b.check(a.cfg.Data); err != nil {
		return err
	}
	if b.registryIsOlder() {
		a.logger.Error("registry.db is older than the telemetry log: what was registered, sent to devices or settled since is not known",
			"folder", a.cfg.Data)
	}
	if b.logIsLost() {
		// Readers keep sequence numbers for longer than we keep events. No log of ours has given out as many as there were
		// microseconds, and JavaScript counts up to 2^53.
		if err := p.log.StartAt(ctx, a.o.Now().UnixMicro()); err != nil {
			return err
		}
		a.logger.Error("the telemetry log is new and the registry is not: what was stored before is gone; sequence numbers go on above all old ones",
			"folder", a.cfg.Data)
	}
	return p.tie(ctx, b.registry.ID, p.start)
}

// tie writes the number of a start into both: the log first, since the registry says that the log has it.
func (p *pair) tie(ctx context.Context, registry string, start uint64) error {
	if err := p.log.SetOwner(ctx, pebblelog.Owner{Registry: registry, Start: start}); err != nil {
		return err
	}
	return p.store.SetOpened(ctx, start)
}

// moveOn makes both later than the copies that were just made of them: one half of those, put back alone, is told from what is
// here now.
func (p *pair) moveOn(ctx context.Context) error {
	registry, err := p.store.Pairing(ctx)
	if err != nil {
		return err
	}
	start, err := p.store.NextEpoch(ctx)
	if err != nil {
		return err
	}
	return p.tie(ctx, registry.ID, start)
}

func (a *App) belonging(ctx context.Context) (b belonging, err error) {
	p := a.engines.pair
	if b.registry, err = p.store.Pairing(ctx); err != nil {
		return b, err
	}
	hubs, err := a.hub.Hubs(a.operator)
	if err != nil {
		return b, err
	}
	b.started, b.hubs = p.start-1, len(hubs)
	if b.owner, err = p.log.Owner(); err != nil {
		return b, err
	}
	b.newLog = p.log.IsNew()
	if b.logged, err = p.log.Hubs(ctx); err != nil {
		return b, err
	}
	b.stray, err = a.hub.StrayLogs(ctx)
	return b, err
}
