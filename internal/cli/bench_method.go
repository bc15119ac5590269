package cli

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/bench"
	"github.com/hubward/hubward/service"
)

// benchMethodFlags are the flags of bench method.
type benchMethodFlags struct {
	benchTarget
	httpsFloor string
	floorPID   int
	inFlight   int
	windows    []int
	size       int
	rounds     int
	warm       time.Duration
	duration   time.Duration
}

func newBenchMethodCommand(env Env) *cobra.Command {
	f := &benchMethodFlags{}
	cmd := &cobra.Command{
		Use: `method [--devices N] [--in-flight N] [--window N]... [--size BYTES] [--rounds N] [--duration D] [--pid PID]
  [--https-floor ADDRESS --https-floor-pid PID]`,
		Short: "Call direct methods and compare what a call costs with a telemetry message",
		Long: `Register devices that answer direct methods over MQTT and TLS, call them over HTTPS with many calls under way at
once, and report calls per second and how long they take. Each answer has to be that of its call. In turn with that the same
devices send telemetry with QoS 1, for each window; given the server's pid on this machine, its CPU time per call is compared
with that per message. With the address and pid of a bench floor that answers HTTPS, requests of the same size go there in turn
with that, so that what the hub does itself can be told from what any round trip through Go's HTTP server costs. Figures are
medians of the rounds. The devices are deleted at the end.`,
		Args: cobra.NoArgs, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, env) },
	}
	f.addFlags(cmd, 100)
	flags := cmd.Flags()
	flags.IntVar(&f.inFlight, "in-flight", 1000, "calls under way at a time")
	flags.IntSliceVar(&f.windows, "window", []int{10, 1}, "unconfirmed `messages` per device (repeatable)")
	flags.StringVar(&f.httpsFloor, "https-floor", "", "`address` of a bench floor that answers HTTPS: measure it as well")
	flags.IntVar(&f.floorPID, "https-floor-pid", 0, "process id of that floor, if it runs on this machine")
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

// benchMethodRounds are what was measured, round by round.
type benchMethodRounds struct {
	calls    []*bench.Result
	messages [][]*bench.Result // for each window
	floor    []*bench.Result   // of requests to a floor; empty without one
}

// measure measures calls, requests to the floor, and messages in turn, in rounds.
func (f *benchMethodFlags) measure(ctx context.Context, env Env, caller *service.Client, o bench.Options) (*benchMethodReport, error) {
	m := &benchMethodRounds{messages: make([][]*bench.Result, len(f.windows))}
	client := f.httpClient(&tls.Config{InsecureSkipVerify: true}) // a floor has a certificate of the moment
	defer client.CloseIdleConnections()
	for round := range f.rounds {
		fmt.Fprintf(env.Stderr, "round %d of %d\n", round+1, f.rounds)
		called, err := bench.RunMethod(ctx, bench.MethodOptions{Options: o, InFlight: f.inFlight, Invoke: invokeWith(caller)})
		if err != nil {
			return nil, err
		}
		m.calls = append(m.calls, called)
		echoed, err := f.measureFloor(ctx, o, client)
		if err != nil {
			return nil, err
		}
		if echoed != nil {
			m.floor = append(m.floor, echoed)
		}
		for i, window := range f.windows {
			o.Window = window
			sent, err := bench.Run(ctx, o)
			if err != nil {
				return nil, err
			}
			m.messages[i] = append(m.messages[i], sent)
		}
	}
	return f.report(m), nil
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
	Floor    *benchHTTPFloor    `json:"httpsFloor,omitempty"`
	Messages []benchMethodFloor `json:"messages"`
}

// benchHTTPFloor is a round trip over HTTPS to a server that does nothing else.
type benchHTTPFloor struct {
	Rate  float64 `json:"requestsPerSecond"`
	P50   float64 `json:"requestP50Milliseconds"`
	P99   float64 `json:"requestP99Milliseconds"`
	CPU   float64 `json:"serverCPUMicrosecondsPerRequest,omitempty"`
	Ratio float64 `json:"callToRequest,omitempty"` // of the CPU times
}

// benchMethodFloor is the telemetry that calls are compared with.
type benchMethodFloor struct {
	Window int     `json:"window"`
	Rate   float64 `json:"messagesPerSecond"`
	CPU    float64 `json:"serverCPUMicrosecondsPerMessage,omitempty"`
	// Of the CPU times: a call to a message, and what a call costs above a request to the floor.
	Ratio spread `json:"callToMessage,omitzero"`
	Own   spread `json:"callAboveHTTPSFloorToMessage,omitzero"`
}

// spread is a figure of several rounds.
type spread struct {
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

// spreadOf returns that of a figure of n rounds; figure reports whether a round has one.
func spreadOf(n int, figure func(round int) (float64, bool)) spread {
	var figures []float64
	for i := range n {
		if f, ok := figure(i); ok {
			figures = append(figures, f)
		}
	}
	if len(figures) == 0 {
		return spread{}
	}
	return spread{bench.Median(figures), slices.Min(figures), slices.Max(figures)}
}

func (s spread) String() string { return fmt.Sprintf("%.2f (%.2f to %.2f)", s.Median, s.Least, s.Most) }

func p50Of(r *bench.Result) float64 { return r.P50 }
func p99Of(r *bench.Result) float64 { return r.P99 }

func (f *benchMethodFlags) report(m *benchMethodRounds) *benchMethodReport {
	r := &benchMethodReport{Devices: f.devices, InFlight: f.inFlight, Rounds: f.rounds, Calls: acked(m.calls)}
	r.Rate, r.CPU, r.P50, r.P99 = medianOf(m.calls, rateOf), medianOf(m.calls, cpuOf), medianOf(m.calls, p50Of), medianOf(m.calls, p99Of)
	if len(m.floor) > 0 {
		r.Floor = &benchHTTPFloor{
			Rate: medianOf(m.floor, rateOf), P50: medianOf(m.floor, p50Of), P99: medianOf(m.floor, p99Of), CPU: medianOf(m.floor, cpuOf),
			Ratio: medianRatio(m.calls, m.floor, cpuOf),
		}
	}
	for i, window := range f.windows {
		sent := m.messages[i]
		r.Messages = append(r.Messages, benchMethodFloor{
			Window: window, Rate: medianOf(sent, rateOf), CPU: medianOf(sent, cpuOf),
			Ratio: spreadOf(len(sent), func(n int) (float64, bool) { return cpuOf(m.calls[n]) / cpuOf(sent[n]), cpuOf(sent[n]) > 0 }),
			Own: spreadOf(len(m.floor), func(n int) (float64, bool) {
				return (cpuOf(m.calls[n]) - cpuOf(m.floor[n])) / cpuOf(sent[n]), cpuOf(sent[n]) > 0 && cpuOf(m.floor[n]) > 0
			}),
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
	if h := r.Floor; h != nil {
		text := fmt.Sprintf("%.0f requests/s, p50 %.2f ms, p99 %.2f ms", h.Rate, h.P50, h.P99)
		if h.CPU > 0 {
			text += fmt.Sprintf(", server CPU %.2f us per request: a call costs %.2f times that", h.CPU, h.Ratio)
		}
		fields = append(fields, field{"https floor", text})
	}
	for _, m := range r.Messages {
		fields = append(fields, field{fmt.Sprintf("window %d", m.Window), m.text()})
	}
	return writeFields(env.Stdout, fields)
}

func (m *benchMethodFloor) text() string {
	text := fmt.Sprintf("%.0f messages/s", m.Rate)
	if m.CPU > 0 {
		text += fmt.Sprintf(", server CPU %.2f us per message: a call costs %s times that", m.CPU, m.Ratio)
	}
	if m.Own.Median != 0 {
		text += fmt.Sprintf(", %s above the HTTPS floor", m.Own)
	}
	return text
}
