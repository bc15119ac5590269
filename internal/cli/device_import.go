package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/service"
)

// maxImportLine bounds one identity of an import file, in bytes.
const maxImportLine = 1 << 20

// importModes are the values of --mode.
var importModes = []string{string(service.CreateOrUpdate), string(service.Create), string(service.Update), string(service.Delete)}

func (d *deviceCommands) export() *cobra.Command {
	return &cobra.Command{
		Use: "export", Short: "Print all devices as JSON lines, keys included",
		Long: "Print the JSON of each identity on a line of its own, keys included, as device import reads it.\nA hub lists up to 1000 devices; with more, the command fails.",
		Args: cobra.NoArgs, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.withClient(func(c *service.Client) error {
				devices, err := c.Devices(cmd.Context(), 0)
				if err != nil {
					return err
				}
				total, err := c.RegistryStatistics(cmd.Context())
				if err == nil && total.TotalDeviceCount > len(devices) {
					err = fmt.Errorf("the hub has %d devices but lists only %d, an export would not be complete", total.TotalDeviceCount, len(devices))
				}
				if err != nil {
					return err
				}
				for i := range devices {
					if err := writeJSON(d.env.Stdout, &devices[i]); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func (d *deviceCommands) importFile() *cobra.Command {
	mode := string(service.CreateOrUpdate)
	cmd := &cobra.Command{
		Use: "import FILE [--mode createOrUpdate|create|update|delete]", Short: "Register the devices of a file",
		Long: "Register the devices of a file of JSON lines, as device export prints them; - is standard input.\nRows that fail are listed; the others are done.",
		Args: cobra.ExactArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			i := slices.IndexFunc(importModes, func(m string) bool { return strings.EqualFold(m, mode) })
			if i < 0 {
				return usagef(cmd, "--mode %q is none of %s", mode, strings.Join(importModes, ", "))
			}
			in, name := cmd.InOrStdin(), "standard input"
			if args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer file.Close()
				in, name = file, args[0]
			}
			return d.withClient(func(c *service.Client) error {
				run := &importRun{client: c, mode: service.ImportMode(importModes[i]), stderr: d.env.Stderr}
				if err := run.all(cmd.Context(), in); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				return run.report(d)
			})
		},
	}
	cmd.Flags().StringVar(&mode, "mode", mode, strings.Join(importModes, ", "))
	return cmd
}

// importRun reads identities and sends them in bulk calls.
type importRun struct {
	client *service.Client
	mode   service.ImportMode
	stderr io.Writer

	line         int // of the file, from 1
	batch        []service.BulkItem
	done, failed int
}

func (r *importRun) all(ctx context.Context, in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxImportLine)
	for lines.Scan() {
		r.line++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		if err := r.add(ctx, lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w", r.line+1, err)
	}
	return r.send(ctx)
}

func (r *importRun) add(ctx context.Context, line []byte) error {
	// An export of the cloud service names the device "id".
	row := struct {
		hubward.Device
		ID string `json:"id"`
	}{}
	if err := json.Unmarshal(line, &row); err != nil {
		return fmt.Errorf("line %d is no identity (%d devices before it are done): %w", r.line, r.done, err)
	}
	if row.DeviceID == "" {
		row.DeviceID = row.ID
	}
	if row.DeviceID == "" {
		return fmt.Errorf("line %d has no deviceId (%d devices before it are done)", r.line, r.done)
	}
	r.batch = append(r.batch, service.BulkItem{Device: row.Device, Mode: r.mode})
	if len(r.batch) < service.MaxBulkItems {
		return nil
	}
	return r.send(ctx)
}

func (r *importRun) send(ctx context.Context) error {
	if len(r.batch) == 0 {
		return nil
	}
	result, err := r.client.BulkDevices(ctx, r.batch)
	if err != nil {
		return fmt.Errorf("the bulk call that ends with line %d failed (%d devices before it are done): %w", r.line, r.done, err)
	}
	for _, e := range result.Errors {
		fmt.Fprintf(r.stderr, "%s: %s\n", printable(e.DeviceID), printable(e.ErrorStatus))
	}
	for _, w := range result.Warnings {
		fmt.Fprintf(r.stderr, "%s: warning: %s\n", printable(w.DeviceID), printable(w.WarningStatus))
	}
	r.failed += len(result.Errors)
	r.done += len(r.batch) - len(result.Errors)
	r.batch = r.batch[:0]
	return nil
}

// report prints the counts; failed rows make the command fail.
func (r *importRun) report(d *deviceCommands) error {
	if d.out.json {
		if err := writeJSON(d.env.Stdout, map[string]int{"done": r.done, "failed": r.failed}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(d.env.Stdout, "%d devices done, %d failed\n", r.done, r.failed)
	}
	if r.failed > 0 {
		return fmt.Errorf("%d of %d devices failed", r.failed, r.failed+r.done)
	}
	return nil
}
