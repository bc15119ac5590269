package cli

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/bench"
	"github.com/hubward/hubward/internal/loopback"
	"github.com/hubward/hubward/service"
)

// benchMethodFlags are the flags of bench method.
type benchMethodFlags struct {
	benchTarget
	inFlight int
	windows  []int
	size     int
	rounds   int
	warm     time.Duration
	duration time.Duration
}

func newBenchMethodCommand(env Env) *cobra.Command {
	f := &benchMethodFlags{}
	cmd := &cobra.Command{
		Use:   "method [--devices N] [--in-flight N] [--window N]... [--size BYTES] [--rounds N] [--duration D] [--pid PID]",
		Short: "Call direct methods and compare what a call costs with a telemetry message",
		Long: `Register devices that answer direct methods over MQTT and TLS, call them over HTTPS with many calls under way at
once, and report calls per second and how long they take. Each answer has to be that of its call. In turn with that the same
devices send telemetry with QoS 1, for each window; given the server's pid on this machine, its CPU time per call is compared
with that per message. Figures are medians of the rounds. The devices are deleted at the end.`,
		Args: cobra.NoArgs, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, env) },
	}
	f.addFlags(cmd, 100)
	flags := cmd.Flags()
	flags.IntVar(&f.inFlight, "in-flight", 1000, "calls under way at a time")
	flags.IntSliceVar(&f.windows, "window", []int{10, 1}, "unconfirmed `messages` per device (repeatable)")
	flags.IntVar(&f.size, "size", 256, "bytes of a payload, of an answer, and of a message")
	flags.IntVar(&f.rounds, "rounds", 3, "how often to measure both, 1 to 100")
	flags.DurationVar(&f.warm, "warm", 2*time.Second, "time before measuring, in each round")
	flags.DurationVar(&f.duration, "duration", 5*time.Second, "time of measuring, in each round")
	return cmd
}

func (f *benchMethodFlags) validate(cmd *cobra.Command) error {
	for _, window := range f.windows {
		if window < 1 || window > bench.MaxWindow {
			return usagef(cmd, "--window is 1 to %d, not %d", bench.MaxWindow, window)
		}
	}
	switch {
	case f.inFlight < 1 || f.inFlight > bench.MaxInFlight:
		return usagef(cmd, "--in-flight is 1 to %d, not %d", bench.MaxInFlight, f.inFlight)
	case f.size < bench.MinSize || f.size > hubward.MaxMethodPayload:
		return usagef(cmd, "--size is %d to %d, not %d", bench.MinSize, hubward.MaxMethodPayload, f.size)
	case f.rounds < 1 || f.rounds > maxRounds:
		return usagef(cmd, "--rounds is 1 to %d, not %d", maxRounds, f.rounds)
	}
	return f.benchTarget.validate(cmd)
}

// maxRounds bounds the rounds of a measurement.
const maxRounds = 100

func (f *benchMethodFlags) run(cmd *cobra.Command, env Env) error {
	if err := f.validate(cmd); err != nil {
		return err
	}
	caller, err := f.caller(env)
	if err != nil {
		return err
	}
	defer caller.Close()
	ctx := cmd.Context()
	return f.use(ctx, env, func(_ *service.Client, o bench.Options) error {
		o.Size, o.QoS, o.Warm, o.Duration = f.size, 1, f.warm, f.duration
		var err error
		if o.CPU, err = f.cpu(); err != nil {
			return err
		}
		report, err := f.measure(ctx, env, caller, o)
		if err != nil {
			return f.login.failed(env, caller, f.explain(ctx, o, err))
		}
		return report.print(env, f.output.json)
	})
}

// measure measures calls and messages in turn, in rounds.
func (f *benchMethodFlags) measure(ctx context.Context, env Env, caller *service.Client, o bench.Options) (*benchMethodReport, error) {
	var calls []*bench.Result
	messages := make([][]*bench.Result, len(f.windows))
	for round := range f.rounds {
		fmt.Fprintf(env.Stderr, "round %d of %d\n", round+1, f.rounds)
		called, err := bench.RunMethod(ctx, bench.MethodOptions{Options: o, InFlight: f.inFlight, Invoke: invokeWith(caller)})
		if err != nil {
			return nil, err
		}
		calls = append(calls, called)
		for i, window := range f.windows {
			o.Window = window
			sent, err := bench.Run(ctx, o)
			if err != nil {
				return nil, err
			}
			messages[i] = append(messages[i], sent)
		}
	}
	return f.report(calls, messages), nil
}

// caller is a client that keeps a connection for each call in flight, and speaks HTTP/1.1, as SDKs do.
func (f *benchMethodFlags) caller(env Env) (*service.Client, error) {
	text, err := f.login.connectionString(env)
	if err != nil {
		return nil, err
	}
	pool, err := f.login.pool(env)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DialTLSContext: dialSome(&tls.Config{RootCAs: pool}), MaxConnsPerHost: f.inFlight, MaxIdleConnsPerHost: f.inFlight,
	}
	c, err := service.NewFromConnectionString(text, &service.Options{HTTPClient: &http.Client{Transport: transport}, UserAgent: "hubward-bench"})
	if err != nil {
		return nil, f.login.invalid(err)
	}
	return c, nil
}

// benchDials bounds the connections that are set up at a time: a hub that is busy with a thousand handshakes gives some of them
// up.
const benchDials = 32

// dialSome returns a function that dials with TLS, a few at a time.
func dialSome(config *tls.Config) func(ctx context.Context, network, address string) (net.Conn, error) {
	slots := make(chan struct{}, benchDials)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		tcp, err := new(loopback.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		named := config.Clone()
		named.ServerName, _, err = net.SplitHostPort(address)
		nc := tls.Client(tcp, named)
		if err == nil {
			err = nc.HandshakeContext(ctx)
		}
		if err != nil {
			tcp.Close()
			return nil, err
		}
		return nc, nil
	}
}

func invokeWith(c *service.Client) func(context.Context, bench.Device, []byte) ([]byte, error) {
	return func(ctx context.Context, d bench.Device, payload []byte) ([]byte, error) {
		result, err := c.InvokeMethod(ctx, hubward.Identity{Device: d.ID}, hubward.MethodCall{Name: bench.MethodName, Payload: json.RawMessage(payload)})
		return result.Payload, err
	}
}

// benchMethodReport is what the command prints. Figures are medians.
type benchMethodReport struct {
	Devices  int                `json:"devices"`
	InFlight int                `json:"inFlight"`
	Rounds   int                `json:"rounds"`
	Calls    int64              `json:"calls"` // over the whole run
	Rate     float64            `json:"callsPerSecond"`
	P50      float64            `json:"callP50Milliseconds"`
	P99      float64            `json:"callP99Milliseconds"`
	CPU      float64            `json:"serverCPUMicrosecondsPerCall,omitempty"`
	Messages []benchMethodFloor `json:"messages"`
}

// benchMethodFloor is the telemetry that calls are compared with.
type benchMethodFloor struct {
	Window int     `json:"window"`
	Rate   float64 `json:"messagesPerSecond"`
	CPU    float64 `json:"serverCPUMicrosecondsPerMessage,omitempty"`
	Ratio  float64 `json:"callToMessage,omitempty"` // of the CPU times
}

func (f *benchMethodFlags) report(calls []*bench.Result, messages [][]*bench.Result) *benchMethodReport {
	r := &benchMethodReport{Devices: f.devices, InFlight: f.inFlight, Rounds: f.rounds, Calls: acked(calls)}
	r.Rate, r.CPU = medianOf(calls, rateOf), medianOf(calls, cpuOf)
	r.P50 = medianOf(calls, func(b *bench.Result) float64 { return b.P50 })
	r.P99 = medianOf(calls, func(b *bench.Result) float64 { return b.P99 })
	for i, window := range f.windows {
		r.Messages = append(r.Messages, benchMethodFloor{
			Window: window, Rate: medianOf(messages[i], rateOf), CPU: medianOf(messages[i], cpuOf), Ratio: medianRatio(calls, messages[i], cpuOf),
		})
	}
	return r
}

func (r *benchMethodReport) print(env Env, asJSON bool) error {
	if asJSON {
		return writeJSON(env.Stdout, r)
	}
	fields := []field{
		{"devices", fmt.Sprint(r.Devices)},
		{"calls", fmt.Sprintf("%d, with %d in flight", r.Calls, r.InFlight)},
		{"rate", fmt.Sprintf("%.0f calls/s", r.Rate)},
		{"call latency", fmt.Sprintf("p50 %.2f ms, p99 %.2f ms", r.P50, r.P99)},
	}
	if r.CPU > 0 {
		fields = append(fields, field{"server CPU", fmt.Sprintf("%.2f us per call", r.CPU)})
	}
	for _, m := range r.Messages {
		text := fmt.Sprintf("%.0f messages/s", m.Rate)
		if m.CPU > 0 {
			text += fmt.Sprintf(", server CPU %.2f us per message: a call costs %.2f times that", m.CPU, m.Ratio)
		}
		fields = append(fields, field{fmt.Sprintf("window %d", m.Window), text})
	}
	return writeFields(env.Stdout, fields)
}
