package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward/service"
)

func (d *deviceCommands) export() *cobra.Command {
	return &cobra.Command{
		Use: "export [FILE]", Short: "Write all devices as JSON lines, keys included",
		Long: "Write the JSON of each identity on a line of its own, keys included, as device import reads it: to standard output,\n" +
			"or to a FILE that appears, readable by its owner alone, when it is whole. Devices that come and go meanwhile may\n" +
			"be in it or not; all others are in it once.",
		Args: cobra.MaximumNArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return d.withClient(func(c *service.Client) error {
				run := &exportRun{client: c, progress: newProgress(d.env, "devices")}
				if len(args) == 0 || args[0] == "-" {
					if isTerminal(d.env.Stdout) {
						run.progress.w = nil // the lines tell
					}
					return writeBuffered(d.env.Stdout, func(w io.Writer) error { return run.all(cmd.Context(), w) })
				}
				if err := writeWhole(args[0], func(w io.Writer) error { return run.all(cmd.Context(), w) }); err != nil {
					return err
				}
				return run.report(d, args[0])
			})
		},
	}
}

// exportRun writes the identities of a hub.
type exportRun struct {
	client   *service.Client
	progress *progress
	done     int
}

func (r *exportRun) all(ctx context.Context, w io.Writer) error {
	defer r.progress.clear()
	total, err := r.client.RegistryStatistics(ctx)
	if err != nil {
		return err
	}
	for device, err := range r.client.AllDevices(ctx) {
		if err == nil {
			err = writeJSON(w, &device)
		}
		if err != nil {
			return err
		}
		r.done++
		if r.done%100 == 0 {
			r.progress.show(r.done, float64(r.done)/float64(max(total.TotalDeviceCount, r.done)))
		}
	}
	return nil
}

func (r *exportRun) report(d *deviceCommands, file string) error {
	if d.out.json {
		return writeJSON(d.env.Stdout, map[string]int{"devices": r.done})
	}
	_, err := fmt.Fprintf(d.env.Stdout, "%d devices written to %s\n", r.done, file)
	return err
}
