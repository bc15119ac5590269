package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward/internal/app"
)

const checkHelp = `Read all of a data folder that no hub uses, or of a backup, and say what is damaged: registry.db by SQLite's own checks,
whether all twins in it can be used, the checksums of all tables of the log, whether its partitions are whole, whether registry and
log belong together, and the checksums of a backup. It changes nothing. Without FOLDER, it is the data folder (HUBWARD_DATA; default
` + defaultData + `).

Exit status 1 means that something is damaged.`

func newCheckCommand(env Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "check [FOLDER]", Short: "Say what is damaged in a data folder or a backup",
		Long: checkHelp, Args: cobra.MaximumNArgs(1), DisableFlagsInUseLine: true,
	}
	data := addDataFlag(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		folder := data()
		if len(args) > 0 {
			folder = args[0]
		}
		r, err := app.Check(cmd.Context(), folder)
		if err != nil {
			return err
		}
		for _, problem := range r.Problems {
			fmt.Fprintln(env.Stdout, printable(problem))
		}
		what := "data folder"
		if r.Backup {
			what = "backup"
		}
		if n := len(r.Problems); n > 0 {
			return fmt.Errorf("the %s %s is damaged, findings: %d: restore a backup that is not", what, folder, n)
		}
		_, err = fmt.Fprintf(env.Stdout, "the %s %s is whole: %d hubs, %d devices, %d events, those of the hubs themselves included\n", what, folder, r.Hubs, r.Devices, r.Events)
		return err
	}
	return cmd
}
