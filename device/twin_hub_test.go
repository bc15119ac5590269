package device_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/service"
)

// talking runs a test over the protocols that have twins and methods.
func talking(t *testing.T, test func(t *testing.T, p device.Protocol, h *realHub)) {
	overAll(t, func(t *testing.T, p device.Protocol, h *realHub) {
		if p != device.HTTPS { // see TestTwin_needsAConnectionThatTalks
			test(t, p, h)
		}
	})
}

// desire writes desired properties and returns their version.
func (h *realHub) desire(patch string) int64 {
	h.t.Helper()
	twin, err := h.service.UpdateTwin(h.t.Context(), h.identity(), service.TwinPatch{Desired: json.RawMessage(patch)}, "")
	if err != nil {
		h.t.Fatal(err)
	}
	return hubward.SectionVersion(twin.Properties.Desired)
}

func (h *realHub) identity() hubward.Identity { return hubward.Identity{Device: h.device.DeviceID} }

// wantReported fails unless the reported properties are as they should be.
func (h *realHub) wantReported(want string) {
	h.t.Helper()
	twin, err := h.service.Twin(h.t.Context(), h.identity())
	if err != nil {
		h.t.Fatal(err)
	}
	got, err := hubward.PlainSection(twin.Properties.Reported)
	if err != nil || string(got) != want {
		h.t.Errorf("reported are %.500s, %v; want %.500s", got, err, want)
	}
}

func TestHub_twin(t *testing.T) {
	talking(t, func(t *testing.T, p device.Protocol, h *realHub) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		c := h.connect(device.Options{Protocol: p})
		fresh, err := c.Twin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		empty := device.TwinProperties{JSON: json.RawMessage("{}"), Version: 1}
		if diff := cmp.Diff(&device.Twin{Desired: empty, Reported: empty}, fresh); diff != "" {
			t.Errorf("a fresh twin (-want +got):\n%s", diff)
		}
		for i, patch := range []string{`{"fw":"1.2","old":1,"thermostat1":{"__t":"c","max":38.70}}`, `{"old":null,"thermostat1":{"max":40,"ü":"<&>"}}`, `{"a":[1,{"b":4503599627370495}]}`} {
			if v, err := c.UpdateReported(ctx, json.RawMessage(patch)); err != nil || v != int64(i+2) {
				t.Errorf("%s: version %d, %v", patch, v, err)
			}
		}
		const reported = `{"a":[1,{"b":4503599627370495}],"fw":"1.2","thermostat1":{"__t":"c","max":40,"ü":"<&>"}}`
		h.wantReported(reported)
		h.desire(`{"interval":30,"deep":{"er":1.50}}`)
		twin, err := c.Twin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		want := &device.Twin{
			Desired:  device.TwinProperties{JSON: json.RawMessage(`{"deep":{"er":1.50},"interval":30}`), Version: 2},
			Reported: device.TwinProperties{JSON: json.RawMessage(reported), Version: 4},
		}
		if diff := cmp.Diff(want, twin); diff != "" {
			t.Errorf("twin (-want +got):\n%s", diff)
		}
	})
}

// What the hub refuses is told, and the connection stays.
func TestHub_refusesPatches(t *testing.T) {
	talking(t, func(t *testing.T, p device.Protocol, h *realHub) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		lost := make(chan error, 10)
		c := h.connect(device.Options{Protocol: p, OnState: func(s device.State, err error) {
			if s == device.Disconnected {
				lost <- err
			}
		}})
		full := strings.Repeat("x", 4<<10)
		for i := range 7 {
			if _, err := c.UpdateReported(ctx, map[string]string{fmt.Sprint("k", i): full}); err != nil {
				t.Fatal(err)
			}
		}
		for name, row := range map[string]struct {
			patch string
			text  string
		}{
			"a name with a dot": {`{"a.b":1}`, "a.b"},
			"too deep":          {`{"a":` + strings.Repeat(`{"b":`, 12) + `1` + strings.Repeat(`}`, 12) + `}`, ""},
			"together too long": {`{"k8":"` + full + `","k9":"` + full + `"}`, ""},
			"too long a text":   {`{"k8":"` + full + `x"}`, "k8"},
		} {
			_, err := c.UpdateReported(ctx, json.RawMessage(row.patch))
			if code := hubward.CodeOf(err); code != hubward.CodeArgumentInvalid && code != hubward.CodeMessageTooLarge || !strings.Contains(err.Error(), row.text) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if v, err := c.UpdateReported(ctx, map[string]any{"last": true}); err != nil || v != 9 {
			t.Errorf("afterwards: version %d, %v", v, err)
		}
		if len(lost) > 0 {
			t.Errorf("the connection was lost: %v", <-lost)
		}
	})
}

// mirror is a device's copy of its desired properties, kept by merging what OnDesired is called with.
type mirror struct {
	mu       sync.Mutex
	document map[string]any
	versions []int64
	changed  chan bool
}

func (m *mirror) on(_ context.Context, d device.DesiredChange) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.document == nil {
		m.document = map[string]any{}
	}
	var patch map[string]any
	if err := d.Decode(&patch); err != nil {
		panic(err)
	}
	device.Merge(m.document, patch)
	m.versions = append(m.versions, d.Version)
	select {
	case m.changed <- true:
	default:
	}
}

// reaches waits until the mirror has come to a version, and returns all it has seen.
func (m *mirror) reaches(t *testing.T, version int64) (document map[string]any, versions []int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		m.mu.Lock()
		document, versions = m.document, slices.Clone(m.versions)
		m.mu.Unlock()
		if len(versions) > 0 && versions[len(versions)-1] >= version {
			return document, versions
		}
		select {
		case <-m.changed:
		case <-ctx.Done():
			t.Fatalf("version %d did not come, only %v", version, versions)
		}
	}
}

// Every change arrives, in order, and one by one while the connection lasts.
func TestHub_desiredInOrder(t *testing.T) {
	talking(t, func(t *testing.T, p device.Protocol, h *realHub) {
		h.desire(`{"before":1,"list":[1,2]}`)
		c := h.connect(device.Options{Protocol: p})
		m := &mirror{changed: make(chan bool, 1)}
		if err := c.OnDesired(m.on); err != nil {
			t.Fatal(err)
		}
		m.reaches(t, 2)
		var last int64
		for i := range 30 {
			last = h.desire(fmt.Sprintf(`{"n":%d,"o":{"m%d":%d},"before":null}`, i, i%5, i))
		}
		document, versions := m.reaches(t, last)
		var want []int64
		for v := int64(2); v <= last; v++ {
			want = append(want, v)
		}
		if !slices.Equal(versions, want) {
			t.Errorf("versions %v", versions)
		}
		h.wantMirrored(document)
	})
}

// wantMirrored fails unless the document is that of the hub.
func (h *realHub) wantMirrored(document map[string]any) {
	h.t.Helper()
	twin, err := h.service.Twin(h.t.Context(), h.identity())
	if err != nil {
		h.t.Fatal(err)
	}
	var want map[string]any
	if err := hubward.DecodeSection(twin.Properties.Desired, &want); err != nil {
		h.t.Fatal(err)
	}
	if !reflect.DeepEqual(want, document) {
		h.t.Errorf("the device has %v, the hub %v", document, want)
	}
}

// While connections keep breaking the device ends with what the hub has, and versions never go back.
func TestHub_desiredWhileConnectionsBreak(t *testing.T) {
	talking(t, func(t *testing.T, p device.Protocol, h *realHub) {
		cuts := &cutter{dial: h.Dial}
		c := h.connect(device.Options{Protocol: p, Dial: cuts.connect, Backoff: device.Backoff{Min: time.Millisecond, Max: time.Millisecond}})
		m := &mirror{changed: make(chan bool, 1)}
		if err := c.OnDesired(m.on); err != nil {
			t.Fatal(err)
		}
		m.reaches(t, 1)
		var last int64
		for i := range 40 {
			last = h.desire(fmt.Sprintf(`{"n":%d,"gone%d":null,"gone%d":1,"o":{"m%d":{"x":%d},"m%d":null}}`, i, i-1, i, i%3, i, (i+1)%3))
			if i%6 == 5 {
				cuts.cut()
			}
			if i%10 == 7 {
				if _, err := h.service.ReplaceTwin(t.Context(), h.identity(), service.TwinPatch{Desired: map[string]any{"o": map[string]any{"kept": i}}}, ""); err != nil {
					t.Fatal(err)
				}
				last++
			}
		}
		document, versions := m.reaches(t, last)
		if !slices.IsSorted(versions) {
			t.Errorf("versions %v", versions)
		}
		h.wantMirrored(document)
	})
}

// Reported patches get through connections that keep breaking, in the order of the calls.
func TestHub_reportedWhileConnectionsBreak(t *testing.T) {
	talking(t, func(t *testing.T, p device.Protocol, h *realHub) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		cuts := &cutter{dial: h.Dial}
		c := h.connect(device.Options{Protocol: p, Dial: cuts.connect, Backoff: device.Backoff{Min: time.Millisecond, Max: time.Millisecond}})
		var version int64
		var wg sync.WaitGroup
		for i := range 60 {
			if i%5 == 4 {
				wg.Go(cuts.cut) // before, while or after the patch is sent
			}
			v, err := c.UpdateReported(ctx, map[string]int{"n": i, fmt.Sprint("k", i%7): i})
			if err != nil || v <= version {
				t.Fatalf("patch %d: version %d after %d, %v", i, v, version, err)
			}
			version = v
		}
		wg.Wait()
		h.wantReported(`{"k0":56,"k1":57,"k2":58,"k3":59,"k4":53,"k5":54,"k6":55,"n":59}`)
	})
}

// Telemetry, twin and methods share a connection.
func TestHub_allAtOnce(t *testing.T) {
	talking(t, func(t *testing.T, p device.Protocol, h *realHub) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		c := h.connect(device.Options{Protocol: p, ModelID: "dtmi:com:example:Thermostat;1"})
		m := &mirror{changed: make(chan bool, 1)}
		if err := errors.Join(c.OnDesired(m.on), c.HandleMethod("", echo)); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				if err := c.SendTelemetry(ctx, &hubward.Message{Body: []byte("{}")}); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				if _, err := c.UpdateReported(ctx, map[string]int{fmt.Sprint("r", i): i}); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				if got, err := h.invoke(ctx, "m", fmt.Sprint(i)); err != nil || string(got.Payload) != fmt.Sprint(i) {
					t.Errorf("call %d: %s, %v", i, got.Payload, err)
				}
			})
		}
		last := h.desire(`{"a":1}`)
		m.reaches(t, last)
		wg.Wait()
		twin, err := h.service.Twin(ctx, h.identity())
		if err != nil || twin.ModelID != "dtmi:com:example:Thermostat;1" {
			t.Errorf("the model id is %q, %v", twin.ModelID, err)
		}
		if v := hubward.SectionVersion(twin.Properties.Reported); v != 21 {
			t.Errorf("the version of the reported properties is %d", v)
		}
	})
}
