package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward/sas"
	"github.com/hubward/hubward/service"
)

// policyCommands is what the commands below policy share.
type policyCommands struct{ oneHubCommands }

func newPolicyCommand(env Env) *cobra.Command {
	cmd := newGroup("policy", "Manage the shared access policies of a hub", "")
	p := &policyCommands{}
	p.addFlags(env, cmd)
	cmd.AddCommand(p.list(), p.create(), p.regenerate(), p.sasToken(), p.delete())
	return cmd
}

// oneHubCommands is what commands share that manage a part of one hub.
type oneHubCommands struct {
	hubCommands
	hub string
}

// addFlags gives cmd and all below it the flags of a login, of the output and of the hub.
func (o *oneHubCommands) addFlags(env Env, cmd *cobra.Command) {
	o.hubCommands = hubCommands{env: env, login: addLoginFlags(cmd), out: addOutputFlag(cmd)}
	cmd.PersistentFlags().StringVar(&o.hub, "hub", "", "`name` of the hub (default: the hub of the login)")
}

// withHub runs do with a client and the name of the hub that is meant.
func (o *oneHubCommands) withHub(cmd *cobra.Command, do func(c *service.Client, hub string) error) error {
	return o.withClient(func(c *service.Client) error {
		if o.hub != "" {
			return do(c, o.hub)
		}
		hub, err := c.ThisHub(cmd.Context())
		if err != nil {
			return err
		}
		return do(c, hub.Name)
	})
}

func (p *policyCommands) list() *cobra.Command {
	return &cobra.Command{
		Use: "list [--hub NAME]", Short: "List the policies of a hub with their keys", Args: cobra.NoArgs, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withHub(cmd, func(c *service.Client, hub string) error {
				policies, err := c.Policies(cmd.Context(), hub)
				if err != nil {
					return err
				}
				return p.print(policies...)
			})
		},
	}
}

func (p *policyCommands) create() *cobra.Command {
	var permissions []string
	cmd := &cobra.Command{
		Use: "create NAME --permissions PERMISSION,... [--hub NAME]", Short: "Make a policy",
		Long: "Make a policy with new keys. Permissions are RegistryRead, RegistryWrite, ServiceConnect and DeviceConnect.",
		Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			for i := range permissions {
				permissions[i] = strings.TrimSpace(permissions[i]) // the cloud's tools print them with blanks
			}
			if len(permissions) == 0 {
				return usagef(cmd, "a policy needs --permissions, at least one of RegistryRead, RegistryWrite, ServiceConnect or DeviceConnect")
			}
			return p.withHub(cmd, func(c *service.Client, hub string) error {
				policy, err := c.CreatePolicy(cmd.Context(), hub, args[0], permissions...)
				if err != nil {
					return err
				}
				return p.print(*policy)
			})
		},
	}
	cmd.Flags().StringSliceVar(&permissions, "permissions", nil, "`permissions` that the policy gives, separated by commas (repeatable)")
	return cmd
}

func (p *policyCommands) regenerate() *cobra.Command {
	var key keyFlag
	cmd := &cobra.Command{
		Use: "regenerate NAME --key primary|secondary [--hub NAME]", Short: "Replace a key of a policy",
		Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if key == "" {
				return usagef(cmd, "say which key to replace: --key primary or --key secondary")
			}
			return p.withHub(cmd, func(c *service.Client, hub string) error {
				policy, err := c.RegeneratePolicyKey(cmd.Context(), hub, args[0], key == "primary")
				if err != nil {
					return err
				}
				return p.print(*policy)
			})
		},
	}
	cmd.Flags().Var(&key, "key", "which key to replace: primary or secondary")
	return cmd
}

func (p *policyCommands) sasToken() *cobra.Command {
	key, ttl := keyFlag("primary"), durationFlag(time.Hour)
	cmd := &cobra.Command{
		Use: "sas-token NAME [--ttl DURATION] [--key primary|secondary] [--hub NAME]", Short: "Print a token for calls of a hub",
		Long: "Print a token of a policy, for the hub as a whole: the Authorization header of calls that are made without an SDK.",
		Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withClient(func(c *service.Client) error {
				hub, err := findHub(cmd.Context(), c, p.hub)
				if err != nil {
					return err
				}
				cs, err := policyConnectionString(cmd.Context(), c, hub, args[0], key == "primary")
				if err != nil {
					return err
				}
				token, err := sas.Sign(sas.TrimPort(cs.HostName), cs.SharedAccessKey, args[0], time.Now().Add(time.Duration(ttl)))
				if err != nil {
					return err
				}
				return printToken(p.env, p.out, token)
			})
		},
	}
	cmd.Flags().Var(&ttl, "ttl", "how long the token is good")
	cmd.Flags().Var(&key, "key", "which key of the policy: primary or secondary")
	return cmd
}

func (p *policyCommands) delete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME [--hub NAME]", Short: "Delete a policy: its keys log in no more", Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withHub(cmd, func(c *service.Client, hub string) error {
				if err := c.DeletePolicy(cmd.Context(), hub, args[0]); err != nil {
					return err
				}
				return printDeleted(p.env, p.out, "policy", "name", args[0])
			})
		},
	}
}

func (p *policyCommands) print(policies ...service.Policy) error {
	var rows [][]string
	for _, policy := range policies {
		if p.out.json {
			if err := writeJSON(p.env.Stdout, policy); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{policy.Name, strings.Join(policy.Permissions, ","), policy.PrimaryKey, policy.SecondaryKey})
	}
	if p.out.json {
		return nil
	}
	return writeTable(p.env.Stdout, []string{"POLICY", "PERMISSIONS", "PRIMARY KEY", "SECONDARY KEY"}, rows)
}
