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

// moduleCommands is what the commands below module share.
type moduleCommands struct {
	env   Env
	login *loginFlags
	out   *outputFlag
}

func newModuleCommand(env Env) *cobra.Command {
	cmd := newGroup("module", "Manage the modules of devices", "")
	m := &moduleCommands{env: env, login: addLoginFlags(cmd), out: addOutputFlag(cmd)}
	cmd.AddCommand(m.create(), m.list(), m.show(), m.update(), m.delete(), m.connectionString(), m.sasToken())
	return cmd
}

// moduleFlags are the members of a module that create and update can set.
type moduleFlags struct{ managedBy, primary, secondary string }

func (f *moduleFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.managedBy, "managed-by", "", "`text` that says who manages the module")
	cmd.Flags().StringVar(&f.primary, "primary-key", "", "base64 `key` of 16 to 64 bytes")
	cmd.Flags().StringVar(&f.secondary, "secondary-key", "", "base64 `key` of 16 to 64 bytes")
}

func (f *moduleFlags) given(cmd *cobra.Command) bool {
	return cmd.Flags().Changed("managed-by") || f.primary != "" || f.secondary != ""
}

// apply puts the flags that were given into module. Keys make it authenticate with them.
func (f *moduleFlags) apply(cmd *cobra.Command, module *hubward.Module) {
	if cmd.Flags().Changed("managed-by") {
		module.ManagedBy = hubward.NullString(f.managedBy)
	}
	if f.primary == "" && f.secondary == "" {
		return
	}
	if auth := module.Authentication; auth == nil || auth.Type != hubward.AuthSAS {
		module.Authentication = &hubward.Authentication{Type: hubward.AuthSAS}
	}
	keys := &module.Authentication.SymmetricKey
	keys.PrimaryKey = cmp.Or(hubward.NullString(f.primary), keys.PrimaryKey)
	keys.SecondaryKey = cmp.Or(hubward.NullString(f.secondary), keys.SecondaryKey)
}

func (m *moduleCommands) create() *cobra.Command {
	var flags moduleFlags
	cmd := &cobra.Command{
		Use: "create ID MODULE [--managed-by TEXT] [--primary-key KEY --secondary-key KEY]", Short: "Register a module of a device",
		Long: "Register a module of the device ID. The hub makes its keys unless both are given. A device has up to " + strconv.Itoa(hubward.MaxModules) + " modules.",
		Args: cobra.ExactArgs(2), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (flags.primary == "") != (flags.secondary == "") {
				return usagef(cmd, "give both --primary-key and --secondary-key, or neither")
			}
			module := hubward.Module{DeviceID: args[0], ModuleID: args[1]}
			flags.apply(cmd, &module)
			return m.withClient(func(c *service.Client) error {
				stored, err := c.CreateModule(cmd.Context(), module)
				return m.printModule(stored, err)
			})
		},
	}
	flags.add(cmd)
	return cmd
}

func (m *moduleCommands) list() *cobra.Command {
	return &cobra.Command{
		Use: "list ID", Short: "List the modules of a device", Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return m.withClient(func(c *service.Client) error {
				modules, err := c.Modules(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return m.printModules(modules)
			})
		},
	}
}

func (m *moduleCommands) printModules(modules []hubward.Module) error {
	table := &growingTable{w: m.env.Stdout, header: []string{"MODULE", "MANAGED BY", "CONNECTION", "AUTHENTICATION", "LAST ACTIVITY"}}
	for i := range modules {
		var err error
		if m.out.json {
			err = writeJSON(m.env.Stdout, &modules[i])
		} else {
			err = table.add(moduleRow(&modules[i]))
		}
		if err != nil {
			return err
		}
	}
	if m.out.json {
		return nil
	}
	return table.flush()
}

func moduleRow(module *hubward.Module) []string {
	auth := ""
	if module.Authentication != nil {
		auth = string(module.Authentication.Type)
	}
	return []string{module.ModuleID, string(module.ManagedBy), string(module.ConnectionState), auth, shortTime(module.LastActivityTime.Time)}
}

func (m *moduleCommands) show() *cobra.Command {
	return &cobra.Command{
		Use: "show ID MODULE", Short: "Show a module with its keys", Args: cobra.ExactArgs(2), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return m.withModule(cmd.Context(), args, func(_ *service.Client, module *hubward.Module) error {
				return m.printModule(module, nil)
			})
		},
	}
}

func (m *moduleCommands) update() *cobra.Command {
	var flags moduleFlags
	var regenerate keyFlag
	cmd := &cobra.Command{
		Use:   "update ID MODULE [--managed-by TEXT] [--primary-key KEY] [--secondary-key KEY] [--regenerate-key primary|secondary]",
		Short: "Change a module", Args: cobra.ExactArgs(2), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !flags.given(cmd) && regenerate == "" {
				return usagef(cmd, "nothing to change: give at least one flag")
			}
			return m.withModule(cmd.Context(), args, func(c *service.Client, module *hubward.Module) error {
				var err error
				if flags.given(cmd) {
					flags.apply(cmd, module)
					module, err = c.UpdateModule(cmd.Context(), *module)
				}
				if err == nil && regenerate != "" {
					if err = regenerateKey(cmd.Context(), c, identityOfModule(args), regenerate); err == nil {
						module, err = c.Module(cmd.Context(), args[0], args[1])
					}
				}
				return m.printModule(module, err)
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().Var(&regenerate, "regenerate-key", "have the hub make a new key: primary or secondary")
	return cmd
}

func identityOfModule(args []string) hubward.Identity {
	return hubward.Identity{Device: args[0], Module: args[1]}
}

func (m *moduleCommands) delete() *cobra.Command {
	return &cobra.Command{
		Use: "delete ID MODULE...", Short: "Delete modules of a device", Args: cobra.MinimumNArgs(2), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return m.withClient(func(c *service.Client) error {
				var failed []error
				for _, module := range args[1:] {
					err := c.DeleteModule(cmd.Context(), args[0], module, service.AnyETag)
					if err == nil {
						err = printDeleted(m.env, m.out, "module", "moduleId", module)
					}
					failed = append(failed, err)
				}
				return errors.Join(failed...)
			})
		},
	}
}

func (m *moduleCommands) connectionString() *cobra.Command {
	key := keyFlag("primary")
	cmd := &cobra.Command{
		Use: "connection-string ID MODULE [--key primary|secondary]", Short: "Print the connection string of a module",
		Args: cobra.ExactArgs(2), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return m.withModule(cmd.Context(), args, func(c *service.Client, module *hubward.Module) error {
				cs, err := connectionStringOf(c, module.Authentication, func() (string, error) { return moduleKey(module, key) })
				if err != nil {
					return err
				}
				cs.DeviceID, cs.ModuleID = module.DeviceID, module.ModuleID
				return printConnectionString(m.env, m.out, cs)
			})
		},
	}
	cmd.Flags().Var(&key, "key", "which key of the module: primary or secondary")
	return cmd
}

func (m *moduleCommands) sasToken() *cobra.Command {
	key, ttl := keyFlag("primary"), durationFlag(time.Hour)
	cmd := &cobra.Command{
		Use: "sas-token ID MODULE [--ttl DURATION] [--key primary|secondary]", Short: "Print a token with which a module can log in",
		Args: cobra.ExactArgs(2), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return m.withModule(cmd.Context(), args, func(c *service.Client, module *hubward.Module) error {
				secret, err := moduleKey(module, key)
				if err != nil {
					return err
				}
				resource := withoutPort(c.HostName()) + "/devices/" + url.PathEscape(args[0]) + "/modules/" + url.PathEscape(args[1])
				token, err := sas.Sign(resource, secret, "", time.Now().Add(time.Duration(ttl)))
				if err != nil {
					return err
				}
				return printToken(m.env, m.out, token)
			})
		},
	}
	cmd.Flags().Var(&ttl, "ttl", "how long the token is good")
	cmd.Flags().Var(&key, "key", "which key of the module: primary or secondary")
	return cmd
}

func moduleKey(module *hubward.Module, key keyFlag) (string, error) {
	auth := module.Authentication
	switch {
	case auth == nil || auth.Type == hubward.AuthNone:
		return "", fmt.Errorf("module %s of %s has no keys yet: hubward module update %s '%s' --primary-key KEY --secondary-key KEY", module.ModuleID, module.DeviceID, module.DeviceID, module.ModuleID)
	case auth.SymmetricKey.PrimaryKey == "":
		return "", fmt.Errorf("module %s of %s has no keys: it authenticates with a certificate", module.ModuleID, module.DeviceID)
	case key == "secondary":
		return string(auth.SymmetricKey.SecondaryKey), nil
	}
	return string(auth.SymmetricKey.PrimaryKey), nil
}

func (m *moduleCommands) withClient(do func(*service.Client) error) error {
	return withClient(m.env, m.login, do)
}

// withModule runs do with the module that the arguments name.
func (m *moduleCommands) withModule(ctx context.Context, args []string, do func(*service.Client, *hubward.Module) error) error {
	return m.withClient(func(c *service.Client) error {
		module, err := c.Module(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		return do(c, module)
	})
}

// printModule prints a module, unless there is an error.
func (m *moduleCommands) printModule(module *hubward.Module, err error) error {
	if err != nil {
		return err
	}
	if m.out.json {
		return writeJSON(m.env.Stdout, module)
	}
	fields := []field{
		{"device", module.DeviceID},
		{"module", module.ModuleID},
		{"managed by", string(module.ManagedBy)},
		{"connection", string(module.ConnectionState)},
		{"last activity", shortTime(module.LastActivityTime.Time)},
	}
	if auth := module.Authentication; auth != nil {
		fields = append(fields, authenticationFields(auth)...)
	}
	return writeFields(m.env.Stdout, append(fields, field{"generation", module.GenerationID}, field{"etag", module.ETag}))
}
