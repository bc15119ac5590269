package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/sas"
	"github.com/hubward/hubward/service"
)

// deviceCommands is what the commands below device share.
type deviceCommands struct {
	env   Env
	login *loginFlags
	out   *outputFlag
}

func newDeviceCommand(env Env) *cobra.Command {
	cmd := newGroup("device", "Manage the identity registry", "")
	d := &deviceCommands{env: env, login: addLoginFlags(cmd), out: addOutputFlag(cmd)}
	cmd.AddCommand(d.create(), d.list(), d.show(), d.update(), d.delete(), d.connectionString(), d.sasToken(), d.importFile(), d.export())
	return cmd
}

// identityFlags are the members of an identity that create and update can set.
type identityFlags struct {
	status, reason, primary, secondary string
}

func (f *identityFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.status, "status", "", "enabled or disabled")
	cmd.Flags().StringVar(&f.reason, "status-reason", "", "`text` that says why")
	cmd.Flags().StringVar(&f.primary, "primary-key", "", "base64 `key` of 16 to 64 bytes")
	cmd.Flags().StringVar(&f.secondary, "secondary-key", "", "base64 `key` of 16 to 64 bytes")
}

// apply puts the flags that were given into device.
func (f *identityFlags) apply(cmd *cobra.Command, device *hubward.Device) {
	if cmd.Flags().Changed("status") {
		device.Status = hubward.Status(f.status)
	}
	if cmd.Flags().Changed("status-reason") {
		device.StatusReason = hubward.NullString(f.reason)
	}
	if f.primary == "" && f.secondary == "" {
		return
	}
	if device.Authentication == nil {
		device.Authentication = &hubward.Authentication{Type: hubward.AuthSAS}
	}
	keys := &device.Authentication.SymmetricKey
	keys.PrimaryKey = cmp.Or(hubward.NullString(f.primary), keys.PrimaryKey)
	keys.SecondaryKey = cmp.Or(hubward.NullString(f.secondary), keys.SecondaryKey)
}

func (d *deviceCommands) create() *cobra.Command {
	var flags identityFlags
	var x509 x509Flags
	cmd := &cobra.Command{
		Use:   "create ID [--status disabled] [--primary-key KEY --secondary-key KEY | --x509 | --x509-ca FILE --x509-key FILE | --x509-registered | --primary-thumbprint HEX] [--out FOLDER] [--validity DURATION]",
		Short: "Register a device",
		Long: `Register a device. The hub makes its keys unless both are given.

With --x509 the device authenticates with a certificate: the command makes a key and a self-signed certificate for it, ID.pem and
ID-key.pem, and registers its thumbprint. With --x509-ca and --x509-key that authority signs the certificate, and the device is let
in as long as the hub knows the authority, or one above it (see hubward ca).

With --x509-registered or thumbprints the device has its certificate already.`,
		Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (flags.primary == "") != (flags.secondary == "") {
				return usagef(cmd, "give both --primary-key and --secondary-key, or neither")
			}
			problem := x509.problem()
			if x509.wanted() && flags.primary != "" {
				problem = "give keys or a certificate, not both"
			}
			if problem != "" {
				return usagef(cmd, "%s", problem)
			}
			device := hubward.Device{DeviceID: args[0]}
			flags.apply(cmd, &device)
			return d.withClient(func(c *service.Client) error { return d.register(cmd.Context(), c, device, &x509) })
		},
	}
	flags.add(cmd)
	x509.add(cmd)
	return cmd
}

// register registers a device, with a certificate that is made for it if one is wanted.
func (d *deviceCommands) register(ctx context.Context, c *service.Client, device hubward.Device, x509 *x509Flags) error {
	var files certificateFiles
	var more []field
	if x509.wanted() {
		if err := hubward.ValidateID(device.DeviceID); err != nil {
			return err
		}
		var err error
		if device.Authentication, files, err = x509.authentication(hubward.Identity{Device: device.DeviceID}); err != nil {
			return err
		}
		more = []field{{"certificate", files.certificate}, {"key", files.key}} // nothing, when none were made
	}
	stored, err := c.CreateDevice(ctx, device)
	if err != nil {
		return files.settle(err)
	}
	return d.printDevice(stored, more...)
}

func (d *deviceCommands) show() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a device with its keys", Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return d.withDevice(cmd.Context(), args[0], func(_ *service.Client, device *hubward.Device) error {
				return d.printDevice(device)
			})
		},
	}
}

func (d *deviceCommands) update() *cobra.Command {
	var flags identityFlags
	var regenerate keyFlag
	cmd := &cobra.Command{
		Use:   "update ID [--status enabled|disabled] [--status-reason TEXT] [--primary-key KEY] [--secondary-key KEY] [--regenerate-key primary|secondary]",
		Short: "Change a device", Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			changes := cmd.Flags().Changed("status") || cmd.Flags().Changed("status-reason") || flags.primary != "" || flags.secondary != ""
			if !changes && regenerate == "" {
				return usagef(cmd, "nothing to change: give at least one flag")
			}
			return d.withDevice(cmd.Context(), args[0], func(c *service.Client, device *hubward.Device) error {
				var err error
				if changes {
					flags.apply(cmd, device)
					device, err = c.UpdateDevice(cmd.Context(), *device)
				}
				if err == nil && regenerate != "" {
					if err = regenerateKey(cmd.Context(), c, hubward.Identity{Device: args[0]}, regenerate); err == nil {
						device, err = c.Device(cmd.Context(), args[0])
					}
				}
				if err != nil {
					return err
				}
				return d.printDevice(device)
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().Var(&regenerate, "regenerate-key", "have the hub make a new key: primary or secondary")
	return cmd
}

// regenerateKey renews one key of a device or module.
func regenerateKey(ctx context.Context, c *service.Client, id hubward.Identity, key keyFlag) error {
	which := service.SecondaryKey
	if key == "primary" {
		which = service.PrimaryKey
	}
	_, failed, err := c.RegenerateKeys(ctx, which, id)
	if err == nil && len(failed) > 0 {
		err = failed[0].Err()
	}
	return err
}

func (d *deviceCommands) delete() *cobra.Command {
	return &cobra.Command{
		Use: "delete ID...", Short: "Delete devices and what waits for them", Args: cobra.MinimumNArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return d.withClient(func(c *service.Client) error {
				var failed []error
				for _, id := range args {
					err := c.DeleteDevice(cmd.Context(), id, service.AnyETag)
					if err == nil {
						err = printDeleted(d.env, d.out, "device", "deviceId", id)
					}
					failed = append(failed, err)
				}
				return errors.Join(failed...)
			})
		},
	}
}

func (d *deviceCommands) connectionString() *cobra.Command {
	key := keyFlag("primary")
	cmd := &cobra.Command{
		Use: "connection-string ID [--key primary|secondary]", Short: "Print the connection string of a device",
		Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return d.withDevice(cmd.Context(), args[0], func(c *service.Client, device *hubward.Device) error {
				cs, err := connectionStringOf(c, device.Authentication, func() (string, error) { return deviceKey(device, key) })
				if err != nil {
					return err
				}
				cs.DeviceID = device.DeviceID
				return printConnectionString(d.env, d.out, cs)
			})
		},
	}
	cmd.Flags().Var(&key, "key", "which key of the device: primary or secondary")
	return cmd
}

func (d *deviceCommands) sasToken() *cobra.Command {
	key, ttl := keyFlag("primary"), durationFlag(time.Hour)
	cmd := &cobra.Command{
		Use: "sas-token ID [--ttl DURATION] [--key primary|secondary]", Short: "Print a token with which a device can log in",
		Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return d.withDevice(cmd.Context(), args[0], func(c *service.Client, device *hubward.Device) error {
				secret, err := deviceKey(device, key)
				if err != nil {
					return err
				}
				resource := withoutPort(c.HostName()) + "/devices/" + url.PathEscape(device.DeviceID)
				token, err := sas.Sign(resource, secret, "", time.Now().Add(time.Duration(ttl)))
				if err != nil {
					return err
				}
				return printToken(d.env, d.out, token)
			})
		},
	}
	cmd.Flags().Var(&ttl, "ttl", "how long the token is good")
	cmd.Flags().Var(&key, "key", "which key of the device: primary or secondary")
	return cmd
}

// connectionStringOf is the connection string of an identity, without its ids. key is asked for unless the identity has a
// certificate.
func connectionStringOf(c *service.Client, auth *hubward.Authentication, key func() (string, error)) (cs sas.ConnectionString, err error) {
	cs.HostName = withoutPort(c.HostName()) // identities come in at other ports than the login's
	if cs.X509 = auth != nil && (auth.Type == hubward.AuthSelfSigned || auth.Type == hubward.AuthCertificate); !cs.X509 {
		cs.SharedAccessKey, err = key()
	}
	return cs, err
}

// printToken prints the text alone, or {"sasToken": …}.
func printToken(env Env, out *outputFlag, token string) error {
	if out.json {
		return writeJSON(env.Stdout, map[string]string{"sasToken": token})
	}
	_, err := fmt.Fprintln(env.Stdout, token)
	return err
}

func deviceKey(device *hubward.Device, key keyFlag) (string, error) {
	auth := device.Authentication
	if auth == nil || auth.SymmetricKey.PrimaryKey == "" {
		return "", fmt.Errorf("device %s has no keys: it authenticates with a certificate", device.DeviceID)
	}
	if key == "secondary" {
		return string(auth.SymmetricKey.SecondaryKey), nil
	}
	return string(auth.SymmetricKey.PrimaryKey), nil
}

func (d *deviceCommands) withClient(do func(*service.Client) error) error {
	return withClient(d.env, d.login, do)
}

// withDevice runs do with the identity of that id.
func (d *deviceCommands) withDevice(ctx context.Context, id string, do func(*service.Client, *hubward.Device) error) error {
	return d.withClient(func(c *service.Client) error {
		device, err := c.Device(ctx, id)
		if err != nil {
			return err
		}
		return do(c, device)
	})
}

// printDevice prints an identity, and, but for programs, more behind it.
func (d *deviceCommands) printDevice(device *hubward.Device, more ...field) error {
	if d.out.json {
		return writeJSON(d.env.Stdout, device)
	}
	fields := []field{
		{"device", device.DeviceID},
		{"status", string(device.Status)},
		{"status reason", string(device.StatusReason)},
		{"connection", string(device.ConnectionState)},
		{"last activity", shortTime(device.LastActivityTime.Time)},
		{"pending messages", strconv.Itoa(device.CloudToDeviceMessageCount)},
	}
	if auth := device.Authentication; auth != nil {
		fields = append(fields, authenticationFields(auth)...)
	}
	fields = append(fields, field{"generation", device.GenerationID}, field{"etag", device.ETag})
	return writeFields(d.env.Stdout, append(fields, more...))
}

func authenticationFields(auth *hubward.Authentication) []field {
	return []field{
		{"authentication", string(auth.Type)},
		{"primary key", string(auth.SymmetricKey.PrimaryKey)},
		{"secondary key", string(auth.SymmetricKey.SecondaryKey)},
		{"primary thumbprint", string(auth.X509Thumbprint.PrimaryThumbprint)},
		{"secondary thumbprint", string(auth.X509Thumbprint.SecondaryThumbprint)},
	}
}
