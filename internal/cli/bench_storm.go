package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward/internal/bench"
	"github.com/hubward/hubward/service"
)

// benchStormFlags are the flags of bench storm.
type benchStormFlags struct {
	benchTarget
	check bool
}

func newBenchStormCommand(env Env) *cobra.Command {
	f := &benchStormFlags{}
	cmd := &cobra.Command{
		Use:   "storm [--devices N] [--pid PID]",
		Short: "Cut all connections at once and measure how long until all are back",
		Long: `Register devices, connect them over MQTT and TLS, cut all their connections in mid-message, and have all come back at
once and send again what was not acknowledged: with full TLS handshakes first, then with session tickets. Report how long
the last one takes, and what 99 of 100 take. Then read everything back and count what is lost. The devices are deleted
at the end.`,
		Args: cobra.NoArgs, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, env) },
	}
	f.addFlags(cmd, 5000)
	f.addFloorFlag(cmd)
	cmd.Flags().BoolVar(&f.check, "check", true, "read everything back")
	return cmd
}

// stormReport is what the command prints.
type stormReport struct {
	*bench.StormResult
	Check *bench.Check `json:"check,omitempty"`
}

func (f *benchStormFlags) run(cmd *cobra.Command, env Env) error {
	if err := f.validate(cmd); err != nil {
		return err
	}
	ctx := cmd.Context()
	return f.use(ctx, env, func(client *service.Client, o bench.Options) (err error) {
		o.Size = 256
		if o.CPU, err = f.cpu(); err != nil {
			return err
		}
		return f.measure(ctx, env, client, o)
	})
}

func (f *benchStormFlags) measure(ctx context.Context, env Env, client *service.Client, o bench.Options) error {
	started := time.Now().Add(-time.Minute) // clocks differ
	result, err := bench.Storm(ctx, o)
	if err != nil {
		return f.explain(ctx, o, err)
	}
	report := stormReport{StormResult: result}
	if f.check && client != nil {
		report.Check, err = readBack(ctx, client, result.NewCheck(o.RunID), started)
		if err != nil {
			return f.login.failed(env, client, err)
		}
		if ctx.Err() != nil && !report.Check.Complete() {
			return errors.Join(report.print(env, f.output.json), fmt.Errorf("%w while reading back: whether any message is lost is not known", errInterrupted))
		}
	}
	if err := report.print(env, f.output.json); err != nil {
		return err
	}
	if c := report.Check; c != nil && c.Lost > 0 {
		return fmt.Errorf("%d acknowledged messages lost", c.Lost)
	}
	return nil
}

func (r *stormReport) print(env Env, asJSON bool) error {
	if asJSON {
		return writeJSON(env.Stdout, r)
	}
	fields := []field{{"devices", fmt.Sprint(r.Devices)}}
	fields = append(fields, stormFields("full", &r.Full)...)
	fields = append(fields, stormFields("with tickets", &r.Resumed)...)
	if c := r.Check; c != nil {
		fields = append(fields, field{"read back", fmt.Sprintf("%d events of %d acknowledged: %d lost, %d duplicates", c.Read, r.Acked(), c.Lost, c.Duplicates)})
	}
	return writeFields(env.Stdout, fields)
}

func stormFields(name string, r *bench.StormRound) []field {
	text := fmt.Sprintf("last %.2f s, p50 %.0f ms, p99 %.0f ms; all settled %.2f s; %d retries, %d resumed",
		r.Last, r.P50, r.P99, r.Settled, r.Retries, r.Tickets)
	if r.CPUMicros > 0 {
		text += fmt.Sprintf("; server CPU %.0f us each", r.CPUMicros)
	}
	return []field{{name, text}}
}
