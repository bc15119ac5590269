package device_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/sas"
	"github.com/hubward/hubward/service"
)

// moduleOptions has the module m#1% of the hub's device registered with a key, or the thumbprint of a certificate, and returns its
// connection string and options.
func (h *realHub) moduleOptions(p device.Protocol, byCertificate bool) (sas.ConnectionString, *device.Options) {
	h.t.Helper()
	m := hubward.Module{DeviceID: h.device.DeviceID, ModuleID: "m#1%"}
	opts := &device.Options{Protocol: p, CA: h.CA, Dial: h.Dial}
	if byCertificate {
		opts.ClientCertificate = clientCertificate(h.t, "any name")
		m.Authentication = &hubward.Authentication{
			Type: hubward.AuthSelfSigned, X509Thumbprint: hubward.X509Thumbprint{PrimaryThumbprint: thumbprint(opts.ClientCertificate)},
		}
	}
	stored, err := h.App.Hub().PutModule(h.t.Context(), h.Process(), m, "")
	if err != nil {
		h.t.Fatal(err)
	}
	cs := sas.ConnectionString{HostName: h.Host, DeviceID: m.DeviceID, ModuleID: m.ModuleID, X509: byCertificate}
	if !byCertificate {
		cs.SharedAccessKey = string(stored.Authentication.SymmetricKey.PrimaryKey)
	}
	return cs, opts
}

// A module does what a device does, but for messages from the cloud, whatever it logs in with.
func TestHub_modules(t *testing.T) {
	for name, byCertificate := range map[string]bool{"key": false, "certificate": true} {
		t.Run(name, func(t *testing.T) {
			overAll(t, func(t *testing.T, p device.Protocol, h *realHub) {
				cs, opts := h.moduleOptions(p, byCertificate)
				c, err := device.NewFromConnectionString(cs.String(), opts)
				if err != nil {
					t.Fatal(err)
				}
				defer h.close(c)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				if err := c.Connect(ctx); err != nil {
					t.Fatal(err)
				}
				if err := c.SendToOutput(ctx, "out 1", &hubward.Message{Body: []byte(`{"a":1}`)}); err != nil {
					t.Fatal(err)
				}
				e := events(t, h.Hub, 1)[0]
				if e.DeviceID() != cs.DeviceID || e.Annotations["iothub-connection-module-id"] != cs.ModuleID || string(e.Body) != `{"a":1}` {
					t.Errorf("the event has %v, body %s", e.Annotations, e.Body)
				}
				if p == device.HTTPS {
					return
				}
				if e.Annotations["iothub-outputname"] != "out 1" {
					t.Errorf("the event has %v", e.Annotations)
				}
				h.moduleTwinAndMethods(ctx, c, hubward.Identity{Device: cs.DeviceID, Module: cs.ModuleID})
			})
		})
	}
}

// moduleTwinAndMethods checks the twin and a method of a module that is connected.
func (h *realHub) moduleTwinAndMethods(ctx context.Context, c *device.Client, id hubward.Identity) {
	h.t.Helper()
	changes := make(chan string, 10)
	if err := c.OnDesired(func(_ context.Context, d device.DesiredChange) { changes <- string(d.Patch) }); err != nil {
		h.t.Fatal(err)
	}
	if first := <-changes; first != "{}" {
		h.t.Errorf("desired %s", first)
	}
	if _, err := h.service.UpdateTwin(ctx, id, service.TwinPatch{Desired: map[string]any{"b": 2}}, ""); err != nil {
		h.t.Fatal(err)
	}
	if second := <-changes; second != `{"b":2}` {
		h.t.Errorf("desired %s", second)
	}
	if _, err := c.UpdateReported(ctx, map[string]int{"r": 3}); err != nil {
		h.t.Error(err)
	}
	if own, err := c.Twin(ctx); err != nil || string(own.Reported.JSON) != `{"r":3}` || string(own.Desired.JSON) != `{"b":2}` {
		h.t.Errorf("%+v, %v", own, err)
	}
	err := c.HandleMethod("add", func(context.Context, *device.MethodRequest) (int, any, error) { return 201, 4, nil })
	if err != nil {
		h.t.Fatal(err)
	}
	call := hubward.MethodCall{Name: "add", Payload: json.RawMessage("1"), ConnectTimeout: 20 * time.Second}
	if r, err := h.service.InvokeMethod(ctx, id, call); err != nil || r.Status != 201 || string(r.Payload) != "4" {
		h.t.Errorf("%+v, %v", r, err)
	}
}
