package bench

import (
	"context"
	"os"
	"sync"
	"time"
)

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
	confirmed := func() (n int64) {
		for _, s := range senders {
			n += s.confirmed(o.QoS)
		}
		return n
	}
	err := sleepReporting(sending, o, confirmed, o.Warm)
	before := snapshot(o, confirmed)
	for _, s := range senders {
		s.measuring.Store(true)
	}
	if err == nil {
		err = sleepReporting(sending, o, confirmed, o.Duration)
	}
	after := snapshot(o, confirmed)
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
	var all []time.Duration
	for _, s := range senders {
		r.Sent += s.sent.Load()
		r.Acked += s.acked.Load()
		r.acked[s.device.ID] = s.acked.Load()
		all = append(all, s.latencies...)
	}
	r.fill(before, after, all)
	return r, err
}

// counters are the state of a run at one moment.
type counters struct {
	at    time.Time
	acked int64
	cpu   time.Duration // of the server
	own   time.Duration // of this process
	noCPU bool
}

func snapshot(o *Options, confirmed func() int64) counters {
	c := counters{at: time.Now(), acked: confirmed(), noCPU: true}
	if o.CPU != nil {
		used, err := o.CPU()
		own, ownErr := ProcessCPU(os.Getpid())()
		if err == nil && ownErr == nil {
			c.cpu, c.own, c.noCPU = used, own, false
		}
	}
	return c
}

// fill works out what was measured between two moments, with the latencies of all that was confirmed.
func (r *Result) fill(before, after counters, all []time.Duration) {
	r.Measured = after.acked - before.acked
	r.Seconds = after.at.Sub(before.at).Seconds()
	if r.Seconds > 0 {
		r.Rate = float64(r.Measured) / r.Seconds
	}
	if !before.noCPU && !after.noCPU && r.Measured > 0 {
		r.CPUMicros = float64((after.cpu - before.cpu).Microseconds()) / float64(r.Measured)
		r.LoadCPUMicros = float64((after.own - before.own).Microseconds()) / float64(r.Measured)
	}
	r.P50, r.P99, r.P999 = percentile(all, .5), percentile(all, .99), percentile(all, .999)
}

func sleepReporting(ctx context.Context, o *Options, confirmed func() int64, d time.Duration) error {
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
				o.Progress(confirmed())
			}
		}
	}
}
