package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/service"
)

func (d *deviceCommands) export() *cobra.Command {
	return &cobra.Command{
		Use: "export [FILE]", Short: "Write all devices and modules as JSON lines, keys and twins included",
		Long: "Write the JSON of each identity on a line of its own, keys and twin included, as device import reads it: to standard\n" +
			"output, or to a FILE that appears, readable by its owner alone, when it is whole. A device's modules follow it.\n" +
			"Devices and modules that come and go meanwhile may be in it or not; all others are in it once.",
		Args: cobra.MaximumNArgs(1), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return d.withClient(func(c *service.Client) error {
				run := &exportRun{client: c, progress: newProgress(d.env, "devices")}
				if len(args) == 0 || args[0] == "-" {
					if isTerminal(d.env.Stdout) {
						run.progress.w = nil // the lines tell
					}
					return writeBuffered(d.env.Stdout, func(w io.Writer) error { return run.all(cmd.Context(), w) })
				}
				if err := writeWhole(args[0], func(w io.Writer) error { return run.all(cmd.Context(), w) }); err != nil {
					return err
				}
				return run.report(d, args[0])
			})
		},
	}
}

// exportRun writes the identities of a hub, with their twins.
type exportRun struct {
	client        *service.Client
	progress      *progress
	done, modules int
}

// exportRow is a line: an identity, and the members by which the cloud service's export adds its twin.
//
// Source: Azure/azure-iot-sdk-csharp iothub/service/src/Registry/Models/ExportImportDevice.cs.
type exportRow struct {
	*hubward.Device
	TwinETag   string                 `json:"twinETag"`
	Tags       json.RawMessage        `json:"tags"`
	Properties hubward.TwinProperties `json:"properties"`
}

// exportModule is the line of a module.
type exportModule struct {
	*hubward.Module
	TwinETag   string                 `json:"twinETag"`
	Tags       json.RawMessage        `json:"tags"`
	Properties hubward.TwinProperties `json:"properties"`
}

func (r *exportRun) all(ctx context.Context, w io.Writer) error {
	defer r.progress.clear()
	total, err := r.client.RegistryStatistics(ctx)
	if err != nil {
		return err
	}
	twins := newTwinRows(ctx, r.client)
	defer twins.stop()
	modules := newModuleRows(ctx, r.client)
	defer modules.stop()
	for device, err := range r.client.AllDevices(ctx) {
		if err != nil {
			return err
		}
		twin, err := twins.of(device.DeviceID)
		if err != nil {
			return err
		}
		if twin == nil {
			continue // the device has come or gone since the one list was read, and before the other one was
		}
		if err := writeJSON(w, exportRow{&device, twin.ETag, twin.Tags, twin.Properties}); err != nil {
			return err
		}
		if err := r.modulesOf(ctx, w, modules, device.DeviceID); err != nil {
			return err
		}
		r.done++
		if r.done%100 == 0 {
			r.progress.show(r.done, float64(r.done)/float64(max(total.TotalDeviceCount, r.done)))
		}
	}
	return nil
}

// twinRows are the twins of a hub's devices, in the order of their ids, which is that of AllDevices.
type twinRows struct {
	next func() (json.RawMessage, error, bool)
	stop func()
	twin *hubward.Twin // the last one that was read and not asked for; nil: none yet, or no more
	end  bool
}

func newTwinRows(ctx context.Context, c *service.Client) *twinRows {
	r := &twinRows{}
	r.next, r.stop = iter.Pull2(c.Query(ctx, "SELECT * FROM devices"))
	return r
}

// of returns the twin of a device, nil if there is none; each call is for a later device than the one before.
func (r *twinRows) of(device string) (*hubward.Twin, error) {
	for !r.end && (r.twin == nil || r.twin.DeviceID < device) {
		row, err, more := r.next()
		if err != nil {
			return nil, err
		}
		if r.twin, r.end = nil, !more; !more {
			break
		}
		r.twin = new(hubward.Twin)
		if err := json.Unmarshal(row, r.twin); err != nil {
			return nil, fmt.Errorf("the hub's list of twins cannot be read: %w", err)
		}
	}
	if r.twin == nil || r.twin.DeviceID != device {
		return nil, nil
	}
	return r.twin, nil
}

func (r *exportRun) report(d *deviceCommands, file string) error {
	if d.out.json {
		return writeJSON(d.env.Stdout, map[string]int{"devices": r.done, "modules": r.modules})
	}
	what := fmt.Sprintf("%d devices", r.done)
	if r.modules > 0 {
		what += fmt.Sprintf(" and %d modules", r.modules)
	}
	_, err := fmt.Fprintf(d.env.Stdout, "%s written to %s\n", what, file)
	return err
}
