package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/service"
)

func newFeedbackCommand(env Env) *cobra.Command {
	var count int
	cmd := &cobra.Command{
		Use:   "feedback [--count N]",
		Short: "Print what became of messages to devices",
		Long: "Print the feedback of messages to devices as it comes: when, which device, what became of which message. A hub has\n" +
			"one queue of feedback, and what is printed here leaves it. The hub gathers it for up to 15 seconds.",
		Args: cobra.NoArgs, DisableFlagsInUseLine: true,
	}
	login, out := addLoginFlags(cmd), addOutputFlag(cmd)
	cmd.Flags().IntVar(&count, "count", 0, "end after that many records (0: on Ctrl-C)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if count < 0 {
			return usagef(cmd, "--count %d is negative", count)
		}
		return withClient(env, login, func(c *service.Client) error {
			seen := 0
			for f, err := range c.Feedback(cmd.Context(), service.FeedbackOptions{OnRetry: tellRetry(env)}) {
				if err != nil && cmd.Context().Err() != nil {
					return cutShort(seen, count, "records")
				}
				if err != nil {
					return err
				}
				if err := printFeedback(env, out, f); err != nil {
					return err
				}
				if seen++; seen == count {
					break
				}
			}
			return nil
		})
	}
	return cmd
}

// tellRetry returns what is told when a call failed and is tried again.
func tellRetry(env Env) func(error, time.Duration) {
	return func(err error, wait time.Duration) {
		fmt.Fprintf(env.Stderr, "hubward: trying again in %s: %s\n", wait, oneLine(err.Error()))
	}
}

// printFeedback prints one record: a line, or the service's JSON.
func printFeedback(env Env, out *outputFlag, f *hubward.Feedback) error {
	if out.json {
		return writeJSON(env.Stdout, f)
	}
	style := styleFor(env)
	_, err := fmt.Fprintf(env.Stdout, "%s  %s  %s  %s\n",
		style.paint(colourDim, f.EnqueuedTime.UTC().Format("2006-01-02T15:04:05.000Z")),
		style.paint(colourBold, printable(f.DeviceID)), printable(string(f.StatusCode)), printable(f.OriginalMessageID))
	return err
}
