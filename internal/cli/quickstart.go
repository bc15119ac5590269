package cli

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/app"
	"github.com/hubward/hubward/internal/config"
	"github.com/hubward/hubward/internal/loopback"
	"github.com/hubward/hubward/sas"
	"github.com/hubward/hubward/service"
)

// quickstartDevice is the device of the first tutorial.
const quickstartDevice = "MyFirstDevice"

// commandAfter is how many events are shown before the device gets a message, unless fewer are to be shown.
const commandAfter = 3

// quickstartWait bounds each step that does not depend on the user.
const quickstartWait = 30 * time.Second

type quickstartFlags struct {
	data      string
	exitAfter int
	interval  time.Duration
}

func newQuickstartCommand(env Env) *cobra.Command {
	var f quickstartFlags
	cmd := &cobra.Command{
		Use:   "quickstart [--data DIR] [--exit-after N]",
		Short: "Run a hub, a device and a back end, and watch telemetry and messages arrive",
		Long: "Run a hub on free ports of this machine, register " + quickstartDevice + ", send wind speeds as that device over\n" +
			"MQTT and TLS, and print what a reader of the hub sees, until Ctrl-C or for N events. After the first events a\n" +
			"message goes the other way: to the device, which completes it, and the hub tells the sender. Without --data\n" +
			"everything is in a scratch folder that is removed at the end.",
		Args: cobra.NoArgs, DisableFlagsInUseLine: true,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", "", "`folder` to keep the hub's data in")
	flags.IntVar(&f.exitAfter, "exit-after", 0, "end after that many events (0: on Ctrl-C)")
	flags.DurationVar(&f.interval, "interval", time.Second, "time between messages")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if f.exitAfter < 0 {
			return usagef(cmd, "--exit-after %d is negative", f.exitAfter)
		}
		if f.interval <= 0 {
			return usagef(cmd, "--interval %v is not positive", f.interval)
		}
		return f.run(cmd.Context(), env)
	}
	return cmd
}

// run makes the scratch folder, if one is needed, and runs hub and tour side by side: the end of either ends the other.
func (f *quickstartFlags) run(ctx context.Context, env Env) (err error) {
	folder := f.data
	if folder == "" {
		if folder, err = os.MkdirTemp("", "hubward-quickstart-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	}
	cfg := config.Default()
	cfg.Data, cfg.Log.Level = folder, "warn"
	cfg.Listen = config.Listen{MQTTS: "127.0.0.1:0", HTTPS: "127.0.0.1:0", Admin: "127.0.0.1:0"}
	ready := make(chan []app.Listener, 1)
	a, err := app.Open(ctx, cfg, app.Options{
		Version: buildInfo().Version, LogTo: env.Stderr, OnReady: func(l []app.Listener) { ready <- l },
	})
	if err != nil {
		return err
	}
	hubCtx, stopHub := context.WithCancel(context.WithoutCancel(ctx)) // the tour ends first
	defer stopHub()
	tourCtx, stopTour := context.WithCancel(ctx)
	defer stopTour()
	var hub sync.WaitGroup
	var hubErr error
	hub.Go(func() {
		defer stopTour()
		hubErr = a.Run(hubCtx)
	})
	var tourErr error
	select {
	case listeners := <-ready:
		t := &tour{env: env, flags: f, folder: folder, caFile: a.CAFile(), listeners: listeners}
		tourErr = t.run(tourCtx)
	case <-tourCtx.Done():
	}
	stopHub()
	hub.Wait()
	return errors.Join(hubErr, tourErr)
}

// tour is what quickstart shows of a running hub.
type tour struct {
	env       Env
	flags     *quickstartFlags
	folder    string
	caFile    string
	listeners []app.Listener

	pool   *x509.CertPool
	client *service.Client
}

func (t *tour) run(ctx context.Context) error {
	if err := t.login(); err != nil {
		return err
	}
	defer t.client.Close()
	registered, err := t.register(ctx)
	if err != nil {
		return err
	}
	t.introduce()
	sender, err := t.connect(ctx, registered)
	if err != nil {
		return err
	}
	sending, stop := context.WithCancel(ctx)
	var sent error
	var wg sync.WaitGroup
	since := time.Now().Truncate(time.Millisecond) // the log's precision
	wg.Go(func() { sent = t.send(sending, sender) })
	seen, err := t.watch(sending, sender, since)
	stop()
	wg.Wait()
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), quickstartWait)
	defer cancel()
	err = errors.Join(err, sent, sender.Close(bounded))
	if err == nil {
		t.conclude(seen)
	}
	return err
}

// login makes the service client from what the hub left in its folder, as a user's program would, except that the
// ports are not the usual ones.
func (t *tour) login() error {
	values, err := readEnvFile(filepath.Join(t.folder, connectionFile))
	if err != nil {
		return err
	}
	cs, err := sas.ParseConnectionString(values[envConnectionString])
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(t.address("https"))
	if err != nil {
		return err
	}
	cs.HostName = net.JoinHostPort("localhost", port) // whatever the hub of an older folder is called
	pem, err := os.ReadFile(t.caFile)
	if err != nil {
		return err
	}
	t.pool = x509.NewCertPool()
	t.pool.AppendCertsFromPEM(pem)
	t.client, err = service.NewFromConnectionString(cs.String(), &service.Options{RootCAs: t.pool, UserAgent: "hubward-quickstart"})
	return err
}

func (t *tour) address(name string) string {
	for _, l := range t.listeners {
		if l.Name == name {
			return l.Address
		}
	}
	return ""
}

// register creates the device with keys that the hub makes; in a folder that was used before, it is there already.
func (t *tour) register(ctx context.Context) (*hubward.Device, error) {
	ctx, cancel := context.WithTimeout(ctx, quickstartWait)
	defer cancel()
	d, err := t.client.CreateDevice(ctx, hubward.Device{DeviceID: quickstartDevice})
	if hubward.CodeOf(err) == hubward.CodeDeviceAlreadyExists {
		return t.client.Device(ctx, quickstartDevice)
	}
	return d, err
}

func (t *tour) introduce() {
	place := t.folder
	if t.flags.data == "" {
		place += " (removed at the end)"
	}
	fmt.Fprintf(t.env.Stdout, "hub     runs on this machine: mqtts %s, https %s\n", t.address("mqtts"), t.address("https"))
	fmt.Fprintf(t.env.Stdout, "data    %s\n", place)
	fmt.Fprintf(t.env.Stdout, "device  %s is registered, with keys that the hub made\n\n", quickstartDevice)
	fmt.Fprintf(t.env.Stdout, "%s sends wind speeds over MQTT and TLS. A reader of the hub sees (Ctrl-C ends it):\n\n", quickstartDevice)
}

// connect connects the device through the public SDK.
func (t *tour) connect(ctx context.Context, d *hubward.Device) (*device.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, quickstartWait)
	defer cancel()
	key, err := deviceKey(d, "primary")
	if err != nil {
		return nil, err
	}
	cs := sas.ConnectionString{HostName: sas.TrimPort(t.client.HostName()), DeviceID: d.DeviceID, SharedAccessKey: key}
	c, err := device.NewFromConnectionString(cs.String(), &device.Options{
		CA: t.pool, Product: "hubward-quickstart",
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(loopback.Dialer).DialContext(ctx, network, t.address("mqtts"))
		},
	})
	if err != nil {
		return nil, err
	}
	return c, c.Connect(ctx)
}

// send sends one message after another until ctx ends. Each is on the hub's disk before the next is made.
func (t *tour) send(ctx context.Context, c *device.Client) error {
	tick := time.NewTicker(t.flags.interval)
	defer tick.Stop()
	for n := 0; ; n++ {
		m, err := windSpeedMessage(quickstartDevice, "quickstart", n)
		if err != nil {
			return err
		}
		if err := c.SendTelemetry(ctx, m); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// watch prints events until there are enough of them or ctx ends. After some it sends the device a message.
func (t *tour) watch(ctx context.Context, c *device.Client, since time.Time) (seen int, err error) {
	printer := &monitor{env: t.env, style: styleFor(t.env)}
	for e, err := range t.client.Events(ctx, service.EventsOptions{DeviceID: quickstartDevice, From: since}) {
		if err != nil && ctx.Err() != nil {
			return seen, cutShort(seen, t.flags.exitAfter, "events")
		}
		if err != nil {
			return seen, err
		}
		if err := printer.print(e); err != nil {
			return seen, err
		}
		seen++
		if seen == cmp.Or(min(t.flags.exitAfter, commandAfter), commandAfter) {
			if err := t.command(ctx, c); err != nil {
				return seen, err
			}
		}
		if seen == t.flags.exitAfter {
			break
		}
		if seen == commandAfter {
			fmt.Fprintln(t.env.Stdout) // telemetry goes on
		}
	}
	return seen, nil
}

func (t *tour) conclude(seen int) {
	fmt.Fprintf(t.env.Stdout, "\n%d events, each on disk before the device was told so.\n", seen)
	fmt.Fprintf(t.env.Stdout, "Next: run \"hubward serve\" and point your SDK at it with HostName=localhost.\n")
}
