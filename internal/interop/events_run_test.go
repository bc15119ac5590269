//go:build interop

package interop_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/childhub"
	hubrules "github.com/hubward/hubward/internal/hub"
)

// partitions is how many the hub under test has.
const partitions = 4

// devicesEach is how many devices of a run are on one partition.
const devicesEach = 2

// fleet is a run of numbered messages: its devices, which are on all partitions, and what they have sent so far.
type fleet struct {
	id      string
	devices []*sender
	began   time.Time
}

// sender is one device of a fleet.
type sender struct {
	*hubward.Device
	client *device.Client
	sent   int // messages that the hub has acknowledged
}

// newFleet registers and connects a run's devices; they leave when the test ends.
func newFleet(t *testing.T, id string) *fleet {
	t.Helper()
	roots, err := hub.Roots()
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{id: id, began: time.Now()}
	for partition := range partitions {
		for n := range devicesEach {
			made, cs := createDevice(t, deviceOn(fmt.Sprintf("%s-%d", id, n), partition))
			client, err := device.NewFromConnectionString(cs, &device.Options{CA: roots})
			if err != nil {
				t.Fatal(err)
			}
			if err := client.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = client.Close(context.Background()) }) // the hub may be gone after a failure
			f.devices = append(f.devices, &sender{Device: made, client: client})
		}
	}
	return f
}

// deviceOn returns an id that begins so and is on a partition.
func deviceOn(id string, partition int) string {
	for n := 0; ; n++ {
		if name := fmt.Sprintf("%s-%d", id, n); hubrules.PartitionOf(name, partitions) == partition {
			return name
		}
	}
}

// send makes each device send n more messages, all devices at once, and returns when the hub has them.
func (f *fleet) send(t *testing.T, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readerWithin)
	defer cancel()
	errs := make(chan error, len(f.devices)*n)
	for _, d := range f.devices {
		for range n {
			if err := d.client.SendTelemetryAsync(ctx, f.message(d.DeviceID, d.sent), func(err error) { errs <- err }); err != nil {
				t.Fatal(err)
			}
			d.sent++
		}
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

// message is message n of a device. Of ten, one is text and one has nothing but its id; one of a run is so large that it
// does not fit into a frame.
func (f *fleet) message(id string, n int) *hubward.Message {
	m := &hubward.Message{
		MessageID: fmt.Sprintf("%s %d", id, n), CorrelationID: fmt.Sprintf("correlation %d/ä", n),
		ContentType: "application/json", ContentEncoding: "utf-8",
		Properties: []hubward.Property{{Name: "number", Value: strconv.Itoa(n)}, {Name: "awkward name", Value: "a/b & c=d + €"}},
		Body:       fmt.Appendf(nil, `{"run":"%s","number":%d,"windSpeed":%d.5}`, f.id, n, 5+n%16),
	}
	switch {
	case n == 7:
		m.ContentType, m.Body = "text/plain", bytes.Repeat(fmt.Appendf(nil, "log of %s, page %d\n", f.id, n), 4000)
	case n%10 == 8:
		return &hubward.Message{MessageID: m.MessageID}
	case n%10 == 9:
		m.ContentType, m.Body = "text/plain", fmt.Appendf(nil, "reading %d of %s: 10 °C", n, f.id)
	}
	return m
}

// stored returns the run as every reader has to show it, ordered by partition and sequence number. Positions and times
// are those that the hub's own event stream tells, the rest is what was sent. A message that a device has sent again
// because a restart left its fate open may be there twice.
func (f *fleet) stored(t *testing.T) []event {
	t.Helper()
	byID := map[string]*sender{}
	left := 0
	for _, d := range f.devices {
		byID[d.DeviceID] = d
		left += d.sent
	}
	ctx, cancel := context.WithTimeout(t.Context(), readWithin)
	defer cancel()
	var all []event
	seen := map[string]bool{}
	query := url.Values{"from": {f.began.Add(-time.Minute).UTC().Format(time.RFC3339Nano)}}
	err := hub.Events(ctx, query, func(e childhub.Event) bool {
		if d := byID[e.Annotations.DeviceID]; d != nil {
			n, err := messageNumber(e.SystemProperties.MessageID)
			if err != nil {
				t.Errorf("an event of %s: %v", d.DeviceID, err)
			}
			all = append(all, wantEvent(d.Device, f.message(d.DeviceID, n), e))
			if !seen[e.SystemProperties.MessageID] {
				seen[e.SystemProperties.MessageID] = true
				left--
			}
		}
		return left > 0
	})
	if err != nil {
		t.Fatalf("%d events of run %s are missing: %v", left, f.id, err)
	}
	slices.SortStableFunc(all, byPosition)
	return all
}

// messageNumber is the inverse of a message's id.
func messageNumber(id string) (int, error) {
	_, number, _ := strings.Cut(id, " ")
	return strconv.Atoi(number)
}

func wantEvent(d *hubward.Device, m *hubward.Message, at childhub.Event) event {
	properties := map[string]string{}
	for _, p := range m.Properties {
		properties[p.Name] = p.Value
	}
	return event{
		Partition: at.Partition, Sequence: at.SequenceNumber, Offset: at.Offset, Enqueued: at.EnqueuedTime.UnixMilli(),
		Device: d.DeviceID, Body: string(m.Body), MessageID: m.MessageID, CorrelationID: m.CorrelationID,
		ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, Properties: properties,
		System: stamps{
			"iothub-connection-device-id":          d.DeviceID,
			"iothub-connection-auth-generation-id": d.GenerationID,
			"iothub-connection-auth-method":        `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`,
			"iothub-enqueuedtime":                  strconv.FormatInt(at.Annotations.HubEnqueued, 10),
			"iothub-message-source":                "Telemetry",
		},
	}
}

func byPosition(a, b event) int {
	return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Sequence, b.Sequence))
}

// collect reads a run's events until the last one wanted of each partition has come.
func (f *fleet) collect(r eventReader, want []event) ([]event, error) {
	ours := map[string]bool{}
	for _, d := range f.devices {
		ours[d.DeviceID] = true
	}
	last := map[string]int64{}
	for _, e := range want {
		last[e.Partition] = e.Sequence
	}
	var got []event
	for len(last) > 0 {
		e, err := nextEvent(r)
		if err != nil {
			return got, err
		}
		if !ours[e.Device] {
			continue
		}
		got = append(got, e)
		if end, ok := last[e.Partition]; ok && e.Sequence >= end {
			delete(last, e.Partition)
		}
	}
	return got, nil
}

// wantExactly reads a run's events, each of which has to come once, as it was sent and in its partition's order.
func (f *fleet) wantExactly(t *testing.T, r eventReader, want []event) {
	t.Helper()
	got, err := f.collect(r, want)
	if err != nil {
		t.Fatalf("%d of %d events came: %v", len(got), len(want), err)
	}
	slices.SortStableFunc(got, func(a, b event) int { return cmp.Compare(a.Partition, b.Partition) })
	wantSame(t, want, got)
}

// wantSame compares events in the order of their partitions.
func wantSame(t *testing.T, want, got []event) {
	t.Helper()
	if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%d events came, want %d (-want +got):\n%.5000s", len(got), len(want), diff)
	}
}

// openReaders opens all readers at once and returns when all are ready. options gets each reader's own consumer group.
func openReaders(t *testing.T, rs []reader, options func(group string) readOptions) map[string]eventReader {
	t.Helper()
	open := map[string]eventReader{}
	for _, r := range rs {
		open[r.name] = r.open(t, options(newGroup(t, r.name)))
	}
	var all sync.WaitGroup
	for name, r := range open {
		all.Go(func() {
			if err := waitReady(r); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return open
}

// newGroup makes a consumer group that is removed when the test ends, and returns its name.
func newGroup(t *testing.T, prefix string) string {
	t.Helper()
	name := fmt.Sprintf("%s-%x", prefix, time.Now().UnixNano())
	mustRun(t, "consumer-group", "create", name)
	t.Cleanup(func() { mustRun(t, "consumer-group", "delete", name) })
	return name
}
