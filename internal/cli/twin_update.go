package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/service"
)

// twinWrite is a call that writes to a twin.
type twinWrite func(*service.Client, context.Context, hubward.Identity, service.TwinPatch, string) (*hubward.Twin, error)

func (t *twinCommands) update() *cobra.Command {
	return t.write((*service.Client).UpdateTwin, &cobra.Command{
		Use: "update ID [--tags JSON] [--desired JSON] [--etag ETAG] [--module ID]", Short: "Merge into the tags and desired properties of a twin",
		Long: "Merge into the tags and desired properties of a device, and print its twin as it is then. A member that is null removes\n" +
			"the one of its name; null in place of an object empties the section. A device that is connected is told at once.\n" + jsonHelp,
	})
}

func (t *twinCommands) replace() *cobra.Command {
	return t.write((*service.Client).ReplaceTwin, &cobra.Command{
		Use: "replace ID [--tags JSON] [--desired JSON] [--etag ETAG] [--module ID]", Short: "Replace the tags and desired properties of a twin",
		Long: "Replace the tags and desired properties of a device, and print its twin as it is then. Of the two, the one that is not\n" +
			"given becomes empty. A device that is connected is told at once.\n" + jsonHelp,
	})
}

// write completes a command that writes to a twin.
func (t *twinCommands) write(do twinWrite, cmd *cobra.Command) *cobra.Command {
	var tags, desired, etag string
	cmd.Flags().StringVar(&tags, "tags", "", "`JSON` object of tags")
	cmd.Flags().StringVar(&desired, "desired", "", "`JSON` object of desired properties")
	cmd.Flags().StringVar(&etag, "etag", "", "write only if the `etag` of the twin is still this one")
	cmd.Args, cmd.DisableFlagsInUseLine = cobra.ExactArgs(1), true
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := identityOf(cmd, args[0], t.module)
		if err != nil {
			return err
		}
		patch, err := readTwinPatch(cmd, tags, desired)
		if err != nil {
			return err
		}
		return withClient(t.env, t.login, func(c *service.Client) error {
			twin, err := do(c, cmd.Context(), id, patch, strings.Trim(etag, `"`))
			if err != nil {
				return err
			}
			return t.print(twin)
		})
	}
	return cmd
}

// readTwinPatch reads what is to be written to a twin.
func readTwinPatch(cmd *cobra.Command, tags, desired string) (p service.TwinPatch, err error) {
	switch {
	case tags == "" && desired == "":
		return p, usagef(cmd, "nothing to write: give --tags, --desired or both")
	case tags == "-" && desired == "-":
		return p, usagef(cmd, "--tags and --desired cannot both be standard input")
	}
	if tags != "" {
		if p.Tags, err = readObject(cmd, "tags", tags); err != nil {
			return p, err
		}
	}
	if desired != "" {
		p.Desired, err = readObject(cmd, "desired", desired)
	}
	return p, err
}
