package cli

import (
	"cmp"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward/internal/app"
)

// addDataFlag adds --data of commands that work on a data folder, and returns what it says.
func addDataFlag(cmd *cobra.Command, env Env) func() string {
	data := cmd.Flags().String("data", "", "the data `folder` (HUBWARD_DATA; default "+defaultData+")")
	return func() string { return cmp.Or(*data, env.Getenv("HUBWARD_DATA"), defaultData) }
}

const backupHelp = `Put a copy of a data folder into DIR, which is made, or is empty: hubs, devices, telemetry, keys and certificates.

The hub may run: what it had acknowledged when the command began is in the copy, and devices notice nothing. The command has to
run as the user who owns the data folder, on the same machine, and the hub needs its admin listener. Files have mode 0600.
A backup that was cut off is none: restore refuses it, and check says so.`

func newBackupCommand(env Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "backup DIR [--data FOLDER]", Short: "Copy a hub's data, while it runs or not",
		Long: backupHelp, Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
	}
	data := addDataFlag(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := app.Backup(cmd.Context(), data(), args[0], time.Now())
		if err != nil {
			return err
		}
		of := "a hub that is stopped"
		if r.Running {
			of = "the running hub"
		}
		_, err = fmt.Fprintf(env.Stdout, "backed up %s: %d files, %d bytes in %s\n", of, r.Files, r.Bytes, args[0])
		return err
	}
	return cmd
}
