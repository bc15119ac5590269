package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/bench"
	"github.com/hubward/hubward/service"
)

// benchD2CFlags are the flags of bench d2c.
type benchD2CFlags struct {
	benchTarget
	window   int
	size     int
	qos      int
	rate     float64
	warm     time.Duration
	duration time.Duration
	check    bool
}

func newBenchD2CCommand(env Env) *cobra.Command {
	f := &benchD2CFlags{}
	cmd := &cobra.Command{
		Use:   "d2c [--devices N] [--window N] [--size BYTES] [--qos 0|1] [--rate N] [--duration D] [--pid PID]",
		Short: "Send telemetry as fast as it goes and check that none is lost",
		Long: `Register devices, send telemetry over MQTT and TLS with a window of unconfirmed messages each, and report
messages per second, acknowledgement latencies and, given the server's pid on this machine, its CPU time per message.
Then read everything back and count what is lost, duplicated or out of order. The devices are deleted at the end.`,
		Args: cobra.NoArgs, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, env) },
	}
	f.addFlags(cmd, 100)
	f.addFloorFlag(cmd)
	flags := cmd.Flags()
	flags.IntVar(&f.window, "window", 10, "unconfirmed messages per device")
	flags.IntVar(&f.size, "size", 256, "bytes of a message")
	flags.IntVar(&f.qos, "qos", 1, "0 or 1")
	flags.Float64Var(&f.rate, "rate", 0, "messages per second over all devices; 0: as fast as it goes")
	flags.DurationVar(&f.warm, "warm", 2*time.Second, "time before measuring")
	flags.DurationVar(&f.duration, "duration", 10*time.Second, "time of measuring")
	flags.BoolVar(&f.check, "check", true, "read everything back")
	return cmd
}

// maxBenchSize leaves room for the content type and encoding that each message carries.
const maxBenchSize = hubward.MaxMessageSize - 100

func (f *benchD2CFlags) validate(cmd *cobra.Command) error {
	switch {
	case f.window < 1 || f.window > bench.MaxWindow:
		return usagef(cmd, "--window is 1 to %d, not %d", bench.MaxWindow, f.window)
	case f.size < bench.MinSize || f.size > maxBenchSize:
		return usagef(cmd, "--size is %d to %d, not %d", bench.MinSize, maxBenchSize, f.size)
	case f.qos != 0 && f.qos != 1:
		return usagef(cmd, "--qos is 0 or 1, not %d", f.qos)
	case f.rate < 0:
		return usagef(cmd, "--rate is not negative")
	}
	return f.benchTarget.validate(cmd)
}

func (f *benchD2CFlags) run(cmd *cobra.Command, env Env) error {
	if err := f.validate(cmd); err != nil {
		return err
	}
	ctx := cmd.Context()
	return f.use(ctx, env, func(client *service.Client, o bench.Options) error {
		o.Window, o.Size, o.QoS, o.Rate, o.Warm, o.Duration = f.window, f.size, byte(f.qos), f.rate, f.warm, f.duration
		var err error
		if o.CPU, err = f.cpu(); err != nil {
			return err
		}
		o.Progress = func(acked int64) { fmt.Fprintf(env.Stderr, "%d acknowledged\n", acked) }
		return f.measure(ctx, env, client, o)
	})
}

func (f *benchD2CFlags) measure(ctx context.Context, env Env, client *service.Client, o bench.Options) error {
	started := time.Now().Add(-time.Minute) // clocks differ
	result, err := bench.Run(ctx, o)
	if err != nil {
		return f.explain(ctx, o, err)
	}
	report := benchReport{Result: result}
	if f.check && client != nil && f.qos == 1 { // QoS 0 promises nothing to check
		fmt.Fprintf(env.Stderr, "reading %d messages back\n", result.Acked)
		check, err := readBack(ctx, client, result.NewCheck(o.RunID), started)
		if err != nil {
			return f.login.failed(env, client, err)
		}
		if ctx.Err() != nil && !check.Complete() {
			// What was measured stands. What has not been read is neither lost nor there.
			return errors.Join(report.print(env, f.output.json),
				fmt.Errorf("%w after reading %d of %d messages back: whether any is lost is not known", errInterrupted, check.Read, result.Acked))
		}
		report.Check = check
	}
	if err := report.print(env, f.output.json); err != nil {
		return err
	}
	if c := report.Check; c != nil && c.Lost+c.OutOfOrder > 0 {
		return fmt.Errorf("%d messages lost, %d out of order", c.Lost, c.OutOfOrder)
	}
	return nil
}

// checkTimeout bounds the wait for one more event while reading back.
const checkTimeout = 30 * time.Second

// readBack reads until everything has come that check waits for, nothing comes for a while, or ctx ends: then the check is not
// Complete and says nothing about loss.
func readBack(ctx context.Context, client *service.Client, check *bench.Check, since time.Time) (*bench.Check, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(checkTimeout, cancel)
	defer silence.Stop()
	for event, err := range client.Events(ctx, service.EventsOptions{From: since}) {
		if err != nil && ctx.Err() == nil {
			return nil, err
		}
		if err != nil {
			break
		}
		silence.Reset(checkTimeout)
		check.Event(event.DeviceID(), event.Bytes())
		if check.Complete() {
			break
		}
	}
	check.Finish()
	return check, nil
}

// benchReport is what the command prints.
type benchReport struct {
	*bench.Result
	Check *bench.Check `json:"check,omitempty"`
}

func (r *benchReport) print(env Env, asJSON bool) error {
	if asJSON {
		return writeJSON(env.Stdout, r)
	}
	fields := []field{
		{"devices", fmt.Sprint(r.Devices)},
		{"acknowledged", fmt.Sprintf("%d of %d sent", r.Acked, r.Sent)},
		{"rate", fmt.Sprintf("%.0f msg/s over %.1f s", r.Rate, r.Seconds)},
		{"ack latency", fmt.Sprintf("p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms", r.P50, r.P99, r.P999)},
	}
	if r.CPUMicros > 0 {
		fields = append(fields, field{"server CPU", fmt.Sprintf("%.2f us per message", r.CPUMicros)})
	}
	if c := r.Check; c != nil {
		fields = append(fields, field{"read back", fmt.Sprintf("%d events: %d lost, %d duplicates, %d out of order", c.Read, c.Lost, c.Duplicates, c.OutOfOrder)})
	}
	return writeFields(env.Stdout, fields)
}
