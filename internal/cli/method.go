package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/service"
)

func newMethodCommand(env Env) *cobra.Command {
	cmd := newGroup("method", "Call direct methods of devices", "")
	cmd.AddCommand(newMethodInvokeCommand(env))
	return cmd
}

// methodInvoke is one run of method invoke.
type methodInvoke struct {
	env     Env
	out     *outputFlag
	module  string
	payload string
	timeout time.Duration
	connect time.Duration
}

// failedStatus is the first status of a device that is a failure, as in HTTP.
const failedStatus = 400

func newMethodInvokeCommand(env Env) *cobra.Command {
	m := &methodInvoke{env: env}
	cmd := &cobra.Command{
		Use:   "invoke ID NAME [--payload JSON] [--timeout D] [--connect-timeout D] [--module ID]",
		Short: "Call a direct method of a device and print its answer",
		Long: "Call a direct method of a device that is connected, and print the status and the payload of its answer. The exit status\n" +
			"is 0 if the device answered with a status below 400, and 1 if it answered with another, or not at all.\n" + jsonHelp + "\n" +
			"Times have whole seconds: 5s to 5m for the answer, and with --connect-timeout up to as long for the device to connect.",
		Args: cobra.ExactArgs(2), DisableFlagsInUseLine: true,
	}
	login := addLoginFlags(cmd)
	m.out = addOutputFlag(cmd)
	addModuleFlag(cmd, &m.module)
	flags := cmd.Flags()
	flags.StringVar(&m.payload, "payload", "", "`JSON` that the method is called with (default: none)")
	flags.DurationVar(&m.timeout, "timeout", hubward.DefaultResponseTimeout, "how long the device may take to answer")
	flags.DurationVar(&m.connect, "connect-timeout", 0, "how long to wait for the device to connect")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := identityOf(cmd, args[0], m.module)
		if err != nil {
			return err
		}
		call, err := m.call(cmd, args[1])
		if err != nil {
			return err
		}
		return withClient(env, login, func(c *service.Client) error { return m.run(cmd.Context(), c, id, call) })
	}
	return cmd
}

// call makes the call of the command line.
func (m *methodInvoke) call(cmd *cobra.Command, name string) (call hubward.MethodCall, err error) {
	call = hubward.MethodCall{Name: name, ResponseTimeout: m.timeout, ConnectTimeout: m.connect}
	switch {
	case m.timeout < hubward.MinResponseTimeout || m.timeout > hubward.MaxResponseTimeout || m.timeout%time.Second != 0:
		return call, usagef(cmd, "--timeout is %v to %v in whole seconds, not %v", hubward.MinResponseTimeout, hubward.MaxResponseTimeout, m.timeout)
	case m.connect < 0 || m.connect > hubward.MaxConnectTimeout || m.connect%time.Second != 0:
		return call, usagef(cmd, "--connect-timeout is 0s to %v in whole seconds, not %v", hubward.MaxConnectTimeout, m.connect)
	case m.connect > m.timeout:
		return call, usagef(cmd, "--connect-timeout %v is longer than --timeout, which is %v", m.connect, m.timeout)
	}
	if m.payload != "" {
		call.Payload, err = readJSON(cmd, "payload", m.payload)
	}
	return call, err
}

func (m *methodInvoke) run(ctx context.Context, c *service.Client, id hubward.Identity, call hubward.MethodCall) error {
	result, err := c.InvokeMethod(ctx, id, call)
	if err != nil {
		return err
	}
	if err := m.print(&result); err != nil {
		return err
	}
	if result.Status >= failedStatus {
		return fmt.Errorf("%s answered %s with status %d", id, printable(call.Name), result.Status)
	}
	return nil
}

// print prints an answer: a line with the status and the payload, or the service's JSON.
func (m *methodInvoke) print(result *hubward.MethodResult) error {
	if m.out.json {
		return writeJSON(m.env.Stdout, result)
	}
	if len(result.Payload) == 0 { // no hub of ours leaves it out
		result.Payload = json.RawMessage("null")
	}
	var payload bytes.Buffer
	if err := json.Indent(&payload, escapeJSON(result.Payload), "", "  "); err != nil {
		return err
	}
	_, err := fmt.Fprintf(m.env.Stdout, "status:  %d\n%s\n", result.Status, payload.Bytes())
	return err
}
