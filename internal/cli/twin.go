package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/service"
)

// twinCommands is what the commands below twin share.
type twinCommands struct {
	env    Env
	login  *loginFlags
	out    *outputFlag
	module string
}

func newTwinCommand(env Env) *cobra.Command {
	cmd := newGroup("twin", "Show and change what devices and back ends share", "")
	t := &twinCommands{env: env, login: addLoginFlags(cmd), out: addOutputFlag(cmd)}
	addModuleFlag(cmd, &t.module)
	cmd.AddCommand(t.show(), t.update(), t.replace(), t.watch())
	return cmd
}

// addModuleFlag gives cmd and all below it --module.
func addModuleFlag(cmd *cobra.Command, module *string) {
	cmd.PersistentFlags().StringVar(module, "module", "", "`id` of a module of the device: its own in place of the device's")
}

// identityOf returns the identity that arguments and --module name.
// DEVICE/MODULE is one argument for both: ids hold no slash.
func identityOf(cmd *cobra.Command, device, module string) (hubward.Identity, error) {
	if before, after, ok := strings.Cut(device, "/"); ok {
		if module != "" || hubward.ValidateID(after) != nil {
			return hubward.Identity{}, usagef(cmd, "%q is no DEVICE/MODULE, or --module names another one", device)
		}
		device, module = before, after
	}
	if hubward.ValidateID(device) != nil {
		return hubward.Identity{}, usagef(cmd, "%q is no device id", device)
	}
	if module != "" && hubward.ValidateID(module) != nil {
		return hubward.Identity{}, usagef(cmd, "--module %q is no module id", module)
	}
	return hubward.Identity{Device: device, Module: module}, nil
}

func (t *twinCommands) show() *cobra.Command {
	return &cobra.Command{
		Use: "show ID [--module ID]", Short: "Show a twin", Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		Long: "Show the tags, desired and reported properties of a device. With -o json they come as the service has them, with the\n" +
			"times at which each of them was written.",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := identityOf(cmd, args[0], t.module)
			if err != nil {
				return err
			}
			return withClient(t.env, t.login, func(c *service.Client) error {
				twin, err := c.Twin(cmd.Context(), id)
				if err != nil {
					return err
				}
				return t.print(twin)
			})
		},
	}
}

// print prints a twin: names and values, and a block for each section, or the service's JSON.
func (t *twinCommands) print(twin *hubward.Twin) error {
	if t.out.json {
		return writeJSON(t.env.Stdout, twin)
	}
	var b bytes.Buffer
	err := writeFields(&b, []field{
		{"device", twin.DeviceID},
		{"module", twin.ModuleID},
		{"status", string(twin.Status)},
		{"connection", string(twin.ConnectionState)},
		{"last activity", shortTime(twin.LastActivityTime.Time)},
		{"model", twin.ModelID},
		{"etag", twin.ETag},
		{"version", strconv.FormatInt(twin.Version, 10)},
	})
	if err != nil {
		return err
	}
	for _, s := range []struct {
		name    string
		section json.RawMessage
	}{{"tags", twin.Tags}, {"desired", twin.Properties.Desired}, {"reported", twin.Properties.Reported}} {
		if err := writeSection(&b, s.name, s.section); err != nil {
			return err
		}
	}
	_, err = t.env.Stdout.Write(b.Bytes())
	return err
}

// writeSection prints a section of a twin, without what the hub adds to it.
func writeSection(w io.Writer, name string, section json.RawMessage) error {
	plain, err := hubward.PlainSection(section)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, escapeJSON(plain), "  ", "  "); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s:\n  %s\n", sectionName(name, section), b.Bytes())
	return err
}

// sectionName is the name with the version of the section, if it has one.
func sectionName(name string, section json.RawMessage) string {
	if version := hubward.SectionVersion(section); version > 0 {
		return fmt.Sprintf("%s (version %d)", name, version)
	}
	return name
}
