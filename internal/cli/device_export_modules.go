package cli

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/service"
)

// modulesOf writes the modules of a device.
func (r *exportRun) modulesOf(ctx context.Context, w io.Writer, rows *moduleRows, device string) error {
	modules, err := rows.of(ctx, device)
	if err != nil {
		return err
	}
	for i := range modules {
		m := &modules[i]
		twin, err := r.client.Twin(ctx, hubward.Identity{Device: m.DeviceID, Module: m.ModuleID})
		if isNotFound(err) {
			continue // it has gone meanwhile
		}
		if err != nil {
			return err
		}
		if err := writeJSON(w, exportModule{m, twin.ETag, twin.Tags, twin.Properties}); err != nil {
			return err
		}
		r.modules++
	}
	return nil
}

// moduleRows are the modules of a hub's devices, in the order of the devices' ids, which is that of AllDevices.
type moduleRows struct {
	client *service.Client
	next   func() (hubward.Module, error, bool)
	stop   func()
	module hubward.Module // the last one that was read and not given
	read   bool           // there is one
	end    bool           // no more will be read
	single bool           // the hub, which is none of Hubward's, lists the modules of one device at a time
}

func newModuleRows(ctx context.Context, c *service.Client) *moduleRows {
	r := &moduleRows{client: c}
	r.next, r.stop = iter.Pull2(c.AllModules(ctx))
	return r
}

// of returns the modules of a device; each call is for a later device than the one before.
func (r *moduleRows) of(ctx context.Context, device string) (modules []hubward.Module, err error) {
	for !r.single {
		if !r.read && !r.end {
			if err := r.advance(); err != nil {
				return nil, err
			}
			continue
		}
		if r.end || r.module.DeviceID > device {
			return modules, nil
		}
		if r.module.DeviceID == device {
			modules = append(modules, r.module)
		}
		r.read = false
	}
	modules, err = r.client.Modules(ctx, device)
	if isNotFound(err) {
		return nil, nil // the device has gone meanwhile
	}
	return modules, err
}

func (r *moduleRows) advance() error {
	module, err, more := r.next()
	switch {
	case isNotFound(err):
		r.single = true
		return nil
	case err != nil:
		return err
	}
	r.module, r.read, r.end = module, more, !more
	return nil
}

// isNotFound reports whether a hub does not have what it was asked for.
func isNotFound(err error) bool {
	var e *hubward.Error
	return errors.As(err, &e) && e.Code.HTTPStatus() == http.StatusNotFound
}
