package cli

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward/sas"
	"github.com/hubward/hubward/service"
)

// hubCommands is what the commands below hub and policy share.
type hubCommands struct {
	env   Env
	login *loginFlags
	out   *outputFlag
}

func newHubCommand(env Env) *cobra.Command {
	cmd := newGroup("hub", "Manage the hubs of a process", "")
	h := &hubCommands{env: env, login: addLoginFlags(cmd), out: addOutputFlag(cmd)}
	cmd.AddCommand(h.create(), h.list(), h.show(), h.update(), h.delete(), h.connectionString())
	return cmd
}

func (h *hubCommands) create() *cobra.Command {
	var n service.NewHub
	var partitions countFlag
	var retention durationFlag
	var c2d c2dFlags
	cmd := &cobra.Command{
		Use: "create NAME [--hostname HOST]... [--partitions N] [--retention DURATION] [--c2d-ttl DURATION] [--c2d-max-deliveries N] " +
			"[--feedback-ttl DURATION] [--feedback-lock DURATION] [--feedback-max-deliveries N]", Short: "Make a hub",
		Long: "Make a hub with the five default policies. It also answers to NAME.localhost.\nThe login must be of a policy of the first hub that has all permissions.",
		Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			n.Name, n.Partitions, n.Retention, n.CloudToDevice = args[0], int(partitions), time.Duration(retention), c2d.settings()
			return h.withClient(func(c *service.Client) error {
				hub, err := c.CreateHub(cmd.Context(), n)
				if err != nil {
					return err
				}
				return h.printHub(hub)
			})
		},
	}
	cmd.Flags().StringArrayVar(&n.HostNames, "hostname", nil, "`host` name that the hub answers to (repeatable)")
	cmd.Flags().Var(&partitions, "partitions", "number of partitions of the telemetry log (default 4)")
	cmd.Flags().Var(&retention, "retention", "how long telemetry is kept, e.g. 36h or 7d (default 24h)")
	c2d.add(cmd)
	return cmd
}

func (h *hubCommands) update() *cobra.Command {
	var change service.HubChange
	var retention durationFlag
	var c2d c2dFlags
	var switches switchFlags
	cmd := &cobra.Command{
		Use: "update NAME [--hostname HOST]... [--retention DURATION] [--c2d-ttl DURATION] [--c2d-max-deliveries N] " +
			"[--feedback-ttl DURATION] [--feedback-lock DURATION] [--feedback-max-deliveries N] " + switchUsage,
		Short: "Change the settings of a hub",
		Long: "Change a hub; what no flag names stays as it is. The host names that are given replace all that it had. For the\n" +
			"first hub, those that hubward serve is given win again when it starts or reloads.\n" +
			"Connections that are not let in any more end. Who holds all permissions of the first hub can always change it.\n" +
			"The login must be of a policy of the first hub that has all permissions.",
		Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			change.Retention, change.CloudToDevice = time.Duration(retention), c2d.settings()
			var err error
			if change.Switches, err = switches.change(cmd); err != nil {
				return err
			}
			if reflect.DeepEqual(change, service.HubChange{}) {
				return usagef(cmd, "nothing to change: give at least one flag")
			}
			return h.withClient(func(c *service.Client) error {
				hub, err := c.UpdateHub(cmd.Context(), args[0], change)
				if err != nil {
					return err
				}
				return h.printHub(hub)
			})
		},
	}
	cmd.Flags().StringArrayVar(&change.HostNames, "hostname", nil, "`host` name that the hub answers to (repeatable)")
	cmd.Flags().Var(&retention, "retention", "how long telemetry is kept, e.g. 36h or 7d")
	c2d.add(cmd)
	switches.add(cmd)
	return cmd
}

func (h *hubCommands) list() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the hubs of the process", Args: cobra.NoArgs, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return h.withClient(func(c *service.Client) error {
				hubs, err := c.Hubs(cmd.Context())
				if err != nil {
					return err
				}
				return h.printHubs(hubs)
			})
		},
	}
}

func (h *hubCommands) show() *cobra.Command {
	return &cobra.Command{
		Use: "show [NAME]", Short: "Show a hub, by default that of the login", Args: cobra.MaximumNArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return h.withClient(func(c *service.Client) error {
				hub, err := findHub(cmd.Context(), c, first(args))
				if err != nil {
					return err
				}
				return h.printHub(hub)
			})
		},
	}
}

func (h *hubCommands) delete() *cobra.Command {
	var sure confirmation
	cmd := &cobra.Command{
		Use: "delete NAME [--yes]", Short: "Delete a hub with its devices, policies and telemetry",
		Long: "Delete a hub with its devices, policies and telemetry. There is no way back, so it asks first, unless --yes says that\n" +
			"it is meant. The first hub cannot be deleted.",
		Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return h.withClient(func(c *service.Client) error {
				hub, err := c.Hub(cmd.Context(), args[0]) // a name that is none needs no question
				if err != nil {
					return err
				}
				if err := sure.ask(h.env, cmd, "deletes hub "+hub.Name+" with all its devices, policies and telemetry", hub.Name); err != nil {
					return err
				}
				if err := c.DeleteHub(cmd.Context(), hub.Name); err != nil {
					return err
				}
				return printDeleted(h.env, h.out, "hub", "name", hub.Name)
			})
		},
	}
	sure.add(cmd)
	return cmd
}

func (h *hubCommands) connectionString() *cobra.Command {
	var policy string
	var eventHub bool
	key := keyFlag("primary")
	cmd := &cobra.Command{
		Use: "connection-string [NAME] [--policy POLICY] [--key primary|secondary] [--eventhub]", Short: "Print a connection string for a hub",
		Long: "Print the connection string of a policy of a hub, by default that of the login.\nWith --eventhub it is for readers of telemetry: Event Hubs clients.",
		Args: cobra.MaximumNArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return h.withClient(func(c *service.Client) error {
				hub, err := findHub(cmd.Context(), c, first(args))
				if err != nil {
					return err
				}
				cs, err := policyConnectionString(cmd.Context(), c, hub, policy, key == "primary")
				if err != nil {
					return err
				}
				if eventHub {
					cs = eventHubConnectionString(cs, hub.Name)
				}
				return h.printConnectionString(cs)
			})
		},
	}
	cmd.Flags().StringVar(&policy, "policy", "iothubowner", "name of the shared access policy")
	cmd.Flags().Var(&key, "key", "which key of the policy: primary or secondary")
	cmd.Flags().BoolVar(&eventHub, "eventhub", false, "for the Event-Hubs-compatible endpoint")
	return cmd
}

// withClient runs do with a client of the login.
func (h *hubCommands) withClient(do func(*service.Client) error) error {
	return withClient(h.env, h.login, do)
}

func withClient(env Env, login *loginFlags, do func(*service.Client) error) error {
	c, err := login.service(env)
	if err != nil {
		return err
	}
	defer c.Close()
	return login.failed(env, c, do(c))
}

// findHub returns the hub of that name, or the login's for "".
func findHub(ctx context.Context, c *service.Client, name string) (*service.Hub, error) {
	if name == "" {
		return c.ThisHub(ctx)
	}
	return c.Hub(ctx, name)
}

// policyConnectionString looks up a policy's key. The host name is the one that the login uses if it leads to that
// hub, else the hub's first, at the login's port.
func policyConnectionString(ctx context.Context, c *service.Client, hub *service.Hub, policy string, primary bool) (sas.ConnectionString, error) {
	var cs sas.ConnectionString
	policies, err := c.Policies(ctx, hub.Name)
	if err != nil {
		return cs, err
	}
	for _, p := range policies {
		if p.Name != policy {
			continue
		}
		cs = sas.ConnectionString{HostName: c.HostName(), SharedAccessKeyName: policy, SharedAccessKey: p.SecondaryKey}
		if primary {
			cs.SharedAccessKey = p.PrimaryKey
		}
		this, err := c.ThisHub(ctx)
		if err == nil && this.Name != hub.Name {
			cs.HostName = hostOf(hub, c.HostName())
		}
		return cs, err
	}
	return cs, fmt.Errorf("hub %s has no policy %q", hub.Name, policy)
}

// hostOf returns a host name of hub, with the port of login.
func hostOf(hub *service.Hub, login string) string {
	host := strings.ToLower(hub.Name) + ".localhost"
	if len(hub.HostNames) > 0 {
		host = hub.HostNames[0]
	}
	if _, port, err := net.SplitHostPort(login); err == nil {
		return net.JoinHostPort(host, port)
	}
	return host
}

// withoutPort returns a host name without its port. Brackets of an IPv6 address stay, as URLs want them.
func withoutPort(host string) string {
	if _, port, err := net.SplitHostPort(host); err == nil {
		return strings.TrimSuffix(host, ":"+port)
	}
	return host
}

// eventHubConnectionString turns a policy's connection string into one of the Event-Hubs-compatible endpoint, which
// listens at a port of its own.
func eventHubConnectionString(cs sas.ConnectionString, name string) sas.ConnectionString {
	return sas.ConnectionString{
		Endpoint: "sb://" + withoutPort(cs.HostName) + "/", SharedAccessKeyName: cs.SharedAccessKeyName,
		SharedAccessKey: cs.SharedAccessKey, EntityPath: name,
	}
}

func (h *hubCommands) printConnectionString(cs sas.ConnectionString) error {
	return printConnectionString(h.env, h.out, cs)
}

// printConnectionString prints the text alone, or {"connectionString": …}.
func printConnectionString(env Env, out *outputFlag, cs sas.ConnectionString) error {
	if out.json {
		return writeJSON(env.Stdout, map[string]string{"connectionString": cs.String()})
	}
	_, err := fmt.Fprintln(env.Stdout, cs.String())
	return err
}

func (h *hubCommands) printHub(hub *service.Hub) error {
	if h.out.json {
		return writeJSON(h.env.Stdout, hub)
	}
	fields := []field{
		{"name", hub.Name},
		{"host names", cmp.Or(strings.Join(hub.HostNames, ", "), hostOf(hub, ""))},
		{"partitions", strconv.Itoa(hub.Partitions)},
		{"retention", hub.Retention.String()},
		{"consumer groups", strings.Join(hub.ConsumerGroups, ", ")},
		{"messages to devices", fmt.Sprintf("kept for %s, delivered %d times at most", hub.CloudToDevice.DefaultTTL, hub.CloudToDevice.MaxDeliveryCount)},
		{"feedback", fmt.Sprintf("kept for %s, locked for %s, delivered %d times at most", hub.CloudToDevice.Feedback.TTL,
			hub.CloudToDevice.Feedback.LockDuration, hub.CloudToDevice.Feedback.MaxDeliveryCount)},
		{"created", shortTime(hub.Created.Time)},
	}
	return writeFields(h.env.Stdout, append(fields, switchFields(&hub.Switches)...))
}

func (h *hubCommands) printHubs(hubs []service.Hub) error {
	if h.out.json {
		for i := range hubs {
			if err := writeJSON(h.env.Stdout, &hubs[i]); err != nil {
				return err
			}
		}
		return nil
	}
	var rows [][]string
	for i := range hubs {
		hub := &hubs[i]
		rows = append(rows, []string{
			hub.Name, cmp.Or(strings.Join(hub.HostNames, ", "), hostOf(hub, "")), strconv.Itoa(hub.Partitions),
			hub.Retention.String(), shortTime(hub.Created.Time),
		})
	}
	return writeTable(h.env.Stdout, []string{"HUB", "HOST NAMES", "PARTITIONS", "RETENTION", "CREATED"}, rows)
}

// shortTime is an instant as tables show it.
func shortTime(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// keyFlag is a flag that is "primary" or "secondary".
type keyFlag string

// String, Set and Type make it a flag value.
func (k *keyFlag) String() string { return string(*k) }

// Set reads the flag.
func (k *keyFlag) Set(text string) error {
	if text != "primary" && text != "secondary" {
		return fmt.Errorf("it is primary or secondary")
	}
	*k = keyFlag(text)
	return nil
}

// Type names the value in help texts.
func (k *keyFlag) Type() string { return "key" }
