package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/service"
)

// envCompletionTimeout names the variable that bounds what a press of the tab key may take, for hubs that are far away.
const envCompletionTimeout = "HUBWARD_COMPLETION_TIMEOUT"

// completionTimeout is its default.
const completionTimeout = 2 * time.Second

// completeWithin is the bound that env gives; what is no duration gives none.
func completeWithin(env Env) time.Duration {
	if d, err := hubward.ParseDuration(env.Getenv(envCompletionTimeout)); err == nil && d > 0 {
		return d
	}
	return completionTimeout
}

// fixedValues are the values of flags that take one of a few words.
var fixedValues = map[string][]string{
	"ack":            {"none", "positive", "negative", "full"},
	"from":           {"earliest", "latest"},
	"key":            {"primary", "secondary"},
	"keys":           {"ec-p256", "ec-p384", "ec-p521", "rsa-2048", "rsa-3072", "rsa-4096"},
	"log-format":     {"text", "json"},
	"log-level":      {"debug", "info", "warn", "error"},
	"mode":           modeWords(),
	"output":         {"table", "json"},
	"permissions":    {"RegistryRead", "RegistryWrite", "ServiceConnect", "DeviceConnect"},
	"protocol":       {"mqtt", "mqtt-ws", "amqp", "amqp-ws", "https"},
	"qos":            {"0", "1"},
	"regenerate-key": {"primary", "secondary"},
	"status":         {string(hubward.StatusEnabled), string(hubward.StatusDisabled)},
	"tls-key-type":   {"ecdsa", "rsa"},
}

// The flags whose values are names of files, and of folders.
var (
	fileFlags   = []string{"ca", "certificate", "config", "csr", "proof", "tls-certificate", "tls-key", "tls-ca", "x509-ca", "x509-key"}
	folderFlags = []string{"data", "out", "revoked"}
)

// lister asks a hub for names, each perhaps with a tab and a description behind it. hub is that of --hub, or of an argument
// that names one; "" is that of the login.
type lister func(ctx context.Context, c *service.Client, hub string) ([]string, error)

// askedValues are the values of flags that the hub knows.
var askedValues = map[string]lister{"consumer-group": listGroups, "device": listDevices, "hub": listHubs, "policy": listPolicies}

// addCompletions gives cmd and all below it the completion of their flags and arguments. What has none completes to
// nothing, not to names of files.
func addCompletions(env Env, cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		addCompletions(env, sub)
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		// An error says that there is one already: that of a flag which all below share.
		_ = cmd.RegisterFlagCompletionFunc(f.Name, completeFlag(env, cmd, f))
	})
	if cmd.ValidArgsFunction == nil && cmd.ValidArgs == nil {
		cmd.ValidArgsFunction = completeArgs(env, cmd)
	}
}

func completeFlag(env Env, cmd *cobra.Command, f *pflag.Flag) cobra.CompletionFunc {
	runsHub := cmd.Name() == "serve" // whose --hub names one to be made
	value, _ := pflag.UnquoteUsage(f)
	switch list := askedValues[f.Name]; {
	case value == "file", slices.Contains(fileFlags, f.Name):
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		}
	case slices.Contains(folderFlags, f.Name):
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		}
	case list != nil && !runsHub:
		return ask(env, list)
	case f.Value.Type() == "stringSlice":
		return completeList(fixedValues[f.Name])
	}
	return cobra.FixedCompletions(fixedValues[f.Name], cobra.ShellCompDirectiveNoFileComp)
}

// completeList completes the last of several words with commas between them.
func completeList(words []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		before := typed[:strings.LastIndex(typed, ",")+1]
		given := strings.Split(before, ",")
		var offers []string
		for _, word := range words {
			if !slices.Contains(given, word) {
				offers = append(offers, before+word)
			}
		}
		return offers, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// completeArgs completes the arguments that the usage line names.
func completeArgs(env Env, cmd *cobra.Command) cobra.CompletionFunc {
	names := positional(cmd)
	if len(names) == 0 || cmd.Name() == "create" {
		return cobra.NoFileCompletions
	}
	switch names[0] {
	case "FILE":
		return nil // the shell completes names of files
	case "DIR", "FOLDER":
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		}
	}
	list := listDevices
	if names[0] == "NAME" && cmd.HasParent() {
		list = map[string]lister{"hub": listHubs, "policy": listPolicies, "consumer-group": listGroups, "ca": listAuthorities}[cmd.Parent().Name()]
	}
	if list == nil {
		return cobra.NoFileCompletions
	}
	many, modules := strings.Contains(cmd.Use, "..."), len(names) > 1 && names[1] == "MODULE"
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		list := list
		if modules && len(args) > 0 {
			list = listModules(args[0])
		}
		if asked := len(args); asked > 0 && !many && (!modules || asked > 1) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		offers, directive := ask(env, list)(cmd, nil, typed)
		return slices.DeleteFunc(offers, func(offer string) bool {
			name, _, _ := strings.Cut(offer, "\t")
			return slices.Contains(args, name)
		}), directive
	}
}

// ask completes with what the hub of the login lists. Where there is no login or no answer it offers nothing: nobody has
// called a command yet that could fail.
func ask(env Env, list lister) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		login := &loginFlags{data: defaultData, dataSet: func() bool { return cmd.Flags().Changed("data") }}
		login.login, login.ca = flagText(cmd, "login"), flagText(cmd, "ca")
		if login.dataSet() {
			login.data = flagText(cmd, "data")
		}
		hub := flagText(cmd, "hub")
		if parent := cmd.Parent(); hub == "" && parent != nil && parent.Name() == "hub" {
			hub = first(args)
		}
		c, err := login.service(env)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin(env))
		defer cancel()
		offers, _ := list(ctx, c, hub)
		return slices.DeleteFunc(offers, func(offer string) bool { return !strings.HasPrefix(offer, typed) }), cobra.ShellCompDirectiveNoFileComp
	}
}

func flagText(cmd *cobra.Command, name string) string {
	if f := cmd.Flags().Lookup(name); f != nil {
		return f.Value.String()
	}
	return ""
}

// maxOffers bounds the devices that are asked for: more than that nobody reads.
const maxOffers = 1000

func listDevices(ctx context.Context, c *service.Client, _ string) ([]string, error) {
	devices, err := c.Devices(ctx, maxOffers)
	var names []string
	for i := range devices {
		names = append(names, devices[i].DeviceID+"\t"+string(devices[i].Status))
	}
	return names, err
}

func listModules(device string) lister {
	return func(ctx context.Context, c *service.Client, _ string) ([]string, error) {
		modules, err := c.Modules(ctx, device)
		var names []string
		for i := range modules {
			names = append(names, modules[i].ModuleID+"\t"+string(modules[i].ManagedBy))
		}
		return names, err
	}
}

func listHubs(ctx context.Context, c *service.Client, _ string) ([]string, error) {
	hubs, err := c.Hubs(ctx)
	var names []string
	for i := range hubs {
		names = append(names, hubs[i].Name)
	}
	return names, err
}

func listPolicies(ctx context.Context, c *service.Client, hub string) ([]string, error) {
	found, err := findHub(ctx, c, hub)
	if err != nil {
		return nil, err
	}
	policies, err := c.Policies(ctx, found.Name)
	var names []string
	for _, p := range policies {
		names = append(names, p.Name+"\t"+strings.Join(p.Permissions, ", "))
	}
	return names, err
}

func listAuthorities(ctx context.Context, c *service.Client, hub string) ([]string, error) {
	found, err := findHub(ctx, c, hub)
	if err != nil {
		return nil, err
	}
	authorities, err := c.CertificateAuthorities(ctx, found.Name)
	var names []string
	for i := range authorities {
		names = append(names, authorities[i].Name+"\t"+state(&authorities[i]))
	}
	return names, err
}

func listGroups(ctx context.Context, c *service.Client, hub string) ([]string, error) {
	found, err := findHub(ctx, c, hub)
	if err != nil {
		return nil, err
	}
	return found.ConsumerGroups, nil
}
