package cli

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/bench"
	"github.com/hubward/hubward/sas"
	"github.com/hubward/hubward/service"
)

func newBenchCommand(env Env) *cobra.Command {
	cmd := newGroup("bench", "Measure a hub under load", "")
	cmd.AddCommand(newBenchD2CCommand(env), newBenchTwinCommand(env), newBenchMethodCommand(env), newBenchIdleCommand(env), newBenchStormCommand(env), newBenchFloorCommand(env))
	return cmd
}

// benchTarget is what the measuring commands have in common: which hub, and how many devices.
type benchTarget struct {
	login   *loginFlags
	output  *outputFlag
	devices int
	pid     int
	mqtts   string
	floor   string
}

// addFlags gives cmd the flags, with a default for --devices.
func (t *benchTarget) addFlags(cmd *cobra.Command, devices int) {
	flags := cmd.Flags()
	flags.IntVar(&t.devices, "devices", devices, "devices, 1 to 10000")
	flags.IntVar(&t.pid, "pid", 0, "process id of the server, if it runs on this machine")
	flags.StringVar(&t.mqtts, "mqtts", "", "`address` of the hub's MQTT listener (default: the login's host, port 8883)")
	t.login, t.output = addLoginFlags(cmd), addOutputFlag(cmd)
}

// addFloorFlag gives cmd the flag to measure a floor.
func (t *benchTarget) addFloorFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.floor, "floor", "", "`address` of a bench floor: measure it instead of a hub")
}

func (t *benchTarget) validate(cmd *cobra.Command) error {
	if t.devices < 1 || t.devices > 10_000 {
		return usagef(cmd, "--devices is 1 to 10000, not %d", t.devices)
	}
	return nil
}

// use registers the devices, calls run with options that lead to them, and deletes them again. The client is nil when
// the target is a floor, which knows no devices.
func (t *benchTarget) use(ctx context.Context, env Env, run func(*service.Client, bench.Options) error) error {
	id := make([]byte, 4)
	if _, err := rand.Read(id); err != nil {
		return err
	}
	o := bench.Options{RunID: hex.EncodeToString(id)}
	if t.floor != "" {
		o.Address, o.HostName = t.floor, "localhost"
		o.TLS = &tls.Config{InsecureSkipVerify: true} // a floor has a certificate of the moment
		if t.login.ca != "" {
			pool, err := t.login.pool(env)
			if err != nil {
				return err
			}
			o.TLS = &tls.Config{RootCAs: pool, ServerName: o.HostName} // it was given one
		}
		o.Devices = benchDevices(t.devices, o.RunID)
		return run(nil, o)
	}
	client, err := t.login.service(env)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := t.locate(env, &o); err != nil {
		return err
	}
	o.Devices = benchDevices(t.devices, o.RunID)
	defer deleteBenchDevices(context.WithoutCancel(ctx), client, o.Devices)
	if err := createBenchDevices(ctx, client, o.Devices); err != nil {
		return t.login.failed(env, client, err)
	}
	return run(client, o)
}

// explain says of an error of a run whether it was interrupted, or what to do when the listener cannot be reached.
func (t *benchTarget) explain(ctx context.Context, o bench.Options, err error) error {
	var dial *net.OpError
	var certificate *tls.CertificateVerificationError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w while measuring: there is nothing to report", errInterrupted)
	case t.floor != "" && errors.As(err, &dial):
		return explainDial(o.Address, "--floor", err)
	case errors.As(err, &dial) && dial.Op == "dial", errors.As(err, &certificate):
		return explainDial(o.Address, "--mqtts", err)
	}
	return err
}

// cpu is what tells the CPU time of the server of --pid, nil without one.
func (t *benchTarget) cpu() (func() (time.Duration, error), error) {
	if t.pid == 0 {
		return nil, nil
	}
	used := bench.ProcessCPU(t.pid)
	if _, err := used(); err != nil {
		return nil, fmt.Errorf("--pid: %w", err)
	}
	return used, nil
}

// locate fills in where the hub's MQTT listener is and whom to trust.
func (t *benchTarget) locate(env Env, o *bench.Options) error {
	host, err := t.login.host(env)
	if err != nil {
		return err
	}
	pool, err := t.login.pool(env)
	if err != nil {
		return err
	}
	o.HostName = sas.TrimPort(host)
	o.TLS = &tls.Config{RootCAs: pool, ServerName: o.HostName}
	if o.Address = t.mqtts; o.Address == "" {
		o.Address = net.JoinHostPort(o.HostName, "8883")
	}
	return nil
}

// benchDevices makes devices with keys of their own.
func benchDevices(n int, run string) []bench.Device {
	devices := make([]bench.Device, n)
	for i := range devices {
		key := make([]byte, 32)
		rand.Read(key)
		devices[i] = bench.Device{ID: fmt.Sprintf("bench-%s-%05d", run, i), Key: base64.StdEncoding.EncodeToString(key)}
	}
	return devices
}

// benchBulk is how many devices one bulk call makes or deletes.
const benchBulk = 100

func createBenchDevices(ctx context.Context, client *service.Client, devices []bench.Device) error {
	items := make([]service.BulkItem, len(devices))
	for i, d := range devices {
		key := hubward.NullString(d.Key)
		items[i] = service.BulkItem{Mode: service.Create, Device: hubward.Device{
			DeviceID: d.ID, Status: hubward.StatusEnabled,
			Authentication: &hubward.Authentication{Type: hubward.AuthSAS, SymmetricKey: hubward.SymmetricKey{PrimaryKey: key, SecondaryKey: key}},
		}}
	}
	return benchBulkCalls(ctx, client, items)
}

func deleteBenchDevices(ctx context.Context, client *service.Client, devices []bench.Device) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	items := make([]service.BulkItem, len(devices))
	for i, d := range devices {
		items[i] = service.BulkItem{Mode: service.Delete, Device: hubward.Device{DeviceID: d.ID}}
	}
	_ = benchBulkCalls(ctx, client, items) // they do no harm if they stay
}

func benchBulkCalls(ctx context.Context, client *service.Client, items []service.BulkItem) error {
	for len(items) > 0 {
		n := min(benchBulk, len(items))
		result, err := client.BulkDevices(ctx, items[:n])
		if err != nil {
			return err
		}
		if len(result.Errors) > 0 {
			return fmt.Errorf("device %s: %s", result.Errors[0].DeviceID, result.Errors[0].ErrorStatus)
		}
		items = items[n:]
	}
	return nil
}
