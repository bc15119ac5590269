package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/service"
)

func newC2DCommand(env Env) *cobra.Command {
	cmd := newGroup("c2d", "Send messages to devices, and receive them as one", "")
	cmd.AddCommand(newC2DSendCommand(env), newC2DReceiveCommand(env), newC2DPurgeCommand(env))
	return cmd
}

// c2dSend is one run of c2d send.
type c2dSend struct {
	env        Env
	login      *loginFlags
	out        *outputFlag
	body       string
	properties []string
	ack        string
	messageID  string
	correlate  string
	mime       string
	expiry     string
	wait       bool
}

func newC2DSendCommand(env Env) *cobra.Command {
	s := &c2dSend{env: env}
	cmd := &cobra.Command{
		Use: "send ID --body TEXT [--property NAME=VALUE]... [--ack none|positive|negative|full] [--message-id ID] " +
			"[--expiry DURATION|TIME] [--wait]",
		Short: "Send a message to a device",
		Long: "Put a message into the queue of a device, which gets it when it is connected, or asks. With --ack the hub tells\n" +
			"what becomes of it; with --wait that is printed (status 0: the device completed it; 1: it did not).\n" +
			"TIME is like 2026-01-31T08:00:00Z. Without --expiry a message is kept as long as the hub says, an hour by default.",
		Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := s.message(cmd, args[0], time.Now())
			if err != nil {
				return err
			}
			return withClient(env, s.login, func(c *service.Client) error { return s.run(cmd.Context(), c, args[0], m) })
		},
	}
	s.login, s.out = addLoginFlags(cmd), addOutputFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&s.body, "body", "", "`text` of the message")
	flags.StringArrayVar(&s.properties, "property", nil, "application property as `NAME=VALUE` (repeatable)")
	flags.StringVar(&s.ack, "ack", "", "outcomes to be told: none, positive, negative or full (default none; with --wait full)")
	flags.StringVar(&s.messageID, "message-id", "", "`id` of the message (default: a random one)")
	flags.StringVar(&s.correlate, "correlation-id", "", "`id` of what the message answers")
	flags.StringVar(&s.mime, "content-type", "", "`type` of the body, e.g. application/json")
	flags.StringVar(&s.expiry, "expiry", "", "when the message is given up: a duration such as 10m, or a `time`")
	flags.BoolVar(&s.wait, "wait", false, "wait for the outcome and print it")
	return cmd
}

// message makes the message of the command line.
func (s *c2dSend) message(cmd *cobra.Command, id string, now time.Time) (*hubward.Message, error) {
	m := &hubward.Message{
		MessageID: s.messageID, CorrelationID: s.correlate, ContentType: s.mime, Ack: hubward.Ack(s.ack), Body: []byte(s.body),
	}
	switch {
	case hubward.ValidateID(id) != nil:
		return nil, usagef(cmd, "%q is no device id", id)
	case !cmd.Flags().Changed("body"):
		return nil, usagef(cmd, "give the message: --body TEXT")
	case s.ack != "" && !slices.Contains([]hubward.Ack{hubward.AckNone, hubward.AckPositive, hubward.AckNegative, hubward.AckFull}, m.Ack):
		return nil, usagef(cmd, "--ack %q is not none, positive, negative or full", s.ack)
	case s.wait && s.ack != "" && m.Ack != hubward.AckFull:
		return nil, usagef(cmd, "--wait needs --ack full: of other outcomes it would never hear")
	}
	if s.wait {
		m.Ack = hubward.AckFull
	}
	if m.MessageID == "" {
		m.MessageID = rand.Text()
	}
	for _, p := range s.properties {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, usagef(cmd, "--property %q is not NAME=VALUE", p)
		}
		m.Properties = append(m.Properties, hubward.Property{Name: name, Value: value})
	}
	var err error
	if m.Expiry, err = parseExpiry(s.expiry, now); err != nil {
		return nil, usagef(cmd, "%s", err)
	}
	return m, nil
}

// parseExpiry reads a duration from now or a time; zero for "".
func parseExpiry(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := hubward.ParseDuration(text); err == nil && d > 0 {
		return now.Add(d), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, fmt.Errorf("--expiry %q is not a duration such as 10m or a time like 2026-01-31T08:00:00Z", text)
	}
	return t, nil
}

func (s *c2dSend) run(ctx context.Context, c *service.Client, id string, m *hubward.Message) error {
	if err := c.SendC2D(ctx, id, m); err != nil {
		return err
	}
	if !s.wait {
		if s.out.json {
			return writeJSON(s.env.Stdout, map[string]string{"messageId": m.MessageID})
		}
		_, err := fmt.Fprintln(s.env.Stdout, m.MessageID)
		return err
	}
	f, err := waitFeedback(ctx, c, id, m.MessageID)
	if err != nil {
		return err
	}
	if err := printFeedback(s.env, s.out, f); err != nil {
		return err
	}
	if f.StatusCode != hubward.FeedbackSuccess {
		return fmt.Errorf("the device has not completed message %s: %s", m.MessageID, f.StatusCode)
	}
	return nil
}

// feedbackPoll is the pause between two looks for feedback.
const feedbackPoll = 500 * time.Millisecond

// waitFeedback waits for the outcome of one message. What tells of other messages it gives back at the end, for those who
// wait for them: not before, since it would get it again at once, and the hub counts how often that happens.
func waitFeedback(ctx context.Context, c *service.Client, device, messageID string) (f *hubward.Feedback, err error) {
	var others []string // lock tokens
	defer func() {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), feedbackGrace)
		defer cancel()
		for _, token := range others {
			c.AbandonFeedback(after, token) // if it fails, the lock's end gives it back
		}
	}()
	tick := time.NewTicker(feedbackPoll)
	defer tick.Stop()
	for {
		batch, err := c.ReceiveFeedback(ctx)
		switch {
		case ctx.Err() != nil:
			return nil, errors.New("interrupted before the hub told what became of the message")
		case err != nil:
			return nil, err
		case batch == nil:
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
			continue
		}
		i := slices.IndexFunc(batch.Records, func(f hubward.Feedback) bool {
			return f.OriginalMessageID == messageID && f.DeviceID == device
		})
		switch {
		case i < 0:
			others = append(others, batch.LockToken)
			continue
		case len(batch.Records) > 1:
			others = append(others, batch.LockToken)
		default:
			err = c.CompleteFeedback(ctx, batch.LockToken)
		}
		return &batch.Records[i], err
	}
}

// feedbackGrace bounds giving feedback back after the end.
const feedbackGrace = 5 * time.Second

func newC2DPurgeCommand(env Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "purge ID", Short: "Empty the queue of a device", Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		Long: "Remove all messages for a device, also those that it has got and not completed, and print how many there were.",
	}
	login, out := addLoginFlags(cmd), addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withClient(env, login, func(c *service.Client) error {
			n, err := c.PurgeC2D(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if out.json {
				return writeJSON(env.Stdout, map[string]any{"deviceId": args[0], "totalMessagesPurged": n})
			}
			_, err = fmt.Fprintf(env.Stdout, "purged %d messages to device %s\n", n, printable(args[0]))
			return err
		})
	}
	return cmd
}
