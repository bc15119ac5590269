package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/loopback"
	"github.com/hubward/hubward/sas"
	"github.com/hubward/hubward/service"
)

// deviceFlags say how a command speaks to the hub as a device.
type deviceFlags struct {
	login    *loginFlags
	protocol protocolFlag
	mqtts    string
	amqps    string

	id, host string // of the client, for errors
}

func addDeviceFlags(cmd *cobra.Command, protocol device.Protocol) *deviceFlags {
	f := &deviceFlags{login: addLoginFlags(cmd), protocol: protocolFlag(protocol)}
	flags := cmd.Flags()
	flags.Var(&f.protocol, "protocol", "mqtt, mqtt-ws, amqp, amqp-ws or https")
	flags.StringVar(&f.mqtts, "mqtts", "", "`address` of the hub's MQTT listener (default: the login's host, port 8883)")
	flags.StringVar(&f.amqps, "amqps", "", "`address` of the hub's AMQP listener (default: the login's host, port 5671)")
	return f
}

// check returns what is wrong with the command line, or nil.
func (f *deviceFlags) check(cmd *cobra.Command, id string) error {
	if hubward.ValidateID(id) != nil {
		return usagef(cmd, "%q is no device id", id)
	}
	for name, address := range map[string]string{"mqtts": f.mqtts, "amqps": f.amqps} {
		if _, _, err := net.SplitHostPort(address); address != "" && err != nil {
			return usagef(cmd, "--%s %q is no address like 127.0.0.1:8883", name, address)
		}
	}
	return nil
}

// client returns a client of the device. It is not connected. options are completed.
func (f *deviceFlags) client(ctx context.Context, env Env, id string, options *device.Options) (*device.Client, error) {
	connectionString, err := f.connectionString(ctx, env, id)
	if err != nil {
		return nil, err
	}
	if cs, err := sas.ParseConnectionString(connectionString); err == nil {
		f.id, f.host = id, cs.HostName
	}
	options.Protocol = device.Protocol(f.protocol)
	if options.CA, err = f.login.pool(env); err != nil {
		return nil, err
	}
	if address := f.address(); address != "" {
		options.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(loopback.Dialer).DialContext(ctx, network, address)
		}
	}
	return device.NewFromConnectionString(connectionString, options)
}

// connect connects the client of the command line. An error says where to and by what, and what to do.
func (f *deviceFlags) connect(ctx context.Context, c *device.Client) error {
	err := c.Connect(ctx)
	var e *hubward.Error
	if !errors.As(err, &e) || ctx.Err() != nil {
		return err
	}
	protocol, listener := device.Protocol(f.protocol), f.listener()
	switch {
	case e.Code == hubward.CodeServiceUnavailable && e.Err != nil:
		flag := cmp.Or(listenerFlags[protocol], "HostName=HOST:PORT in --login")
		return explainDial(listener, flag, e.Err)
	case e.Code == hubward.CodeUnauthorizedAccess:
		return fmt.Errorf("device %s cannot log in at %s by %s: %w", f.id, listener, protocol, err)
	}
	return err
}

// listener is what is dialled.
func (f *deviceFlags) listener() string {
	if address := f.address(); address != "" {
		return address
	}
	if port := ports[device.Protocol(f.protocol)]; port != "" {
		return net.JoinHostPort(sas.TrimPort(f.host), port)
	}
	return f.host
}

// The listeners that have ports of their own, and the flags that name others.
var (
	ports         = map[device.Protocol]string{device.MQTT: "8883", device.AMQP: "5671"}
	listenerFlags = map[device.Protocol]string{device.MQTT: "--mqtts", device.AMQP: "--amqps"}
)

// address is what is dialled in place of the login's host, "" for nothing else.
func (f *deviceFlags) address() string {
	switch device.Protocol(f.protocol) {
	case device.MQTT:
		return f.mqtts
	case device.AMQP:
		return f.amqps
	}
	return ""
}

// connectionString returns the login if it is that of the device, else asks the hub for the device's key.
func (f *deviceFlags) connectionString(ctx context.Context, env Env, id string) (string, error) {
	text, err := f.login.connectionString(env)
	if err != nil {
		return "", err
	}
	login, err := sas.ParseConnectionString(text)
	if err != nil {
		return "", f.login.invalid(err)
	}
	if login.DeviceID == id {
		return text, nil
	}
	if login.DeviceID != "" {
		return "", fmt.Errorf("the login is that of device %s, not of %s", login.DeviceID, id)
	}
	own := sas.ConnectionString{HostName: login.HostName, DeviceID: id}
	switch device.Protocol(f.protocol) {
	case device.MQTT, device.AMQP:
		own.HostName = sas.TrimPort(login.HostName) // they are not at the login's port
	}
	err = withClient(env, f.login, func(c *service.Client) error {
		d, err := c.Device(ctx, id)
		if err != nil {
			return err
		}
		if d.Status == hubward.StatusDisabled {
			return fmt.Errorf("device %s is disabled, no log-in of it is accepted: hubward device update %s --status enabled", id, id)
		}
		own.SharedAccessKey, err = deviceKey(d, "primary")
		return err
	})
	return own.String(), err
}

// protocolFlag is a flag that names a protocol of devices.
type protocolFlag device.Protocol

// String, Set and Type make it a flag value.
func (p *protocolFlag) String() string { return device.Protocol(*p).String() }

// Set reads the flag.
func (p *protocolFlag) Set(text string) error {
	parsed, err := device.ParseProtocol(text)
	if err != nil {
		return errors.New("it is mqtt, mqtt-ws, amqp, amqp-ws or https")
	}
	*p = protocolFlag(parsed)
	return nil
}

// Type names the value in help texts.
func (p *protocolFlag) Type() string { return "protocol" }
