package c2d

import (
	"context"
	"sync"
	"time"

	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

// maxSwept bounds the queues in one transaction of a sweep.
const maxSwept = 256

// Sweep ends the locks and messages of all hubs whose time is over, and returns when the next one ends, zero for never.
// What is due stands in the store: a restart forgets nothing. Errors: the store's.
func (q *Queues) Sweep(ctx context.Context) (next time.Time, err error) {
	for {
		now := q.o.Now().UTC()
		due, err := q.o.Store.DueQueues(ctx, maxSwept)
		if err != nil || len(due) == 0 {
			return time.Time{}, err
		}
		var changes []*change
		for _, d := range due {
			if d.At.After(now) {
				next = d.At
				break
			}
			changes = append(changes, q.newChange(d.Key, func(stored *c2dqueue.Queue, now time.Time) error {
				stored.Expire(now)
				return nil
			}))
		}
		if len(changes) == 0 {
			return next, nil
		}
		if err := q.make(ctx, changes); err != nil {
			return time.Time{}, err
		}
		q.tellVisible(changes)
	}
}

// maxTold bounds how many identities are told at a time: a node that does not answer holds up those that are to be told after
// it.
const maxTold = 32

// tellVisible tells of changed queues, and returns when that is done.
func (q *Queues) tellVisible(changes []*change) {
	var telling sync.WaitGroup
	places := make(chan struct{}, maxTold)
	for _, c := range changes {
		places <- struct{}{}
		telling.Go(func() {
			defer func() { <-places }()
			q.o.Visible(c.Key)
		})
	}
	telling.Wait()
}
