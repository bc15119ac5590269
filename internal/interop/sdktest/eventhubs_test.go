package sdktest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/testhub"
	"github.com/hubward/hubward/sas"
)

const (
	deviceID   = "d1"
	partitions = 4 // of a hub that testhub starts
)

// partition is the one that holds the device's events, by the number that is n higher.
func partition(n int) string {
	return strconv.Itoa((hub.PartitionOf(deviceID, partitions) + n) % partitions)
}

// start starts a hub that serves AMQP without TLS too.
func start(t *testing.T) *testhub.Hub {
	t.Helper()
	return testhub.Start(t, testhub.PlainAMQP())
}

// send registers the device, sends n messages and returns when they are stored. Their bodies are "0", "1", …
func send(t *testing.T, h *testhub.Hub, n int) {
	t.Helper()
	h.CreateDevice(deviceID)
	d, err := device.NewFromConnectionString(h.DeviceConnectionString(deviceID), &device.Options{CA: h.CA, Dial: h.Dial})
	if err != nil {
		t.Fatal(err)
	}
	ctx := deadline(t)
	if err := d.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	confirmed := make(chan error, n)
	for i := range n {
		err := d.SendTelemetryAsync(ctx, &hubward.Message{
			MessageID: fmt.Sprint("m", i), Body: fmt.Append(nil, i), Properties: []hubward.Property{{Name: "alert", Value: "true"}},
		}, func(err error) { confirmed <- err })
		if err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		if err := <-confirmed; err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// consumer makes a client by the connection string of an emulator, which names the real port, with the policy "service"
// and the key of a policy.
func consumer(t *testing.T, h *testhub.Hub, keyOf string) *azeventhubs.ConsumerClient {
	t.Helper()
	text := h.EmulatorConnectionString("service")
	text = strings.Replace(text, key(t, h, "service"), key(t, h, keyOf), 1)
	c, err := azeventhubs.NewConsumerClientFromConnectionString(text, "", azeventhubs.DefaultConsumerGroup, &azeventhubs.ConsumerClientOptions{
		RetryOptions: azeventhubs.RetryOptions{MaxRetries: -1},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) }) //nolint:errcheck // nothing depends on it
	return c
}

func key(t *testing.T, h *testhub.Hub, policy string) string {
	t.Helper()
	cs, err := sas.ParseConnectionString(h.ConnectionString(policy))
	if err != nil {
		t.Fatal(err)
	}
	return cs.SharedAccessKey
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestEventHubsSDK_reads(t *testing.T) {
	h := start(t)
	send(t, h, 1000)
	c := consumer(t, h, "service")
	properties, err := c.GetEventHubProperties(deadline(t), nil)
	if err != nil || properties.Name != testhub.Name || len(properties.PartitionIDs) != partitions || properties.GeoReplicationEnabled {
		t.Fatalf("%+v, %v", properties, err)
	}
	full, err := c.GetPartitionProperties(deadline(t), partition(0), nil)
	if err != nil || full.LastEnqueuedSequenceNumber != 999 || full.LastEnqueuedOffset != "999" || full.IsEmpty {
		t.Fatalf("%+v, %v", full, err)
	}
	empty, err := c.GetPartitionProperties(deadline(t), partition(1), nil)
	if err != nil || !empty.IsEmpty || empty.LastEnqueuedSequenceNumber != -1 {
		t.Fatalf("%+v, %v", empty, err)
	}
	earliest := true
	p, err := c.NewPartitionClient(partition(0), &azeventhubs.PartitionClientOptions{StartPosition: azeventhubs.StartPosition{Earliest: &earliest}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(context.Background()) //nolint:errcheck // nothing depends on it
	for next := 0; next < 1000; {
		events, err := p.ReceiveEvents(deadline(t), 100, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.SequenceNumber != int64(next) || e.Offset != fmt.Sprint(next) || string(e.Body) != fmt.Sprint(next) || e.Properties["alert"] != "true" {
				t.Fatalf("event %d: %+v", next, e)
			}
			if e.SystemProperties["iothub-connection-device-id"] != deviceID || e.EnqueuedTime == nil || *e.MessageID != fmt.Sprint("m", next) {
				t.Fatalf("event %d: %+v", next, e)
			}
			next++
		}
	}
}

func TestEventHubsSDK_ownership(t *testing.T) {
	h := start(t)
	send(t, h, 1)
	c := consumer(t, h, "service")
	level, earliest := int64(0), true
	open := func() *azeventhubs.PartitionClient {
		p, err := c.NewPartitionClient(partition(0), &azeventhubs.PartitionClientOptions{
			OwnerLevel: &level, StartPosition: azeventhubs.StartPosition{Earliest: &earliest},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close(context.Background()) }) //nolint:errcheck // nothing depends on it
		if _, err := p.ReceiveEvents(deadline(t), 1, nil); err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := open()
	open()
	_, err := first.ReceiveEvents(deadline(t), 1, nil)
	var e *azeventhubs.Error
	if !errors.As(err, &e) || e.Code != azeventhubs.ErrorCodeOwnershipLost {
		t.Errorf("the first reader: %v", err)
	}
}

func TestEventHubsSDK_refusals(t *testing.T) {
	h := start(t)
	sequence := int64(77)
	read := func(keyOf string) error {
		p, err := consumer(t, h, keyOf).NewPartitionClient(partition(0), &azeventhubs.PartitionClientOptions{
			StartPosition: azeventhubs.StartPosition{SequenceNumber: &sequence},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close(context.Background()) //nolint:errcheck // nothing depends on it
		_, err = p.ReceiveEvents(deadline(t), 1, nil)
		return err
	}
	var e *azeventhubs.Error
	if err := read("device"); !errors.As(err, &e) || e.Code != azeventhubs.ErrorCodeUnauthorizedAccess {
		t.Errorf("wrong key: %v", err)
	}
	if err := read("service"); err == nil || !strings.Contains(err.Error(), "The supplied sequence number '77' is invalid") {
		t.Errorf("a position that is not there: %v", err)
	}
}
