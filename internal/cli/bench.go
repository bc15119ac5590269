package cli

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/bench"
	"github.com/hubward/hubward/sas"
	"github.com/hubward/hubward/service"
)

func newBenchCommand(env Env) *cobra.Command {
	cmd := &cobra.Command{Use: "bench", Short: "Measure a hub under load"}
	cmd.AddCommand(newBenchD2CCommand(env))
	return cmd
}

// benchFlags are the flags of bench d2c.
type benchFlags struct {
	login    *loginFlags
	output   *outputFlag
	devices  int
	window   int
	size     int
	qos      int
	rate     float64
	warm     time.Duration
	duration time.Duration
	pid      int
	mqtts    string
	check    bool
}

func newBenchD2CCommand(env Env) *cobra.Command {
	f := &benchFlags{}
	cmd := &cobra.Command{
		Use:   "d2c [--devices N] [--window N] [--size BYTES] [--qos 0|1] [--rate N] [--duration D] [--pid PID]",
		Short: "Send telemetry as fast as it goes and check that none is lost",
		Long: `Register devices, send telemetry over MQTT and TLS with a window of unconfirmed messages each, and report
messages per second, acknowledgement latencies and, given the server's pid on this machine, its CPU time per message.
Then read everything back and count what is lost, duplicated or out of order. The devices are deleted at the end.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, env) },
	}
	flags := cmd.Flags()
	flags.IntVar(&f.devices, "devices", 100, "devices, 1 to 10000")
	flags.IntVar(&f.window, "window", 10, "unconfirmed messages per device")
	flags.IntVar(&f.size, "size", 256, "bytes of a message")
	flags.IntVar(&f.qos, "qos", 1, "0 or 1")
	flags.Float64Var(&f.rate, "rate", 0, "messages per second over all devices; 0: as fast as it goes")
	flags.DurationVar(&f.warm, "warm", 2*time.Second, "time before measuring")
	flags.DurationVar(&f.duration, "duration", 10*time.Second, "time of measuring")
	flags.IntVar(&f.pid, "pid", 0, "process id of the hub: report its CPU time")
	flags.StringVar(&f.mqtts, "mqtts", "", "`address` of the hub's MQTT listener (default: the login's host, port 8883)")
	flags.BoolVar(&f.check, "check", true, "read everything back")
	f.login, f.output = addLoginFlags(cmd), addOutputFlag(cmd)
	return cmd
}

func (f *benchFlags) run(cmd *cobra.Command, env Env) error {
	if err := f.validate(cmd); err != nil {
		return err
	}
	ctx := cmd.Context()
	client, err := f.login.service(env)
	if err != nil {
		return err
	}
	defer client.Close()
	options, err := f.options(env)
	if err != nil {
		return err
	}
	if options.Devices, err = createBenchDevices(ctx, client, f.devices, options.RunID); err != nil {
		return err
	}
	defer deleteBenchDevices(context.WithoutCancel(ctx), client, options.Devices)
	started := time.Now().Add(-time.Minute) // clocks differ
	options.Progress = func(acked int64) { fmt.Fprintf(env.Stderr, "%d acknowledged\n", acked) }
	result, err := bench.Run(ctx, options)
	if err != nil {
		return err
	}
	report := benchReport{Result: result}
	if f.check && f.qos == 1 { // QoS 0 promises nothing to check
		report.Check, err = checkBench(ctx, client, result, options.RunID, started)
		if err != nil {
			return err
		}
	}
	if err := report.print(env, f.output.json); err != nil {
		return err
	}
	if c := report.Check; c != nil && c.Lost+c.OutOfOrder > 0 {
		return fmt.Errorf("%d messages lost, %d out of order", c.Lost, c.OutOfOrder)
	}
	return nil
}

func (f *benchFlags) validate(cmd *cobra.Command) error {
	switch {
	case f.devices < 1 || f.devices > 10_000:
		return usagef(cmd, "--devices is 1 to 10000, not %d", f.devices)
	case f.window < 1 || f.window > bench.MaxWindow:
		return usagef(cmd, "--window is 1 to %d, not %d", bench.MaxWindow, f.window)
	case f.size < bench.MinSize || f.size > maxBenchSize:
		return usagef(cmd, "--size is %d to %d, not %d", bench.MinSize, maxBenchSize, f.size)
	case f.qos != 0 && f.qos != 1:
		return usagef(cmd, "--qos is 0 or 1, not %d", f.qos)
	case f.rate < 0:
		return usagef(cmd, "--rate is not negative")
	}
	return nil
}

// maxBenchSize leaves room for the content type and encoding that each message carries.
const maxBenchSize = hubward.MaxMessageSize - 100

func (f *benchFlags) options(env Env) (bench.Options, error) {
	o := bench.Options{
		Window: f.window, Size: f.size, QoS: byte(f.qos), Rate: f.rate, Warm: f.warm, Duration: f.duration, Address: f.mqtts,
	}
	host, err := f.login.host(env)
	if err != nil {
		return o, err
	}
	pool, err := f.login.pool(env)
	if err != nil {
		return o, err
	}
	o.HostName = sas.TrimPort(host)
	o.TLS = &tls.Config{RootCAs: pool, ServerName: o.HostName}
	if o.Address == "" {
		o.Address = net.JoinHostPort(o.HostName, "8883")
	}
	if f.pid != 0 {
		o.CPU = bench.ProcessCPU(f.pid)
		if _, err := o.CPU(); err != nil {
			return o, fmt.Errorf("--pid: %w", err)
		}
	}
	var id [4]byte
	rand.Read(id[:])
	o.RunID = hex.EncodeToString(id[:])
	return o, nil
}

// benchBulk is how many devices one bulk call makes or deletes.
const benchBulk = 100

func createBenchDevices(ctx context.Context, client *service.Client, n int, run string) ([]bench.Device, error) {
	devices := make([]bench.Device, n)
	items := make([]service.BulkItem, n)
	for i := range devices {
		key := make([]byte, 32)
		rand.Read(key)
		devices[i] = bench.Device{ID: fmt.Sprintf("bench-%s-%05d", run, i), Key: base64.StdEncoding.EncodeToString(key)}
		text := hubward.NullString(devices[i].Key)
		items[i] = service.BulkItem{Mode: service.Create, Device: hubward.Device{
			DeviceID: devices[i].ID, Status: hubward.StatusEnabled,
			Authentication: &hubward.Authentication{Type: hubward.AuthSAS, SymmetricKey: hubward.SymmetricKey{PrimaryKey: text, SecondaryKey: text}},
		}}
	}
	return devices, benchBulkCalls(ctx, client, items)
}

func deleteBenchDevices(ctx context.Context, client *service.Client, devices []bench.Device) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	items := make([]service.BulkItem, len(devices))
	for i, d := range devices {
		items[i] = service.BulkItem{Mode: service.Delete, Device: hubward.Device{DeviceID: d.ID}}
	}
	_ = benchBulkCalls(ctx, client, items) // they do no harm if they stay
}

func benchBulkCalls(ctx context.Context, client *service.Client, items []service.BulkItem) error {
	for len(items) > 0 {
		n := min(benchBulk, len(items))
		result, err := client.BulkDevices(ctx, items[:n])
		if err != nil {
			return err
		}
		if len(result.Errors) > 0 {
			return fmt.Errorf("device %s: %s", result.Errors[0].DeviceID, result.Errors[0].ErrorStatus)
		}
		items = items[n:]
	}
	return nil
}

// checkTimeout bounds the wait for one more event while reading back.
const checkTimeout = 30 * time.Second

func checkBench(ctx context.Context, client *service.Client, result *bench.Result, run string, since time.Time) (*bench.Check, error) {
	check := result.NewCheck(run)
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
