package bench

import (
	"context"
	"time"
)

// IdleResult is what Idle measured.
type IdleResult struct {
	Connections      int     `json:"connections"`
	Before           int64   `json:"serverBytesBefore"`
	After            int64   `json:"serverBytesAfter"`
	KiBPerConnection float64 `json:"kibPerConnection"`
}

// Idle connects the devices of o, which sends nothing, holds them for o.Duration, and compares what memory says of the
// server before and after.
func Idle(ctx context.Context, o Options, memory func() (int64, error)) (*IdleResult, error) {
	return IdleBy(ctx, o, memory, func(ctx context.Context) (end func(), err error) {
		conns, err := connect(ctx, &o)
		if err != nil {
			return nil, err
		}
		return func() { closeAll(conns) }, nil
	})
}

// IdleBy is Idle with connections that open makes, one for each device of o, and closes.
func IdleBy(ctx context.Context, o Options, memory func() (int64, error), open func(context.Context) (closeAll func(), err error)) (*IdleResult, error) {
	before, err := memory()
	if err != nil {
		return nil, err
	}
	closeAll, err := open(ctx)
	if err != nil {
		return nil, err
	}
	defer closeAll()
	hold := time.NewTimer(o.Duration)
	defer hold.Stop()
	select {
	case <-hold.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	after, err := memory()
	n := len(o.Devices)
	return &IdleResult{Connections: n, Before: before, After: after, KiBPerConnection: float64(after-before) / 1024 / float64(n)}, err
}
