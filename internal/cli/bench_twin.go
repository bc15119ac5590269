package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward/internal/app"
	"github.com/hubward/hubward/internal/bench"
	"github.com/hubward/hubward/service"
)

// benchTwinFlags are the flags of bench twin.
type benchTwinFlags struct {
	benchTarget
	window   int
	sizes    []int
	rounds   int
	warm     time.Duration
	duration time.Duration
	store    string
}

func newBenchTwinCommand(env Env) *cobra.Command {
	f := &benchTwinFlags{}
	cmd := &cobra.Command{
		Use:   "twin [--devices N] [--window N] [--size BYTES]... [--rounds N] [--duration D] [--pid PID] [--store DIR]",
		Short: "Change reported properties as fast as it goes and compare with bare rows",
		Long: `Register devices that change one number of their reported properties over MQTT and TLS, again and again, and report
patches per second, each durable when it is answered, and how long they take. In turn with that as many rows of the same size
are updated, as many at a time, in a bare store of the hub's kind in this process, in a new folder below --store: put it on the
disk that the hub writes to. With the server's pid, CPU is what it
uses for a patch, LOAD CPU what this program does: on a shared machine no hub can be faster than that leaves room for. Figures are
medians of the rounds. The devices and the store are deleted at the end.`,
		Args: cobra.NoArgs, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, env) },
	}
	f.addFlags(cmd, 200)
	flags := cmd.Flags()
	flags.IntVar(&f.window, "window", 1, "patches per device that are not answered")
	flags.IntSliceVar(&f.sizes, "size", []int{1 << 10, bench.MaxTwinSize}, "`bytes` of the reported properties, by the arithmetic of their limit (repeatable)")
	flags.IntVar(&f.rounds, "rounds", 3, "how often to measure both, 1 to 100")
	flags.DurationVar(&f.warm, "warm", 2*time.Second, "time before measuring, in each round")
	flags.DurationVar(&f.duration, "duration", 5*time.Second, "time of measuring, in each round")
	flags.StringVar(&f.store, "store", os.TempDir(), "`folder` for the bare store")
	return cmd
}

func (f *benchTwinFlags) validate(cmd *cobra.Command) error {
	for _, size := range f.sizes {
		if size < bench.MinTwinSize || size > bench.MaxTwinSize {
			return usagef(cmd, "--size is %d to %d, not %d", bench.MinTwinSize, bench.MaxTwinSize, size)
		}
	}
	switch {
	case f.window < 1 || f.window > bench.MaxWindow:
		return usagef(cmd, "--window is 1 to %d, not %d", bench.MaxWindow, f.window)
	case f.rounds < 1 || f.rounds > maxRounds:
		return usagef(cmd, "--rounds is 1 to %d, not %d", maxRounds, f.rounds)
	}
	return f.benchTarget.validate(cmd)
}

func (f *benchTwinFlags) run(cmd *cobra.Command, env Env) error {
	if err := f.validate(cmd); err != nil {
		return err
	}
	ctx := cmd.Context()
	return f.use(ctx, env, func(_ *service.Client, o bench.Options) error {
		o.Window, o.QoS, o.Warm, o.Duration = f.window, 1, f.warm, f.duration
		var err error
		if o.CPU, err = f.cpu(); err != nil {
			return err
		}
		report, err := f.measure(ctx, env, o)
		if err != nil {
			return f.explain(ctx, o, err)
		}
		return report.print(env, f.output.json)
	})
}

// measure measures hub and bare store in turn, for each size, in rounds.
func (f *benchTwinFlags) measure(ctx context.Context, env Env, o bench.Options) (*benchTwinReport, error) {
	hub, bare := make([][]*bench.Result, len(f.sizes)), make([][]*bench.Result, len(f.sizes))
	for round := range f.rounds {
		fmt.Fprintf(env.Stderr, "round %d of %d\n", round+1, f.rounds)
		for i, size := range f.sizes {
			o.Size = size
			rows, err := f.measureRows(ctx, o)
			if err != nil {
				return nil, err
			}
			twins, err := bench.RunTwin(ctx, o)
			if err != nil {
				return nil, err
			}
			hub[i], bare[i] = append(hub[i], twins), append(bare[i], rows)
		}
	}
	return f.report(hub, bare), nil
}

// measureRows measures a bare store.
func (f *benchTwinFlags) measureRows(ctx context.Context, o bench.Options) (result *bench.Result, err error) {
	folder, err := os.MkdirTemp(f.store, "hubward-bench-")
	if err != nil {
		return nil, fmt.Errorf("--store: %w", err)
	}
	defer os.RemoveAll(folder)
	rows, err := app.OpenBareRows(ctx, filepath.Join(folder, "rows.db"), len(o.Devices), bench.TwinOf(o.Size, 0))
	if err != nil {
		return nil, fmt.Errorf("--store: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if o.CPU != nil {
		o.CPU = bench.ProcessCPU(os.Getpid())
	}
	return bench.RunRows(ctx, o, rows.Update)
}

// benchTwinSize is what was measured with twins of one size. Figures are medians.
type benchTwinSize struct {
	Size    int     `json:"size"`
	Patches int64   `json:"patches"` // over the whole run
	Rate    float64 `json:"patchesPerSecond"`
	P50     float64 `json:"patchP50Milliseconds"`
	P99     float64 `json:"patchP99Milliseconds"`
	Updates float64 `json:"bareUpdatesPerSecond"`
	Ratio   float64 `json:"patchesToBareUpdates"`
	// What a patch takes of time beside one of the first size.
	TimeToFirst float64 `json:"timeToFirstSize"`

	// With the server's pid: CPU time per patch, beside that of a patch of the first size, and that of a bare update.
	CPU        float64 `json:"serverCPUMicrosecondsPerPatch,omitempty"`
	LoadCPU    float64 `json:"loadCPUMicrosecondsPerPatch,omitempty"` // what this process used to send it
	CPUToFirst float64 `json:"cpuToFirstSize,omitempty"`
	BareCPU    float64 `json:"cpuMicrosecondsPerBareUpdate,omitempty"`
}

// benchTwinReport is what the command prints.
type benchTwinReport struct {
	Devices int             `json:"devices"`
	Window  int             `json:"window"`
	Rounds  int             `json:"rounds"`
	Sizes   []benchTwinSize `json:"sizes"`
}

func (f *benchTwinFlags) report(hub, bare [][]*bench.Result) *benchTwinReport {
	r := &benchTwinReport{Devices: f.devices, Window: f.window, Rounds: f.rounds}
	for i, size := range f.sizes {
		r.Sizes = append(r.Sizes, benchTwinSize{
			Size: size, Patches: acked(hub[i]), Rate: medianOf(hub[i], rateOf), Updates: medianOf(bare[i], rateOf), Ratio: medianRatio(hub[i], bare[i], rateOf),
			P50:         medianOf(hub[i], func(b *bench.Result) float64 { return b.P50 }),
			P99:         medianOf(hub[i], func(b *bench.Result) float64 { return b.P99 }),
			TimeToFirst: medianRatio(hub[0], hub[i], rateOf),
			CPU:         medianOf(hub[i], cpuOf), LoadCPU: medianOf(hub[i], loadOf), CPUToFirst: medianRatio(hub[i], hub[0], cpuOf), BareCPU: medianOf(bare[i], cpuOf),
		})
	}
	return r
}

// acked returns what was confirmed over all results.
func acked(results []*bench.Result) (n int64) {
	for _, r := range results {
		n += r.Acked
	}
	return n
}

func rateOf(r *bench.Result) float64 { return r.Rate }
func cpuOf(r *bench.Result) float64  { return r.CPUMicros }
func loadOf(r *bench.Result) float64 { return r.LoadCPUMicros }

// medianOf returns the median of a figure of results.
func medianOf(results []*bench.Result, figure func(*bench.Result) float64) float64 {
	figures := make([]float64, len(results))
	for i, r := range results {
		figures[i] = figure(r)
	}
	return bench.Median(figures)
}

// medianRatio returns the median of the ratios, round by round, of a figure of two results.
func medianRatio(of, to []*bench.Result, figure func(*bench.Result) float64) float64 {
	var ratios []float64
	for i := range of {
		if figure(to[i]) > 0 {
			ratios = append(ratios, figure(of[i])/figure(to[i]))
		}
	}
	return bench.Median(ratios)
}

func (r *benchTwinReport) print(env Env, asJSON bool) error {
	if asJSON {
		return writeJSON(env.Stdout, r)
	}
	header := []string{"SIZE", "PATCHES/S", "P50", "P99", "BARE UPDATES/S", "RATIO", "TIME TO FIRST", "CPU", "CPU TO FIRST", "BARE CPU", "LOAD CPU"}
	if r.Sizes[0].CPU == 0 {
		header = header[:7]
	}
	var rows [][]string
	for _, s := range r.Sizes {
		row := []string{
			fmt.Sprint(s.Size), fmt.Sprintf("%.0f", s.Rate), fmt.Sprintf("%.2f ms", s.P50), fmt.Sprintf("%.2f ms", s.P99),
			fmt.Sprintf("%.0f", s.Updates), fmt.Sprintf("%.2f", s.Ratio), fmt.Sprintf("%.2f", s.TimeToFirst),
			fmt.Sprintf("%.1f us", s.CPU), fmt.Sprintf("%.2f", s.CPUToFirst), fmt.Sprintf("%.1f us", s.BareCPU), fmt.Sprintf("%.1f us", s.LoadCPU),
		}
		rows = append(rows, row[:len(header)])
	}
	return writeTable(env.Stdout, header, rows)
}
