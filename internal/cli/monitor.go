package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/service"
)

// monitorFlags are the flags of monitor.
type monitorFlags struct {
	device, from, group string
	count               int
	verbose             bool
}

func newMonitorCommand(env Env) *cobra.Command {
	var f monitorFlags
	cmd := &cobra.Command{
		Use:   "monitor [--device ID] [--from earliest|latest|TIME] [--count N]",
		Short: "Print telemetry as it arrives",
		Long: "Print the telemetry of a hub as it arrives: time, device and body, then the application properties.\n" +
			"TIME is like 2026-01-31T08:00:00Z, or a duration such as 10m, which means that long ago.\n" +
			"When the connection breaks it is made again, and no event is left out or printed twice.",
		Args: cobra.NoArgs, DisableFlagsInUseLine: true,
	}
	login, out := addLoginFlags(cmd), addOutputFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.device, "device", "", "`id` of the only device to show")
	flags.StringVar(&f.from, "from", "latest", "where to start: earliest, latest or a `time`")
	flags.IntVar(&f.count, "count", 0, "end after that many events (0: on Ctrl-C)")
	flags.StringVar(&f.group, "consumer-group", "", "`name` of the consumer group to read in (default $Default)")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "also print system properties and annotations")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if f.count < 0 {
			return usagef(cmd, "--count %d is negative", f.count)
		}
		o, err := f.options(time.Now())
		if err != nil {
			return usagef(cmd, "%s", err)
		}
		return withClient(env, login, func(c *service.Client) error {
			m := &monitor{env: env, client: c, flags: f, json: out.json, style: styleFor(env)}
			return m.run(cmd.Context(), o)
		})
	}
	return cmd
}

// options turns flags into what the stream is asked for.
func (f *monitorFlags) options(now time.Time) (service.EventsOptions, error) {
	o := service.EventsOptions{DeviceID: f.device, ConsumerGroup: f.group}
	if f.device != "" {
		if err := hubward.ValidateID(f.device); err != nil {
			return o, fmt.Errorf("--device %q is no device id", f.device)
		}
	}
	switch f.from {
	case "latest":
		return o, nil
	case "earliest":
		o.Earliest = true
		return o, nil
	}
	if ago, err := hubward.ParseDuration(f.from); err == nil && ago >= 0 {
		o.From = now.Add(-ago)
		return o, nil
	}
	var err error
	if o.From, err = time.Parse(time.RFC3339Nano, f.from); err != nil {
		return o, fmt.Errorf("--from %q is not earliest, latest, a time like 2026-01-31T08:00:00Z or a duration like 10m", f.from)
	}
	return o, nil
}

// monitor prints one stream.
type monitor struct {
	env    Env
	client *service.Client
	flags  monitorFlags
	json   bool
	style  style
}

// run prints events until there are enough of them, or ctx ends, which is no failure.
func (m *monitor) run(ctx context.Context, o service.EventsOptions) error {
	m.warnAboutDevice(ctx)
	o.OnRetry = func(err error, wait time.Duration) {
		fmt.Fprintf(m.env.Stderr, "hubward: connection lost, trying again in %s: %s\n", wait, oneLine(err.Error()))
	}
	seen := 0
	for e, err := range m.client.Events(ctx, o) {
		if err != nil && ctx.Err() != nil {
			return cutShort(seen, m.flags.count, "events")
		}
		if err != nil {
			return err
		}
		if err := m.print(e); err != nil {
			return err
		}
		if seen++; seen == m.flags.count {
			return nil
		}
	}
	return nil
}

// warnAboutDevice tells of a device that does not exist, since its silence would not. Its old events may, so this is
// no failure; nor is a policy that may not look.
func (m *monitor) warnAboutDevice(ctx context.Context) {
	if m.flags.device == "" {
		return
	}
	_, err := m.client.Device(ctx, m.flags.device)
	var e *hubward.Error
	if errors.As(err, &e) && e.Code == hubward.CodeDeviceNotFound {
		fmt.Fprintf(m.env.Stderr, "hubward: warning: there is no device %s now\n", m.flags.device)
	}
}

func (m *monitor) print(e *service.Event) error {
	var b bytes.Buffer
	if m.json {
		b.Write(escapeJSON(e.Raw))
		b.WriteByte('\n')
	} else {
		m.printBlock(&b, e)
	}
	_, err := m.env.Stdout.Write(b.Bytes())
	return err
}

// printBlock prints one event for people: a line with time, device and body, then indented lines with properties.
func (m *monitor) printBlock(w *bytes.Buffer, e *service.Event) {
	sender := e.DeviceID()
	if module := e.ModuleID(); module != "" {
		sender += "/" + module
	}
	fmt.Fprintf(w, "%s  %s  %s\n",
		m.style.paint(colourDim, e.EnqueuedTime.UTC().Format("2006-01-02T15:04:05.000Z")),
		m.style.paint(colourBold, printable(sender)), m.body(e))
	for _, name := range slices.Sorted(maps.Keys(e.Properties)) {
		m.printProperty(w, "", name, e.Properties[name])
	}
	if !m.flags.verbose {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(e.SystemProperties)) {
		m.printProperty(w, "system ", name, e.SystemProperties[name])
	}
	for _, name := range slices.Sorted(maps.Keys(e.Annotations)) {
		m.printProperty(w, "annotation ", name, annotationText(e.Annotations[name]))
	}
}

func (m *monitor) printProperty(w io.Writer, kind, name, value string) {
	fmt.Fprintf(w, "    %s%s: %s\n", m.style.paint(colourDim, kind), m.style.paint(colourName, printable(name)), printable(value))
}

func annotationText(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(text)
}

// body is one line: compact JSON, text, or base64 of what is neither.
func (m *monitor) body(e *service.Event) string {
	switch {
	case e.Body == nil:
		return fmt.Sprintf("%s (%d bytes, base64)", base64.StdEncoding.EncodeToString(e.BodyBase64), len(e.BodyBase64))
	case e.Body[0] == '"':
		return printable(string(e.Bytes()))
	}
	return m.paintJSON(string(escapeJSON(e.Body)))
}

// paintJSON colours the names of members: strings that a colon follows.
func (m *monitor) paintJSON(text string) string {
	if !m.style.colours {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		if text[0] != '"' {
			n := strings.IndexByte(text, '"')
			if n < 0 {
				n = len(text)
			}
			b.WriteString(text[:n])
			text = text[n:]
			continue
		}
		n := stringEnd(text)
		if strings.HasPrefix(text[n:], ":") {
			b.WriteString(m.style.paint(colourName, text[:n]))
		} else {
			b.WriteString(text[:n])
		}
		text = text[n:]
	}
	return b.String()
}

// stringEnd returns the length of the JSON string that text begins with.
func stringEnd(text string) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}
