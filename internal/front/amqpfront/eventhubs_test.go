package amqpfront_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"github.com/hubward/hubward/internal/front/amqpfront"
)

// consumer makes a client of the Event Hubs SDK for Go, by the connection string of an emulator: plain TCP, any port.
func (f *fixture) consumer(address, key string) *azeventhubs.ConsumerClient {
	f.t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		f.t.Fatal(err)
	}
	text := fmt.Sprintf("Endpoint=sb://localhost:%s;SharedAccessKeyName=service;SharedAccessKey=%s;EntityPath=plant;UseDevelopmentEmulator=true", port, key)
	c, err := azeventhubs.NewConsumerClientFromConnectionString(text, "", azeventhubs.DefaultConsumerGroup, &azeventhubs.ConsumerClientOptions{
		RetryOptions: azeventhubs.RetryOptions{MaxRetries: -1},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close(context.Background()) }) //nolint:errcheck // nothing depends on it
	return c
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestEventHubsSDK_reads(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.append(2, 1000)
	c := f.consumer(f.listen(), f.policyKey("service"))
	properties, err := c.GetEventHubProperties(deadline(t), nil)
	if err != nil || properties.Name != "plant" || len(properties.PartitionIDs) != 4 || properties.GeoReplicationEnabled {
		t.Fatalf("%+v, %v", properties, err)
	}
	partition, err := c.GetPartitionProperties(deadline(t), "2", nil)
	if err != nil || partition.LastEnqueuedSequenceNumber != 999 || partition.LastEnqueuedOffset != "999" || partition.IsEmpty {
		t.Fatalf("%+v, %v", partition, err)
	}
	empty, err := c.GetPartitionProperties(deadline(t), "0", nil)
	if err != nil || !empty.IsEmpty || empty.LastEnqueuedSequenceNumber != -1 {
		t.Fatalf("%+v, %v", empty, err)
	}
	earliest := true
	p, err := c.NewPartitionClient("2", &azeventhubs.PartitionClientOptions{StartPosition: azeventhubs.StartPosition{Earliest: &earliest}})
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
			if e.SystemProperties["iothub-connection-device-id"] != "d1" || e.EnqueuedTime == nil || *e.MessageID != fmt.Sprint("m", next) {
				t.Fatalf("event %d: %+v", next, e)
			}
			next++
		}
	}
}

func TestEventHubsSDK_ownership(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.append(0, 1)
	c := f.consumer(f.listen(), f.policyKey("service"))
	level, earliest := int64(0), true
	open := func() *azeventhubs.PartitionClient {
		p, err := c.NewPartitionClient("0", &azeventhubs.PartitionClientOptions{
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
	f := newFixture(t, amqpfront.Options{})
	address := f.listen()
	sequence := int64(77)
	read := func(key string) error {
		p, err := f.consumer(address, key).NewPartitionClient("0", &azeventhubs.PartitionClientOptions{
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
	if err := read(f.policyKey("device")); !errors.As(err, &e) || e.Code != azeventhubs.ErrorCodeUnauthorizedAccess {
		t.Errorf("wrong key: %v", err)
	}
	if err := read(f.policyKey("service")); err == nil || !strings.Contains(err.Error(), "The supplied sequence number '77' is invalid") {
		t.Errorf("a position that is not there: %v", err)
	}
}
