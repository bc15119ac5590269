package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward/service"
)

// switchFlags are the switches of a hub.
type switchFlags struct {
	localAuth, deviceSAS, moduleSAS switchFlag
	minTLS                          tlsFlag
	allow                           []string
	allowEvents                     bool
}

const switchUsage = "[--disable-local-auth on|off] [--disable-device-sas on|off] [--disable-module-sas on|off] " +
	"[--min-tls 1.2|1.3|none] [--allow CIDR,…|all [--allow-events]]"

func (f *switchFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Var(&f.localAuth, "disable-local-auth", "let nobody in with the key of a policy: `on` or off")
	flags.Var(&f.deviceSAS, "disable-device-sas", "let no device in with its key: `on` or off")
	flags.Var(&f.moduleSAS, "disable-module-sas", "let no module in with its key: `on` or off")
	flags.Var(&f.minTLS, "min-tls", "least `version` of TLS: 1.2, 1.3, or none")
	flags.StringSliceVar(&f.allow, "allow", nil, "only addresses from which peers come in, e.g. 192.0.2.0/24,2001:db8::/32; all: from everywhere (`ranges`)")
	flags.BoolVar(&f.allowEvents, "allow-events", false, "those of --allow count for readers of events too")
}

// change returns what the flags give.
func (f *switchFlags) change(cmd *cobra.Command) (c service.SwitchChange, err error) {
	c.DisableLocalAuth, c.DisableDeviceSAS, c.DisableModuleSAS = f.localAuth.value, f.deviceSAS.value, f.moduleSAS.value
	c.MinTLSVersion = f.minTLS.value
	switch {
	case !cmd.Flags().Changed("allow") && f.allowEvents:
		return c, usagef(cmd, "--allow-events needs --allow")
	case !cmd.Flags().Changed("allow"):
		return c, nil
	}
	c.NetworkRules = &service.NetworkRules{ApplyToEvents: f.allowEvents, IPRules: []service.IPRule{}}
	if len(f.allow) == 1 && f.allow[0] == "all" {
		return c, nil
	}
	for _, mask := range f.allow {
		c.NetworkRules.IPRules = append(c.NetworkRules.IPRules, service.IPRule{Action: "Allow", IPMask: strings.TrimSpace(mask)})
	}
	if len(f.allow) == 0 {
		return c, usagef(cmd, "--allow: it is empty; \"all\" stands for all addresses")
	}
	return c, nil
}

// switchFields are the rows of show: what is turned on.
func switchFields(s *service.Switches) []field {
	var fields []field
	for _, f := range []struct {
		on   bool
		name string
	}{{s.DisableLocalAuth, "policies"}, {s.DisableDeviceSAS, "devices"}, {s.DisableModuleSAS, "modules"}} {
		if f.on {
			fields = append(fields, field{"keys of " + f.name, "turned off"})
		}
	}
	if s.MinTLSVersion != "" {
		fields = append(fields, field{"least TLS", s.MinTLSVersion})
	}
	if n := s.NetworkRules; n != nil {
		var masks []string
		for _, r := range n.IPRules {
			masks = append(masks, r.IPMask)
		}
		text := strings.Join(masks, ", ")
		if !n.ApplyToEvents {
			text += "; readers of events from everywhere"
		}
		fields = append(fields, field{"peers come from", text})
	}
	return fields
}

// switchFlag is on or off; nil: it is not given.
type switchFlag struct{ value *bool }

// String, Set and Type make it a flag value.
func (f *switchFlag) String() string {
	switch {
	case f.value == nil:
		return ""
	case *f.value:
		return "on"
	}
	return "off"
}

// Set reads the flag.
func (f *switchFlag) Set(text string) error {
	if text != "on" && text != "off" {
		return errors.New("it is on or off")
	}
	on := text == "on"
	f.value = &on
	return nil
}

// Type names the value in help texts.
func (f *switchFlag) Type() string { return "on" }

// tlsFlag is a version of TLS; nil: it is not given.
type tlsFlag struct{ value *string }

// String, Set and Type make it a flag value.
func (f *tlsFlag) String() string {
	if f.value == nil {
		return ""
	}
	return *f.value
}

// Set reads the flag.
func (f *tlsFlag) Set(text string) error {
	switch text {
	case "none":
		text = ""
	case "1.2", "1.3":
	default:
		return errors.New("it is 1.2, 1.3 or none")
	}
	f.value = &text
	return nil
}

// Type names the value in help texts.
func (f *tlsFlag) Type() string { return "version" }
