package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward/internal/app"
)

const restoreHelp = `Put the backup in DIR into a data folder that is empty or does not exist, and start a hub on it with serve.

All of the backup is looked at first: one that is damaged, or was cut off, is not restored. Two hubs from one backup are the same
hub: do not let both run.`

func newRestoreCommand(env Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "restore DIR [--data FOLDER]", Short: "Put a backup into an empty data folder",
		Long: restoreHelp, Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
	}
	data := addDataFlag(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := app.Restore(cmd.Context(), args[0], data()); err != nil {
			return err
		}
		_, err := fmt.Fprintf(env.Stdout, "restored into %s\n", data())
		return err
	}
	return cmd
}
