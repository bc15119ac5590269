//go:build interop

package interop_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	"github.com/google/go-cmp/cmp"
)

// newGoPartition makes a client of one partition, which is closed when the test ends.
func newGoPartition(t *testing.T, client *azeventhubs.ConsumerClient, partition string, o azeventhubs.PartitionClientOptions) *azeventhubs.PartitionClient {
	t.Helper()
	p, err := client.NewPartitionClient(partition, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(context.Background()) }) // its client is closed as well, and so may be the hub
	return p
}

// onPartition returns what a fleet has stored on one partition.
func (f *fleet) onPartition(t *testing.T, partition string) []event {
	t.Helper()
	return slices.DeleteFunc(f.stored(t), func(e event) bool { return e.Partition != partition })
}

// goWants reads events of one partition until the last one wanted has come, and compares those of the same devices.
func goWants(t *testing.T, p *azeventhubs.PartitionClient, want []event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readerWithin)
	defer cancel()
	devices := map[string]bool{}
	for _, e := range want {
		devices[e.Device] = true
	}
	var got []event
	for seen, last := int64(-1), want[len(want)-1].Sequence; seen < last; {
		events, err := p.ReceiveEvents(ctx, 1, nil)
		if err != nil {
			t.Fatalf("after event %d: %v", seen, err)
		}
		for _, e := range events {
			shown := goShown(want[0].Partition, e)
			if seen = shown.Sequence; devices[shown.Device] {
				got = append(got, shown)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%d events came, want %d (-want +got):\n%.5000s", len(got), len(want), diff)
	}
}

// goFails receives from a partition where that has to fail at once, and returns the error.
func goFails(t *testing.T, p *azeventhubs.PartitionClient) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readerWithin)
	defer cancel()
	events, err := p.ReceiveEvents(ctx, 1, nil)
	if err == nil || ctx.Err() != nil {
		t.Fatalf("got %d events and the error %v, want a refusal", len(events), err)
	}
	return err
}

// The SDK accepts nothing, and grants new credit only for what arrives settled; it begins with 300.
func TestGo_creditGoesOn(t *testing.T) {
	f := newFleet(t, "go-credit")
	f.send(t, 400)
	want := f.onPartition(t, "1")
	for name, prefetch := range map[string]int32{"the SDK's credit": 0, "a credit of one": 1, "credit by hand": -1} {
		t.Run(name, func(t *testing.T) {
			client := newGoClient(t, goOptions{retries: goOnce})
			goWants(t, newGoPartition(t, client, "1", azeventhubs.PartitionClientOptions{
				StartPosition: azeventhubs.StartPosition{SequenceNumber: &want[0].Sequence, Inclusive: true}, Prefetch: prefetch,
			}), want)
		})
	}
}

// The SDK's latest is decided when the link opens.
func TestGo_latest(t *testing.T) {
	f := newFleet(t, "go-latest")
	f.send(t, 5)
	p := newGoPartition(t, newGoClient(t, goOptions{retries: goOnce}), "2", azeventhubs.PartitionClientOptions{
		StartPosition: azeventhubs.StartPosition{Latest: to.Ptr(true)},
	})
	ctx, cancel := context.WithTimeout(t.Context(), attachWithin)
	defer cancel()
	if events, err := p.ReceiveEvents(ctx, 1, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%d events (%v) where none was expected", len(events), err)
	}
	f.send(t, 3)
	goWants(t, p, f.onPartition(t, "2")[devicesEach*5:])
}

// Positions that are not there are refused, and the refused readers leave nothing behind.
func TestGo_refusesPositions(t *testing.T) {
	f := newFleet(t, "go-outside")
	f.send(t, 3)
	want := f.onPartition(t, "0")
	client := newGoClient(t, goOptions{retries: goOnce})
	behind := want[len(want)-1].Sequence + 1000
	for name, c := range map[string]struct {
		partition string
		start     azeventhubs.StartPosition
	}{
		"number behind the last":       {"0", azeventhubs.StartPosition{SequenceNumber: &behind}},
		"offset behind the last":       {"0", azeventhubs.StartPosition{Offset: to.Ptr("9000000000000000")}},
		"offset that is not a number":  {"0", azeventhubs.StartPosition{Offset: to.Ptr("sometime")}},
		"partition that is not there":  {"99", azeventhubs.StartPosition{Earliest: to.Ptr(true)}},
		"partition that has no number": {"first", azeventhubs.StartPosition{Earliest: to.Ptr(true)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Log(goFails(t, newGoPartition(t, client, c.partition, azeventhubs.PartitionClientOptions{StartPosition: c.start})))
		})
	}
	goWants(t, newGoPartition(t, client, "0", azeventhubs.PartitionClientOptions{
		StartPosition: azeventhubs.StartPosition{SequenceNumber: &want[0].Sequence, Inclusive: true},
	}), want)
}

// The SDK has a code for a refused log-in, but not where it asks for properties: there it hands on the status.
func TestGo_propertiesNeedTheKey(t *testing.T) {
	client := newGoClient(t, goOptions{key: "bm90IHRoZSBrZXk=", retries: goOnce})
	ctx, cancel := context.WithTimeout(t.Context(), readerWithin)
	defer cancel()
	if _, err := client.GetEventHubProperties(ctx, nil); err == nil || !strings.Contains(err.Error(), "status code 401") {
		t.Errorf("the event hub: %v, want status code 401", err)
	}
	if _, err := client.GetPartitionProperties(ctx, "0", nil); err == nil || !strings.Contains(err.Error(), "status code 401") {
		t.Errorf("a partition: %v, want status code 401", err)
	}
}

func wantGoCode(t *testing.T, err error, code azeventhubs.ErrorCode) {
	t.Helper()
	if e := (*azeventhubs.Error)(nil); !errors.As(err, &e) || e.Code != code {
		t.Errorf("the error is %v, want one of code %q", err, code)
	}
}
