package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
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
	Window   int                           // unconfirmed messages per device, 1 to 1000
	Size     int                           // bytes of a message body; at least MinSize
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

	acked map[string]int64 // per device, the number of messages that were acknowledged: the first n
}

// Run sends load and measures it. It ends early with ctx's error.
func Run(ctx context.Context, o Options) (*Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	senders, err := connect(ctx, &o)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, s := range senders {
			s.close()
		}
	}()
	return measure(ctx, &o, senders)
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

func connect(ctx context.Context, o *Options) ([]*sender, error) {
	senders := make([]*sender, len(o.Devices))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(dialParallel)
	for i, d := range o.Devices {
		group.Go(func() error {
			s, err := dial(groupCtx, o, d)
			senders[i] = s
			return err
		})
	}
	if err := group.Wait(); err != nil {
		for _, s := range senders {
			if s != nil {
				s.close()
			}
		}
		return nil, err
	}
	return senders, nil
}

// measure runs all senders, looks at their counters at the beginning and the end of the measured time, and lets what
// is under way be confirmed.
func measure(ctx context.Context, o *Options, senders []*sender) (*Result, error) {
	sending, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	failures := make(chan error, len(senders)) // one each at most
	for _, s := range senders {
		running.Go(func() {
			if err := s.run(sending); err != nil {
				failures <- err
				stop()
			}
		})
	}
	r := &Result{Devices: len(senders), acked: make(map[string]int64)}
	err := sleepReporting(sending, o, senders, o.Warm)
	before := snapshot(o, senders)
	for _, s := range senders {
		s.measuring.Store(true)
	}
	if err == nil {
		err = sleepReporting(sending, o, senders, o.Duration)
	}
	after := snapshot(o, senders)
	for _, s := range senders {
		s.measuring.Store(false)
	}
	stop()
	running.Wait()
	select {
	case err = <-failures:
	default:
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	r.fill(o, senders, before, after)
	return r, err
}

// counters are the state of all senders at one moment.
type counters struct {
	at    time.Time
	acked int64
	cpu   time.Duration
	noCPU bool
}

func snapshot(o *Options, senders []*sender) counters {
	c := counters{at: time.Now(), noCPU: true}
	for _, s := range senders {
		c.acked += s.confirmed(o.QoS)
	}
	if o.CPU != nil {
		if used, err := o.CPU(); err == nil {
			c.cpu, c.noCPU = used, false
		}
	}
	return c
}

func (r *Result) fill(o *Options, senders []*sender, before, after counters) {
	r.Measured = after.acked - before.acked
	r.Seconds = after.at.Sub(before.at).Seconds()
	if r.Seconds > 0 {
		r.Rate = float64(r.Measured) / r.Seconds
	}
	if !before.noCPU && !after.noCPU && r.Measured > 0 {
		r.CPUMicros = float64((after.cpu - before.cpu).Microseconds()) / float64(r.Measured)
	}
	var all []time.Duration
	for _, s := range senders {
		r.Sent += s.sent.Load()
		r.Acked += s.acked.Load()
		r.acked[s.device.ID] = s.acked.Load()
		all = append(all, s.latencies...)
	}
	r.P50, r.P99, r.P999 = percentile(all, .5), percentile(all, .99), percentile(all, .999)
}

func sleepReporting(ctx context.Context, o *Options, senders []*sender, d time.Duration) error {
	end := time.NewTimer(d)
	defer end.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-end.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if o.Progress != nil {
				var acked int64
				for _, s := range senders {
					acked += s.confirmed(o.QoS)
				}
				o.Progress(acked)
			}
		}
	}
}
