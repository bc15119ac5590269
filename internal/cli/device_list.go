package cli

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/service"
)

func (d *deviceCommands) list() *cobra.Command {
	var top int
	cmd := &cobra.Command{
		Use: "list [--top N]", Short: "List devices", Args: cobra.NoArgs, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			given := cmd.Flags().Changed("top")
			if given && top < 1 {
				return usagef(cmd, "--top %d lists nothing: it is 1 or more", top)
			}
			return d.withClient(func(c *service.Client) error {
				devices := c.AllDevices(cmd.Context())
				if given {
					devices = firstDevices(cmd.Context(), c, top)
				}
				return writeBuffered(d.env.Stdout, func(w io.Writer) error { return d.printDevices(w, devices) })
			})
		},
	}
	cmd.Flags().IntVar(&top, "top", 0, "how many to list (default: all)")
	return cmd
}

// firstDevices gives up to top devices, without asking for more than it takes.
func firstDevices(ctx context.Context, c *service.Client, top int) iter.Seq2[hubward.Device, error] {
	return func(yield func(hubward.Device, error) bool) {
		if top < listPage {
			devices, err := c.Devices(ctx, top)
			if err != nil {
				yield(hubward.Device{}, err)
				return
			}
			for i := range devices {
				if !yield(devices[i], nil) {
					return
				}
			}
			return
		}
		for device, err := range c.AllDevices(ctx) {
			if !yield(device, err) {
				return
			}
			if top--; top == 0 {
				return
			}
		}
	}
}

// listPage is how many rows of a table are aligned and printed together, which is as many as come in a call.
const listPage = 1000

func (d *deviceCommands) printDevices(w io.Writer, devices iter.Seq2[hubward.Device, error]) error {
	table := &growingTable{w: w, header: []string{"DEVICE", "STATUS", "CONNECTION", "AUTHENTICATION", "LAST ACTIVITY"}}
	for device, err := range devices {
		if err == nil && d.out.json {
			err = writeJSON(w, &device)
		} else if err == nil {
			err = table.add(deviceRow(&device))
		}
		if err != nil {
			return err
		}
	}
	if d.out.json {
		return nil
	}
	return table.flush()
}

func deviceRow(device *hubward.Device) []string {
	auth := ""
	if device.Authentication != nil {
		auth = string(device.Authentication.Type)
	}
	return []string{
		device.DeviceID, string(device.Status), string(device.ConnectionState), auth, shortTime(device.LastActivityTime.Time),
	}
}

// growingTable prints a table of any length, page by page. Its columns grow from page to page, when they have to, and never
// shrink.
type growingTable struct {
	w      io.Writer
	header []string // nil: it is printed
	widths []int
	rows   [][]string
}

func (t *growingTable) add(row []string) error {
	for i, cell := range row {
		row[i] = printable(cell)
	}
	t.rows = append(t.rows, row)
	if len(t.rows) < listPage {
		return nil
	}
	return t.flush()
}

func (t *growingTable) flush() error {
	if t.header != nil {
		t.widths = make([]int, len(t.header))
		t.rows = append([][]string{t.header}, t.rows...)
		t.header = nil
	}
	for _, row := range t.rows {
		for i, cell := range row {
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i+1 < len(row) {
				line.WriteString(strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		if _, err := fmt.Fprintln(t.w, line.String()); err != nil {
			return err
		}
	}
	t.rows = t.rows[:0]
	return nil
}
