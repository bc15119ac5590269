package device_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
)

func TestTwin_needsAConnectionThatTalks(t *testing.T) {
	n := newPipes(t)
	client := n.client(device.Options{})
	calls := func(client *device.Client) (errs []error) {
		_, err := client.Twin(t.Context())
		_, err2 := client.UpdateReported(t.Context(), json.RawMessage("{}"))
		return []error{err, err2}
	}
	for _, err := range calls(client) {
		if hubward.CodeOf(err) != hubward.CodeInvalidOperation {
			t.Errorf("before Connect: %v", err)
		}
	}
	if err := client.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, err := range calls(client) {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
	https := n.client(device.Options{Protocol: device.HTTPS})
	errs := append(calls(https),
		https.OnDesired(func(context.Context, device.DesiredChange) {}),
		https.HandleMethod("m", func(context.Context, *device.MethodRequest) (int, any, error) { return 200, nil, nil }))
	for _, err := range errs {
		if hubward.CodeOf(err) != hubward.CodeInvalidOperation || !strings.Contains(err.Error(), "MQTT or AMQP") {
			t.Errorf("over HTTPS: %v", err)
		}
	}
}
