package app

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/hubward/hubward/internal/cluster/localcluster"
	"github.com/hubward/hubward/internal/eventlog/memlog"
	"github.com/hubward/hubward/internal/eventlog/pebblelog"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/obs"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

// engines keep the data.
type engines struct {
	store   hub.Store
	log     hub.EventLog
	cluster hub.Cluster
	onDisk  *pebblelog.Log // the log, when it is on disk
	pair    *pair          // nil: in memory
}

// openEngines opens store and log, in the data folder or in memory, and makes the cluster of this one process.
func (a *App) openEngines(ctx context.Context) error {
	path := filepath.Join(a.cfg.Data, "registry.db")
	if a.o.Memory {
		path = sqlstore.Memory
	}
	store, err := sqlstore.Open(ctx, sqlstore.Options{Path: path, Now: a.o.Now, Logger: a.logger, Committed: a.metrics.StoreCommitted})
	if err != nil {
		return err
	}
	a.engines.store = store
	a.closers = append(a.closers, store.Close)
	// What an earlier process has claimed is void: the store knows by the number of the start.
	epoch, err := store.NextEpoch(ctx)
	if err != nil {
		return fmt.Errorf("store %s: %w", path, err)
	}
	if epoch > localcluster.MaxEpoch {
		return fmt.Errorf("the data folder %s was started %d times, which is more than it can count", a.cfg.Data, epoch)
	}
	a.engines.cluster = localcluster.New(localcluster.Options{Epoch: epoch})
	if a.o.Memory {
		log := memlog.Open(memlog.Options{Now: a.o.Now})
		a.engines.log = log
		a.closers = append(a.closers, log.Close)
		return nil
	}
	log, err := pebblelog.Open(pebblelog.Options{
		Dir: filepath.Join(a.cfg.Data, "log"), Now: a.o.Now, Logger: a.logger, Committed: a.metrics.LogCommitted,
	})
	if err != nil {
		return err
	}
	a.engines.log, a.engines.onDisk = log, log
	a.engines.pair = &pair{store: store, log: log, start: epoch}
	a.closers = append(a.closers, log.Close)
	return nil
}

// logStats hands the log's numbers to the metrics, which know no engine. A log in memory has none: nil.
func (a *App) logStats() func() obs.LogStats {
	if a.o.Memory {
		return nil
	}
	return func() obs.LogStats {
		m := a.engines.onDisk.Metrics()
		return obs.LogStats{Events: m.Events, DiskBytes: m.DiskBytes, Damaged: m.Damaged}
	}
}
