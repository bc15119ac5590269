package device_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
)

func (h *realHub) invoke(ctx context.Context, name, payload string) (hubward.MethodResult, error) {
	call := hubward.MethodCall{Name: name, ConnectTimeout: 10 * time.Second, ResponseTimeout: 20 * time.Second}
	if payload != "" {
		call.Payload = json.RawMessage(payload)
	}
	return h.service.InvokeMethod(ctx, h.identity(), call)
}

func TestHub_methods(t *testing.T) {
	large := `"` + strings.Repeat("x", hubward.MaxMethodPayload-2) + `"`
	rows := []struct {
		name, payload string
		status        int
		answer        string
	}{
		{"echo", `{"a":[1,2.50,"ü<&>"]}`, 200, `{"a":[1,2.50,"ü<&>"]}`},
		{"echo", ``, 200, `null`},
		{"echo", `null`, 200, `null`},
		{"echo", `""`, 200, `""`},
		{"echo", large, 200, large},
		{"echo", `{"status":418,"payload":7}`, 418, `7`},
		{"echo", `{"status":-1}`, -1, `null`},
		{"echo", `{"error":"stuck"}`, 500, `{"error":"stuck"}`},
		{"thermostat1*echo", `1`, 200, `1`},
		{"panics", `1`, 500, `{"error":"the handler failed"}`},
		{"none", `1`, 501, `{"error":"there is no method \"none\""}`},
	}
	talking(t, func(t *testing.T, p device.Protocol, h *realHub) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		c := h.connect(device.Options{Protocol: p})
		err := errors.Join(c.HandleMethod("echo", echo), c.HandleMethod("thermostat1*echo", echo),
			c.HandleMethod("panics", func(context.Context, *device.MethodRequest) (int, any, error) { panic("no") }))
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			got, err := h.invoke(ctx, row.name, row.payload)
			if err != nil || got.Status != row.status || string(got.Payload) != row.answer {
				t.Errorf("%s %.100s: %d %.100s, %v", row.name, row.payload, got.Status, got.Payload, err)
			}
		}
	})
}

// Many calls are under way at once, and answered in any order.
func TestHub_methodsAtOnce(t *testing.T) {
	talking(t, func(t *testing.T, p device.Protocol, h *realHub) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		c := h.connect(device.Options{Protocol: p, MaxMethods: 30})
		var mu sync.Mutex
		var release []chan bool
		err := c.HandleMethod("wait", func(ctx context.Context, r *device.MethodRequest) (int, any, error) {
			mine := make(chan bool)
			mu.Lock()
			release = append(release, mine)
			if len(release) == 20 { // all are here: the last goes first
				slices.Reverse(release)
				go func() {
					for _, other := range release {
						other <- true
					}
				}()
			}
			mu.Unlock()
			<-mine
			return 200, r.Payload, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				got, err := h.invoke(ctx, "wait", fmt.Sprint(i))
				if err != nil || string(got.Payload) != fmt.Sprint(i) {
					t.Errorf("call %d: %s, %v", i, got.Payload, err)
				}
			})
		}
		wg.Wait()
	})
}

// A caller learns at once that the device has gone, and the next call goes to the next connection.
func TestHub_methodsWhenTheConnectionBreaks(t *testing.T) {
	talking(t, func(t *testing.T, p device.Protocol, h *realHub) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		cuts := &cutter{dial: h.Dial}
		c := h.connect(device.Options{Protocol: p, Dial: cuts.connect})
		cutting := true
		err := c.HandleMethod("m", func(ctx context.Context, r *device.MethodRequest) (int, any, error) {
			if cutting {
				cutting = false
				cuts.cut()
			}
			return 200, r.Payload, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := h.invoke(ctx, "m", "1"); hubward.CodeOf(err) != hubward.CodeDeviceConnectionClosed {
			t.Errorf("the call whose answer is lost: %+v, %v", got, err)
		}
		if got, err := h.invoke(ctx, "m", "2"); err != nil || string(got.Payload) != "2" {
			t.Errorf("the next one: %+v, %v", got, err)
		}
	})
}
