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

	certificate clientCertificateFlags

	id   hubward.Identity // of the client, for errors
	host string

	byCertificate bool
}

func addDeviceFlags(cmd *cobra.Command, protocol device.Protocol) *deviceFlags {
	f := &deviceFlags{login: addLoginFlags(cmd), protocol: protocolFlag(protocol)}
	flags := cmd.Flags()
	flags.Var(&f.protocol, "protocol", "mqtt, mqtt-ws, amqp, amqp-ws or https")
	flags.StringVar(&f.mqtts, "mqtts", "", "`address` of the hub's MQTT listener (default: the login's host, port 8883)")
	flags.StringVar(&f.amqps, "amqps", "", "`address` of the hub's AMQP listener (default: the login's host, port 5671)")
	f.certificate.add(cmd)
	return f
}

// check returns what is wrong with the command line, or nil.
func (f *deviceFlags) check(cmd *cobra.Command) error {
	for name, address := range map[string]string{"mqtts": f.mqtts, "amqps": f.amqps} {
		if _, _, err := net.SplitHostPort(address); address != "" && err != nil {
			return usagef(cmd, "--%s %q is no address like 127.0.0.1:8883", name, address)
		}
	}
	return f.certificate.check(cmd)
}

// client returns a client of the identity. It is not connected. options are completed.
func (f *deviceFlags) client(ctx context.Context, env Env, id hubward.Identity, options *device.Options) (*device.Client, error) {
	cs, err := f.connectionString(ctx, env, id)
	if err != nil {
		return nil, err
	}
	f.id, f.host, f.byCertificate = id, cs.HostName, cs.X509
	if cs.X509 {
		if err := f.certificate.use(id, options); err != nil {
			return nil, err
		}
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
	return device.NewFromConnectionString(cs.String(), options)
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
	case e.Code == hubward.CodeUnauthorizedAccess && f.byCertificate:
		return fmt.Errorf("%s cannot log in at %s by %s: %w: hubward %s tells what the hub knows", named(f.id), listener, protocol, err, showing(f.id))
	case e.Code == hubward.CodeUnauthorizedAccess:
		return fmt.Errorf("%s cannot log in at %s by %s: %w", named(f.id), listener, protocol, err)
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

// named says who id is.
func named(id hubward.Identity) string {
	if id.Module != "" {
		return "module " + id.Module + " of device " + id.Device
	}
	return "device " + id.Device
}

// showing is the command that shows id.
func showing(id hubward.Identity) string {
	if id.Module != "" {
		return "module show " + id.Device + " " + id.Module
	}
	return "device show " + id.Device
}

// connectionString returns the login if it is that of the identity, else asks the hub for the identity's key, unless a certificate
// takes its place.
func (f *deviceFlags) connectionString(ctx context.Context, env Env, id hubward.Identity) (sas.ConnectionString, error) {
	text, err := f.login.connectionString(env)
	if err != nil {
		return sas.ConnectionString{}, err
	}
	login, err := sas.ParseConnectionString(text)
	switch whose := (hubward.Identity{Device: login.DeviceID, Module: login.ModuleID}); {
	case err != nil:
		return sas.ConnectionString{}, f.login.invalid(err)
	case whose == id && f.certificate.wanted():
		login.X509, login.SharedAccessKey, login.SharedAccessSignature, login.SharedAccessKeyName = true, "", "", ""
		return login, nil
	case whose == id:
		return login, nil
	case login.DeviceID != "":
		return sas.ConnectionString{}, fmt.Errorf("the login is that of %s, not of %s", named(whose), id)
	}
	own := sas.ConnectionString{HostName: login.HostName, DeviceID: id.Device, ModuleID: id.Module, X509: f.certificate.wanted()}
	switch device.Protocol(f.protocol) {
	case device.MQTT, device.AMQP:
		own.HostName = sas.TrimPort(login.HostName) // they are not at the login's port
	}
	if own.X509 {
		return own, nil
	}
	err = withClient(env, f.login, func(c *service.Client) error {
		own.SharedAccessKey, err = lookUpKey(ctx, c, id)
		return err
	})
	return own, err
}

// lookUpKey asks the hub for the primary key of an identity.
func lookUpKey(ctx context.Context, c *service.Client, id hubward.Identity) (string, error) {
	d, err := c.Device(ctx, id.Device)
	if err != nil {
		return "", err
	}
	if d.Status == hubward.StatusDisabled {
		return "", fmt.Errorf("device %s is disabled, no log-in of it is accepted: hubward device update %s --status enabled", id.Device, id.Device)
	}
	auth := d.Authentication
	key := func() (string, error) { return deviceKey(d, "primary") }
	if id.Module != "" {
		m, err := c.Module(ctx, id.Device, id.Module)
		if err != nil {
			return "", err
		}
		auth, key = m.Authentication, func() (string, error) { return moduleKey(m, "primary") }
	}
	if auth != nil && (auth.Type == hubward.AuthSelfSigned || auth.Type == hubward.AuthCertificate) {
		return "", fmt.Errorf("%s logs in by certificate: give --certificate FILE --key FILE, or --x509 for the files that device create --x509 has made", named(id))
	}
	return key()
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
