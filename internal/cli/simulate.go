package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward/device"
)

const (
	// simulateWindow bounds the messages that are sent and not acknowledged.
	simulateWindow = 100
	// simulateGrace is how long an ending simulation waits for acknowledgements.
	simulateGrace = 10 * time.Second
	// The status line is renewed this often on a terminal, and printed this often elsewhere.
	statusOnTerminal = 200 * time.Millisecond
	statusElsewhere  = 5 * time.Second
)

// simulateFlags are the flags of simulate.
type simulateFlags struct {
	device   *deviceFlags
	output   *outputFlag
	module   string
	count    int
	interval time.Duration
}

func newSimulateCommand(env Env) *cobra.Command {
	f := &simulateFlags{}
	cmd := &cobra.Command{
		Use:   "simulate ID [--module ID] [--count N] [--interval D] [--protocol mqtt|mqtt-ws|amqp|amqp-ws|https] [--x509 | --certificate FILE --key FILE]",
		Short: "Send wind-speed telemetry as a device",
		Long: "Send wind-speed telemetry as a registered device, over MQTT and TLS unless told otherwise, until Ctrl-C or for\nN messages. " +
			"A message counts as acknowledged when the hub has stored it. The login may be that of a policy, which\n" +
			"looks up the device's key, or the device's own connection string. By certificate only its host name counts:\n" +
			"--x509 takes the files that device create --x509 has made here, --certificate and --key name others; they are read\n" +
			"before each connection, so they can be renewed meanwhile. A module is --module ID, or DEVICE/MODULE in place of ID.\n\n" +
			"The device also answers the direct methods setInterval, with a payload of seconds, and reboot, and keeps a\n" +
			"twin: it reports its firmware, and takes a desired interval, in seconds. Over HTTPS there are neither.",
		Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, env, args[0]) },
	}
	flags := cmd.Flags()
	flags.IntVar(&f.count, "count", 0, "messages to send (0: until Ctrl-C)")
	flags.DurationVar(&f.interval, "interval", time.Second, "time between messages (0: as fast as the hub acknowledges)")
	f.device, f.output = addDeviceFlags(cmd, device.MQTT), addOutputFlag(cmd)
	addModuleFlag(cmd, &f.module)
	return cmd
}

// check returns what is wrong with the command line, or nil.
func (f *simulateFlags) check(cmd *cobra.Command) error {
	switch {
	case f.count < 0:
		return usagef(cmd, "--count %d is negative", f.count)
	case f.interval < 0:
		return usagef(cmd, "--interval %v is negative", f.interval)
	}
	return f.device.check(cmd)
}

func (f *simulateFlags) run(cmd *cobra.Command, env Env, name string) error {
	if err := f.check(cmd); err != nil {
		return err
	}
	id, err := identityOf(cmd, name, f.module)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	s, err := newSimulation(env, f, id.Device)
	if err != nil {
		return err
	}
	client, err := f.device.client(ctx, env, id, &device.Options{MaxInFlight: simulateWindow, OnState: s.onState, Product: "hubward-simulate"})
	if err != nil {
		return err
	}
	return s.run(ctx, client)
}

// simulation is one run of a simulated device.
type simulation struct {
	// Set at the start, never changed after.
	env      Env
	flags    *deviceFlags
	device   string
	count    int
	initial  time.Duration // between messages
	json     bool
	id       string        // of the run; the correlation id of its messages
	terminal bool          // standard error is one
	repaced  chan struct{} // tells the sender that interval has changed

	mu           sync.Mutex // guards the fields below, and writing to standard error
	started      time.Time  // when the first message was sent
	finished     time.Time  // when the last one was acknowledged
	sent         int
	acknowledged int
	interval     time.Duration // between messages; 0: as fast as they are acknowledged
	desired      int64         // version of the desired properties that came last; 0: none
}

func newSimulation(env Env, f *simulateFlags, id string) (*simulation, error) {
	run := make([]byte, 4)
	if _, err := rand.Read(run); err != nil {
		return nil, err
	}
	return &simulation{env: env, flags: f.device, device: id, count: f.count, initial: f.interval, interval: f.interval, json: f.output.json,
		id: hex.EncodeToString(run), terminal: isTerminal(env.Stderr),
		repaced: make(chan struct{}, 1)}, nil
}

// run sends, waits for the acknowledgements and prints the outcome. The end of ctx is no failure.
func (s *simulation) run(ctx context.Context, client *device.Client) error {
	if err := s.behave(client); err != nil {
		return err
	}
	if err := s.flags.connect(ctx, client); err != nil {
		return err
	}
	s.introduce(ctx, client)
	stop := s.showStatus()
	err := s.send(ctx, client)
	closed := s.close(ctx, client)
	stop()
	if printed := s.printOutcome(); printed != nil {
		return printed
	}
	if ctx.Err() != nil {
		closed = cutShort(s.confirmed(), s.count, "acknowledged messages")
	}
	return cmp.Or(err, client.Err(), closed)
}

// close waits for the acknowledgements, and for methods under way, as long as it takes, until ctx ends; when it has ended, only for a while.
func (s *simulation) close(ctx context.Context, client *device.Client) error {
	if ctx.Err() == nil {
		return client.Drain(ctx)
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), simulateGrace)
	defer cancel()
	return client.Drain(grace)
}

// send sends the messages, in time. It returns nil when there are enough of them or ctx has ended.
func (s *simulation) send(ctx context.Context, client *device.Client) error {
	due := time.NewTimer(0)
	defer due.Stop()
	for n := 0; s.count == 0 || n < s.count; n++ {
		if !s.await(ctx, client, due) {
			return client.Err()
		}
		m, err := windSpeedMessage(s.device, s.id, n)
		if err != nil {
			return err
		}
		s.countSent(1)
		if err := client.SendTelemetryAsync(ctx, m, s.settled); err != nil {
			s.countSent(-1)
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
	return nil
}

func (s *simulation) countSent(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started.IsZero() {
		s.started = time.Now()
	}
	s.sent += n
}

// settled is told when a message is acknowledged, or given up because the client has ended.
func (s *simulation) settled(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.acknowledged++
		s.finished = time.Now()
	}
}

// confirmed is how many messages are acknowledged.
func (s *simulation) confirmed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acknowledged
}

// onState tells about a lost connection and the next one.
func (s *simulation) onState(state device.State, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.started.IsZero(): // a first Connect that fails is an error of the command
	case state == device.Disconnected:
		fmt.Fprintf(s.env.Stderr, "%shubward: connection lost, trying again: %s\n", s.clearLine(), oneLine(err.Error()))
	case state == device.Connected:
		fmt.Fprintf(s.env.Stderr, "%shubward: connected again\n", s.clearLine())
	}
}

// showStatus prints the status line from time to time until stop is called.
func (s *simulation) showStatus() (stop func()) {
	every := statusElsewhere
	if s.terminal {
		every = statusOnTerminal
	}
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.printStatus()
			case <-quit:
				return
			}
		}
	})
	return func() {
		close(quit)
		wg.Wait()
		if s.terminal {
			io.WriteString(s.env.Stderr, s.clearLine())
		}
	}
}

func (s *simulation) printStatus() {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := "\n"
	if s.terminal {
		end = ""
	}
	fmt.Fprintf(s.env.Stderr, "%s%s%s", s.clearLine(), s.summaryLocked(time.Now()), end)
}

// clearLine is what removes the status line from a terminal.
func (s *simulation) clearLine() string {
	if s.terminal {
		return "\r\x1b[K"
	}
	return ""
}

// printOutcome prints the last line, on standard output.
func (s *simulation) printOutcome() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.json {
		return writeJSON(s.env.Stdout, struct {
			Sent          int     `json:"sent"`
			Acknowledged  int     `json:"acknowledged"`
			RatePerSecond float64 `json:"ratePerSecond"`
		}{s.sent, s.acknowledged, math.Round(s.rateLocked(s.finished)*10) / 10})
	}
	_, err := fmt.Fprintln(s.env.Stdout, s.summaryLocked(s.finished))
	return err
}

func (s *simulation) summaryLocked(now time.Time) string {
	return fmt.Sprintf("sent %d, acknowledged %d, %.1f msg/s", s.sent, s.acknowledged, s.rateLocked(now))
}

// rateLocked is the number of acknowledged messages per second until now.
func (s *simulation) rateLocked(now time.Time) float64 {
	if took := now.Sub(s.started).Seconds(); s.acknowledged > 0 && took > 0 {
		return float64(s.acknowledged) / took
	}
	return 0
}
