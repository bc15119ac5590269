package cli

import (
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward/service"
)

// c2dFlags are a hub's settings of messages to devices and their feedback.
type c2dFlags struct {
	ttl, feedbackTTL, feedbackLock       durationFlag
	maxDeliveries, feedbackMaxDeliveries countFlag
}

func (f *c2dFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Var(&f.ttl, "c2d-ttl", "how long a message to a device is kept that has no expiry, 1m to 2d (default 1h)")
	flags.Var(&f.maxDeliveries, "c2d-max-deliveries", "how often a device may abandon a message, 1 to 100 (default 10)")
	flags.Var(&f.feedbackTTL, "feedback-ttl", "how long feedback is kept, 1m to 2d (default 1h)")
	flags.Var(&f.feedbackLock, "feedback-lock", "how long a reader of feedback has to settle it, 5s to 5m (default 1m)")
	flags.Var(&f.feedbackMaxDeliveries, "feedback-max-deliveries", "how often feedback may be abandoned, 1 to 100 (default 10)")
}

// settings returns what the flags give; the rest is zero.
func (f *c2dFlags) settings() service.C2DSettings {
	return service.C2DSettings{
		DefaultTTL: service.Duration(f.ttl), MaxDeliveryCount: int(f.maxDeliveries),
		Feedback: service.FeedbackSettings{
			TTL: service.Duration(f.feedbackTTL), LockDuration: service.Duration(f.feedbackLock), MaxDeliveryCount: int(f.feedbackMaxDeliveries),
		},
	}
}

// countFlag is a positive number.
type countFlag int

// String, Set and Type make it a flag value.
func (c *countFlag) String() string {
	if *c == 0 {
		return ""
	}
	return strconv.Itoa(int(*c))
}

// Set reads the flag.
func (c *countFlag) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		return errors.New("it is a whole number above 0")
	}
	*c = countFlag(n)
	return nil
}

// Type names the value in help texts.
func (c *countFlag) Type() string { return "count" }
