package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/service"
)

func (t *twinCommands) watch() *cobra.Command {
	var f monitorFlags
	cmd := &cobra.Command{
		Use: "watch ID [--from earliest|latest|TIME] [--count N] [--module ID]", Short: "Print the changes of a twin as they happen",
		Long: "Print each write to the twin of a device as it happens: when, by whom, and what was written; null stands for what was\n" +
			"removed. With -o json it is the event that tells of it.\n" +
			"TIME is like 2026-01-31T08:00:00Z, or a duration such as 10m, which means that long ago.\n" +
			"When the connection breaks it is made again, and no change is left out or printed twice.",
		Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "latest", "where to start: earliest, latest or a `time`")
	flags.IntVar(&f.count, "count", 0, "end after that many changes (0: on Ctrl-C)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := identityOf(cmd, args[0], t.module)
		if err != nil {
			return err
		}
		if f.count < 0 {
			return usagef(cmd, "--count %d is negative", f.count)
		}
		o, err := f.options(time.Now())
		if err != nil {
			return usagef(cmd, "%s", err)
		}
		return withClient(t.env, t.login, func(c *service.Client) error { return t.follow(cmd.Context(), c, id, o, f.count) })
	}
	return cmd
}

// follow prints changes until there are enough of them, or ctx ends, which is no failure.
func (t *twinCommands) follow(ctx context.Context, c *service.Client, id hubward.Identity, o service.EventsOptions, count int) error {
	if _, err := c.Twin(ctx, id); hubward.CodeOf(err) == hubward.CodeDeviceNotFound || hubward.CodeOf(err) == hubward.CodeModuleNotFound {
		fmt.Fprintf(t.env.Stderr, "hubward: warning: there is no %s now\n", id) // its old changes may be there
	}
	o.OnRetry = tellRetry(t.env)
	seen := 0
	for change, err := range c.WatchTwin(ctx, id, o) {
		if err != nil && ctx.Err() != nil {
			return cutShort(seen, count, "changes")
		}
		if err == nil {
			err = t.printChange(change)
		}
		if err != nil {
			return err
		}
		if seen++; seen == count {
			break
		}
	}
	return nil
}

// printChange prints a line with when and by whom, and one for each section that was written; or the event's JSON.
func (t *twinCommands) printChange(change *service.TwinChange) error {
	var b bytes.Buffer
	if t.out.json {
		b.Write(escapeJSON(change.Event.Raw))
		b.WriteByte('\n')
	} else if err := t.writeChange(&b, change); err != nil {
		return err
	}
	_, err := t.env.Stdout.Write(b.Bytes())
	return err
}

func (t *twinCommands) writeChange(b *bytes.Buffer, change *service.TwinChange) error {
	style := styleFor(t.env)
	verb := "updated"
	if change.Replaced {
		verb = "replaced"
	}
	if change.By != "" {
		verb += " by " + printable(change.By)
	}
	fmt.Fprintf(b, "%s  %s  %s, version %d\n", style.paint(colourDim, change.At.Format("2006-01-02T15:04:05.000Z")),
		style.paint(colourBold, printable(change.Identity.String())), verb, change.Version)
	for _, s := range []struct {
		name    string
		section json.RawMessage
	}{{"tags", change.Tags}, {"desired", change.Desired}, {"reported", change.Reported}} {
		if s.section == nil {
			continue
		}
		plain, err := hubward.PlainSection(s.section)
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "    %s: %s\n", style.paint(colourName, sectionName(s.name, s.section)), escapeJSON(plain))
	}
	return nil
}
