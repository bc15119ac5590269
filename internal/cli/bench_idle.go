package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward/internal/bench"
	"github.com/hubward/hubward/service"
)

func newBenchIdleCommand(env Env) *cobra.Command {
	target := &benchTarget{}
	var duration time.Duration
	cmd := &cobra.Command{
		Use:   "idle --pid PID [--devices N] [--duration D]",
		Short: "Measure what an idle connection costs a server in memory",
		Long: `Register devices, connect them over MQTT and TLS, hold the connections, and report by how much the memory of the
server on this machine has grown for each. The devices are deleted at the end.`,
		Args: cobra.NoArgs, DisableFlagsInUseLine: true,
	}
	target.addFlags(cmd, 100)
	target.addFloorFlag(cmd)
	cmd.Flags().DurationVar(&duration, "duration", 10*time.Second, "how long to hold the connections")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if target.pid == 0 {
			return usagef(cmd, "--pid is missing")
		}
		if err := target.validate(cmd); err != nil {
			return err
		}
		return target.use(cmd.Context(), env, func(_ *service.Client, o bench.Options) error {
			o.Duration = duration
			result, err := bench.Idle(cmd.Context(), o, bench.ProcessMemory(target.pid))
			if err != nil {
				return target.explain(cmd.Context(), o, err)
			}
			if target.output.json {
				return writeJSON(env.Stdout, result)
			}
			return writeFields(env.Stdout, []field{
				{"connections", fmt.Sprint(result.Connections)},
				{"server memory", fmt.Sprintf("%d KiB before, %d KiB after", result.Before>>10, result.After>>10)},
				{"per connection", fmt.Sprintf("%.2f KiB", result.KiBPerConnection)},
			})
		})
	}
	return cmd
}
