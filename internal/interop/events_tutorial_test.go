//go:build interop

package interop_test

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"
)

// The first tutorial: a monitor that follows all events from now on, in the way of iothub-explorer, and a device that
// tells the wind speed. Each message is shown when it is sent, with the device that sent it.
func TestEvents_tutorial(t *testing.T) {
	const id = "tutorial"
	createDevice(t, id)
	for _, r := range readers() {
		if r.name != "eh008" {
			continue
		}
		// The SDKs write $Default in more than one way.
		monitor := r.open(t, readOptions{group: "$default", start: "time", time: time.Now().UnixMilli()})
		defer stopReader(t, monitor)
		if err := waitReady(monitor); err != nil {
			t.Fatal(err)
		}
		for n := range 3 {
			mustRun(t, "simulate", id, "--count", strconv.Itoa(1))
			e, err := nextEvent(monitor)
			if err != nil {
				t.Fatalf("message %d: %v", n, err)
			}
			var body struct {
				DeviceID  string
				WindSpeed float64
			}
			if err := json.Unmarshal([]byte(e.Body), &body); err != nil || body.WindSpeed < 1 || body.DeviceID != id || e.Device != id {
				t.Errorf("message %d is shown as %+v (%v)", n, e, err)
			}
			if alert := strconv.FormatBool(body.WindSpeed > 15); e.Properties["windAlert"] != alert {
				t.Errorf("message %d of wind speed %g has the properties %v", n, body.WindSpeed, e.Properties)
			}
		}
	}
}
