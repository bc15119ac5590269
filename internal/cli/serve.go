package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward/internal/app"
	"github.com/hubward/hubward/internal/config"
	"github.com/hubward/hubward/internal/gctuner"
)

const serveHelp = `Serve runs a hub until it is told to stop, and keeps everything in the data folder.

It prints one line per listener, then "ready". In the data folder it leaves tls/ca.pem, which clients have to trust, and
connection-strings.env, which the other commands read and which a shell can source.

Every flag can be set by an environment variable, HUBWARD_ and the flag's name in capitals (HUBWARD_MQTTS), and in the
TOML file that --config names; flags win over the environment, which wins over the file. In the file, listeners are in
the table [listen], certificates in [tls], logs in [log].

SIGTERM and Ctrl-C drain: calls in flight finish within 10 seconds. SIGHUP reads certificates and configuration again.`

func newServeCommand(env Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve [flags]",
		Short: "Run a hub",
		Long:  serveHelp,
		Args:  cobra.NoArgs,
	}
	file := cmd.Flags().String("config", "", "TOML file with the options below (HUBWARD_CONFIG)")
	var flags []*optionFlag
	for _, o := range config.Options() {
		f := &optionFlag{option: o}
		flags = append(flags, f)
		cmd.Flags().Var(f, o.Flag, o.Usage)
	}
	cmd.Flags().SortFlags = false
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		load := func() (config.Config, error) {
			return config.Load(config.Source{File: *file, Getenv: env.Getenv, Flags: given(flags)})
		}
		cfg, err := load()
		if err != nil {
			err = usagef(cmd, "%w", err)
		} else {
			err = endWithin(cmd.Context(), stopTimeout, func() error { return serve(cmd.Context(), env, cfg, load) })
		}
		if err != nil && cfg.Log.Format == jsonFormat {
			err = &loggedError{err}
		}
		return err
	}
	return cmd
}

// optionFlag is the flag of one option. It keeps texts: package config reads them together with the other sources.
type optionFlag struct {
	option config.Option
	values []string // as given; nil: the flag is absent
}

// Set takes one value. Of a flag that is no list, the last one counts.
func (f *optionFlag) Set(value string) error {
	if !f.option.Repeatable {
		f.values = nil
	}
	f.values = append(f.values, value)
	return nil
}

// String is what the help page shows as the default.
func (f *optionFlag) String() string { return strings.Join(f.option.Default(), ",") }

// Type is what the help page calls the value.
func (f *optionFlag) Type() string { return f.option.Value }

func given(flags []*optionFlag) map[string][]string {
	values := map[string][]string{}
	for _, f := range flags {
		if f.values != nil {
			values[f.option.Flag] = f.values
		}
	}
	return values
}

// heapGrowth is by how many percent the heap may grow between collections, unless GOGC says otherwise. A hub is mostly
// idle connections: half of Go's default saves a tenth of their memory, and the telemetry path, which does not
// allocate, does not notice (docs/performance.md). Requests over HTTPS do: a small heap may grow by leastHeapGrowth bytes.
const (
	heapGrowth      = 50
	leastHeapGrowth = 64 << 20
)

// stopTimeout bounds the time from the signal to the end: a drain, and as long again for engines to close. What takes longer
// hangs, as calls to a disk that has gone do.
const stopTimeout = 30 * time.Second

// endWithin runs work, and gives it up when it is still there at a time after ctx has ended.
func endWithin(ctx context.Context, most time.Duration, work func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- work() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	timeout := time.NewTimer(most)
	defer timeout.Stop()
	select {
	case err := <-ended:
		return err
	case <-timeout.C:
		return fmt.Errorf("the hub hung while it stopped and was cut off after %s: look at the disk of its data folder; what was acknowledged is there", most)
	}
}

// serve runs a hub until ctx ends or the hub fails.
func serve(ctx context.Context, env Env, cfg config.Config, reload func() (config.Config, error)) error {
	if env.Getenv("GOGC") == "" {
		defer gctuner.Start(heapGrowth, leastHeapGrowth)()
	}
	// Before anything else: a SIGHUP that comes early must not end the process.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	// Nor may the end of what reads the output, by which Go's runtime ends a process: for the rest of its life, since the
	// error that ends serve is printed after this.
	signal.Ignore(syscall.SIGPIPE)
	stdout, stderr := newLossyWriter(env.Stdout), newLossyWriter(env.Stderr)
	defer stdout.close()
	defer stderr.close()
	a, err := app.Open(ctx, cfg, app.Options{
		Version: buildInfo().Version, LogTo: stderr, Reconfigure: reload,
		OnReady: func(listeners []app.Listener) { announce(stdout, cfg, listeners) },
	})
	if err != nil {
		return err
	}
	defer takeStandardLog(a.Logger())()
	reloads, stopReloads := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { reloadOn(reloads, hangups, a) })
	err = a.Run(ctx)
	stopReloads()
	wg.Wait()
	return err
}

// reloadOn reloads a at each signal until ctx ends.
func reloadOn(ctx context.Context, hangups <-chan os.Signal, a *app.App) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			if err := a.Reload(ctx); err != nil {
				a.Logger().Error("reload failed: what could not be read stays as it was", "error", oneLine(err.Error()))
			}
		}
	}
}

// announce tells people and scripts that the hub can be used, and where. "ready" is the last line.
func announce(stdout io.Writer, cfg config.Config, listeners []app.Listener) {
	fmt.Fprintf(stdout, "data   %s\n", cfg.Data)
	fmt.Fprintf(stdout, "keys   %s\n", filepath.Join(cfg.Data, "connection-strings.env"))
	for _, l := range listeners {
		fmt.Fprintf(stdout, "%-6s %s\n", l.Name, l.Address)
	}
	fmt.Fprintln(stdout, "ready")
}
