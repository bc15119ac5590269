package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// Device is one device to send as.
type Device struct {
	ID  string
	Key string // base64
}

// Options of a run. All are required unless a default is given.
type Options struct {
	Address  string // of the MQTT listener, host:port
	HostName string // in user names and tokens
	TLS      *tls.Config
	Devices  []Device
	Window   int                           // unconfirmed messages or patches per device, 1 to 1000
	Size     int                           // bytes of a message body, or of the reported properties; at least MinSize
	QoS      byte                          // 0 or 1
	Rate     float64                       // messages per second over all devices; 0: as fast as the window allows
	Warm     time.Duration                 // before measuring
	Duration time.Duration                 // of measuring
	RunID    string                        // in every body, so that a reader knows them
	CPU      func() (time.Duration, error) // CPU time the server has used; nil: not reported
	Progress func(acked int64)             // called about once a second; may be nil
}

// MaxWindow bounds Options.Window.
const MaxWindow = 1000

// dialParallel bounds the connections that are set up at a time.
const dialParallel = 32

// Result is what a run measured.
type Result struct {
	Devices   int     `json:"devices"`
	Sent      int64   `json:"sent"`         // over the whole run
	Acked     int64   `json:"acknowledged"` // over the whole run
	Measured  int64   `json:"measured"`     // acknowledged while measuring (QoS 0: sent)
	Seconds   float64 `json:"seconds"`      // of measuring
	Rate      float64 `json:"messagesPerSecond"`
	P50       float64 `json:"ackP50Milliseconds"`
	P99       float64 `json:"ackP99Milliseconds"`
	P999      float64 `json:"ackP999Milliseconds"`
	CPUMicros float64 `json:"serverCPUMicrosecondsPerMessage,omitempty"`
	// LoadCPUMicros is this process's own, measured with it.
	LoadCPUMicros float64 `json:"loadCPUMicrosecondsPerMessage,omitempty"`

	acked map[string]int64 // per device, the number of messages that were acknowledged: the first n
}

// Run sends telemetry and measures it. It ends early with ctx's error.
func Run(ctx context.Context, o Options) (*Result, error) {
	return run(ctx, &o, func(d Device) exchange { return newTelemetry(&o, d) })
}

// run connects the devices, has each of them exchange what open returns, and measures that.
func run(ctx context.Context, o *Options, open func(Device) exchange) (*Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	conns, err := connect(ctx, o)
	if err != nil {
		return nil, err
	}
	defer closeAll(conns)
	senders := make([]*sender, len(conns))
	for i, c := range conns {
		senders[i] = newSender(c, open(c.device), o)
	}
	if err := each(ctx, senders, func(s *sender) error { return s.prepare(s.conn) }); err != nil {
		return nil, err
	}
	return measure(ctx, o, senders)
}

// each calls do for each of list, some at a time, until one fails.
func each[T any](ctx context.Context, list []T, do func(T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(dialParallel)
	for _, item := range list {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return do(item)
		})
	}
	return group.Wait()
}

func (o *Options) check() error {
	switch {
	case len(o.Devices) == 0:
		return errors.New("bench: no devices")
	case o.Window < 1 || o.Window > MaxWindow:
		return fmt.Errorf("bench: the window is 1 to %d, not %d", MaxWindow, o.Window)
	case o.Size < MinSize:
		return fmt.Errorf("bench: a message has at least %d bytes, not %d", MinSize, o.Size)
	case o.QoS > 1:
		return errors.New("bench: the QoS is 0 or 1")
	}
	return nil
}

// connect connects all devices.
func connect(ctx context.Context, o *Options) ([]*conn, error) {
	conns := make([]*conn, len(o.Devices))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(dialParallel)
	for i, d := range o.Devices {
		group.Go(func() error {
			c, err := dial(groupCtx, o, d)
			conns[i] = c
			return err
		})
	}
	if err := group.Wait(); err != nil {
		closeAll(conns)
		return nil, err
	}
	return conns, nil
}

// closeAll closes the connections that are there.
func closeAll(conns []*conn) {
	for _, c := range conns {
		if c != nil {
			c.close()
		}
	}
}
