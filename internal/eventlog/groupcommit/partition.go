package groupcommit

import (
	"strings"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// MaxPartition is the largest number of a partition: engines have 16 bits for it.
const MaxPartition = 1<<16 - 1

const (
	maxHubName  = 255 // bytes
	maxEndpoint = 50
)

// Partition is what a log knows of one partition.
type Partition[S any] struct {
	hub.Partition   // never changed
	State         S // the engine's

	// Guarded by the log's mutex.
	First     int64 // sequence number of the oldest event
	Committed int64 // I1: readers see the events from First on and below Committed
	clock     int64 // enqueued time of the newest event, in ms; it never goes back (I3)
	newest    int64 // that of the newest committed event
	any       bool  // an event was ever committed: newest says something
	gathered  int   // events that wait for the next round
	dropped   bool  // the hub is gone; a new one of its name has other partitions
	news      notice

	// Touched only by the committer, and by Engine.Commit.
	Taken   int   // events in the round that is being committed, from sequence number Committed on
	Err     error // why they are not known to be durable
	takenMS int64 // enqueued time of the newest of them
}

func newPartition[S any](p hub.Partition, state func(hub.Partition) S) *Partition[S] {
	p.Hub, p.Endpoint = strings.Clone(p.Hub), hub.Endpoint(strings.Clone(string(p.Endpoint)))
	return &Partition[S]{Partition: p, State: state(p)}
}

// RestoreLocked sets what the engine has found to be committed: the events from first on and below next, and the enqueued
// time of the newest event there ever was.
func (p *Partition[S]) RestoreLocked(first, next, newest int64) {
	p.First, p.Committed = first, next
	p.clock, p.newest, p.any = max(p.clock, newest), newest, true
}

// BoundsLocked says what readers see.
func (p *Partition[S]) BoundsLocked() hub.Bounds {
	b := hub.Bounds{First: p.First, Next: p.Committed}
	if p.any {
		b.LastEnqueued = time.UnixMilli(p.newest).UTC()
	}
	return b
}

// checkPartition holds partitions to what every engine can store.
func checkPartition(p hub.Partition) error {
	if err := checkHub(p.Hub); err != nil {
		return err
	}
	if !goodEndpoint(p.Endpoint) {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "%.60q cannot name an endpoint", p.Endpoint)
	}
	if p.ID < 0 || p.ID > MaxPartition {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "partition %d is not in 0 to %d", p.ID, MaxPartition)
	}
	return nil
}

// checkHub leaves two bytes to engines, for what stands between and behind names.
func checkHub(name string) error {
	if name == "" || len(name) > maxHubName || strings.ContainsAny(name, "\x00\x01") {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "hub name of %d bytes cannot name a log", len(name))
	}
	return nil
}

func goodEndpoint(e hub.Endpoint) bool {
	for _, c := range []byte(e) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return e != "" && len(e) <= maxEndpoint
}
