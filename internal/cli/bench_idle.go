package cli

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/bench"
	"github.com/hubward/hubward/internal/loopback"
	"github.com/hubward/hubward/sas"
	"github.com/hubward/hubward/service"
)

// benchIdleFlags are the flags of bench idle.
type benchIdleFlags struct {
	benchTarget
	protocol protocolFlag
	address  string
	duration time.Duration
}

func newBenchIdleCommand(env Env) *cobra.Command {
	f := &benchIdleFlags{protocol: protocolFlag(device.MQTT)}
	cmd := &cobra.Command{
		Use:   "idle --pid PID [--devices N] [--protocol P] [--duration D]",
		Short: "Measure what an idle connection costs a server in memory",
		Long: `Register devices, connect them over TLS, hold the connections, and report by how much the memory of the server on this
machine has grown for each. Over HTTPS, where there are none, each device sends a message and keeps its connection. The
devices are deleted at the end.`,
		Args: cobra.NoArgs, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, env) },
	}
	f.addFlags(cmd, 100)
	f.addFloorFlag(cmd)
	flags := cmd.Flags()
	flags.Var(&f.protocol, "protocol", "mqtt, mqtt-ws, amqp, amqp-ws or https")
	flags.StringVar(&f.address, "address", "", "`address` of the listener of other protocols than MQTT (default: the login's host, port 5671 or 443)")
	flags.DurationVar(&f.duration, "duration", 10*time.Second, "how long to hold the connections")
	return cmd
}

func (f *benchIdleFlags) run(cmd *cobra.Command, env Env) error {
	protocol := device.Protocol(f.protocol)
	switch {
	case f.pid == 0:
		return usagef(cmd, "--pid is missing")
	case f.floor != "" && protocol != device.MQTT:
		return usagef(cmd, "a floor speaks MQTT alone")
	}
	if err := f.validate(cmd); err != nil {
		return err
	}
	ctx := cmd.Context()
	return f.use(ctx, env, func(_ *service.Client, o bench.Options) error {
		o.Duration = f.duration
		memory := bench.ProcessMemory(f.pid)
		var result *bench.IdleResult
		var err error
		if protocol == device.MQTT {
			result, err = bench.Idle(ctx, o, memory)
		} else {
			result, err = bench.IdleBy(ctx, o, memory, func(ctx context.Context) (func(), error) { return f.open(ctx, &o) })
		}
		if err != nil {
			return f.explain(ctx, o, err)
		}
		if f.output.json {
			return writeJSON(env.Stdout, result)
		}
		return writeFields(env.Stdout, []field{
			{"connections", fmt.Sprint(result.Connections)},
			{"server memory", fmt.Sprintf("%d KiB before, %d KiB after", result.Before>>10, result.After>>10)},
			{"per connection", fmt.Sprintf("%.2f KiB", result.KiBPerConnection)},
		})
	})
}

// open connects the devices by the SDK, a few at a time.
func (f *benchIdleFlags) open(ctx context.Context, o *bench.Options) (closeAll func(), err error) {
	clients := make([]*device.Client, len(o.Devices))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(benchDials)
	for i := range o.Devices {
		group.Go(func() error {
			c, err := f.client(o, &o.Devices[i])
			if err != nil {
				return err
			}
			clients[i] = c
			if err := c.Connect(gctx); err != nil || device.Protocol(f.protocol) != device.HTTPS {
				return err
			}
			return c.SendTelemetry(gctx, &hubward.Message{Body: []byte("idle")})
		})
	}
	closeAll = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		var group errgroup.Group
		group.SetLimit(benchDials)
		for _, c := range clients {
			if c != nil {
				group.Go(func() error { return c.Close(ctx) })
			}
		}
		_ = group.Wait() // the process ends
	}
	if err := group.Wait(); err != nil {
		closeAll()
		return nil, err
	}
	return closeAll, nil
}

func (f *benchIdleFlags) client(o *bench.Options, d *bench.Device) (*device.Client, error) {
	cs := sas.ConnectionString{HostName: o.HostName, DeviceID: d.ID, SharedAccessKey: d.Key}
	options := &device.Options{Protocol: device.Protocol(f.protocol), CA: o.TLS.RootCAs}
	if f.address != "" {
		options.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(loopback.Dialer).DialContext(ctx, network, f.address)
		}
	}
	return device.NewFromConnectionString(cs.String(), options)
}
