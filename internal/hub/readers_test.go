package hub_test

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// readerFixture is a hub whose log the test writes to directly, and a second one.
type readerFixture struct{ *fixture }

func newReaderFixture(t *testing.T) readerFixture {
	t.Helper()
	f := readerFixture{newFixture(t)}
	f.createHub("second")
	return f
}

// fill stores one event per text in partition 0 of a hub, each a second after the one before.
func (f readerFixture) fill(hubName string, texts ...string) {
	f.t.Helper()
	stored := make(chan error, 1)
	p := f.log.Producer(hub.Partition{Hub: f.LogName(hubName), Endpoint: hub.EndpointEvents}, func(_ int, err error) { stored <- err })
	for _, text := range texts {
		f.advance(time.Second)
		if err := p.Append(f.t.Context(), []byte(text)); err != nil {
			f.t.Fatal(err)
		}
		if err := <-stored; err != nil {
			f.t.Fatal(err)
		}
	}
}

// readerOptions are hub.ReaderOptions with the name of the hub; empty: plant.
type readerOptions struct {
	Hub           string
	ConsumerGroup string
	Partition     int
	Start         hub.Position
	Name          string
	Epoch         *int64
}

func (f readerFixture) open(o readerOptions) (*hub.Reader, error) {
	if o.ConsumerGroup == "" {
		o.ConsumerGroup = "$Default"
	}
	r, err := f.other().OpenReader(f.t.Context(), cmp.Or(o.Hub, "plant"), hub.ReaderOptions{
		ConsumerGroup: o.ConsumerGroup, Partition: o.Partition, Start: o.Start, Name: o.Name, Epoch: o.Epoch,
	})
	if err == nil {
		f.t.Cleanup(r.Close)
	}
	return r, err
}

func (f readerFixture) mustOpen(o readerOptions) *hub.Reader {
	f.t.Helper()
	r, err := f.open(o)
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// read returns the next n events, reading one at a time.
func read(t *testing.T, r *hub.Reader, n int) []string {
	t.Helper()
	var got []string
	for len(got) < n {
		err := r.Read(t.Context(), 1<<20, func(rec hub.Record) bool {
			got = append(got, string(rec.Data))
			return false
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return got
}

func epoch(n int64) *int64 { return &n }

// Source: learn.microsoft.com/archive/blogs/gyan/event-hubs-receiver-epoch; the texts: Azure/azure-sdk-for-java#32046 and
// #38117, Azure/azure-event-hubs-java#328.
func TestOpenReader_precedence(t *testing.T) {
	const nonEpoch = "At least one receiver for the endpoint is created with epoch of '3', and so non-epoch receiver is not allowed. " +
		"Either reconnect with a higher epoch, or make sure all epoch receivers are closed or disconnected."
	const lower = "Receiver 'a' with a higher epoch '3' already exists. Receiver 'new' with epoch 2 cannot be created. Make sure you are " +
		"creating receiver with increasing epoch value to ensure connectivity, or ensure all old epoch receivers are closed or disconnected."
	displaced := func(by int, old string, epoch int) string {
		return fmt.Sprintf("New receiver 'new' with higher epoch of '%d' is created hence current receiver '%s' with epoch '%d' is getting "+
			"disconnected. If you are recreating the receiver, make sure a higher epoch is used.", by, old, epoch)
	}
	const limit = "Exceeded the maximum number of allowed receivers per partition in a consumer group which is 5. " +
		"List of connected receivers - a, b, c, d, nil."
	type open struct {
		name  string
		epoch *int64
	}
	plain := []open{{"a", nil}, {"b", nil}, {"c", nil}, {"d", nil}, {"", nil}}
	for _, test := range []struct {
		what    string
		there   []open
		new     *int64
		refused string
		code    hubward.Code
		ended   []string // what the readers that are there get
	}{
		{"nobody, plain", nil, nil, "", 0, nil},
		{"nobody, exclusive", nil, epoch(0), "", 0, nil},
		{"a higher epoch", []open{{"a", epoch(3)}}, epoch(4), "", 0, []string{displaced(4, "a", 3)}},
		{"an equal epoch", []open{{"a", epoch(3)}}, epoch(3), "", 0, []string{displaced(3, "a", 3)}},
		{"epoch 0 again", []open{{"", epoch(0)}}, epoch(0), "", 0, []string{displaced(0, "nil", 0)}},
		{"a lower epoch", []open{{"a", epoch(3)}}, epoch(2), lower, hubward.CodeReaderDisplaced, []string{""}},
		{"a plain one beside an exclusive one", []open{{"a", epoch(3)}}, nil, nonEpoch, hubward.CodeReaderDisplaced, []string{""}},
		{"the fifth plain one", plain[:4], nil, "", 0, make([]string, 4)},
		{"the sixth plain one", plain, nil, limit, hubward.CodeReaderLimit, make([]string, 5)},
		{"an exclusive one beside plain ones", plain[:2], epoch(0), "", 0, []string{displaced(0, "a", -1), displaced(0, "b", -1)}},
	} {
		t.Run(test.what, func(t *testing.T) {
			f := newReaderFixture(t)
			var there []*hub.Reader
			for _, o := range test.there {
				there = append(there, f.mustOpen(readerOptions{Name: o.name, Epoch: o.epoch}))
			}
			_, err := f.open(readerOptions{Name: "new", Epoch: test.new, ConsumerGroup: "$DEFAULT"})
			var refused *hubward.Error
			if errors.As(err, &refused); test.refused == "" && err != nil || test.refused != "" && (err == nil || refused.Message != test.refused || refused.Code != test.code) {
				t.Errorf("the new one gets %v", err)
			}
			for i, r := range there {
				_, err := r.Bounds(t.Context())
				var ended *hubward.Error
				if errors.As(err, &ended); test.ended[i] == "" && err != nil || test.ended[i] != "" && (err == nil || ended.Message != test.ended[i] || ended.Code != hubward.CodeReaderDisplaced) {
					t.Errorf("reader %d gets %v", i, err)
				}
			}
		})
	}
}

// Partitions, consumer groups and hubs are apart, and what was displaced, refused or closed takes no place.
func TestOpenReader_limit(t *testing.T) {
	f := newReaderFixture(t)
	if err := f.CreateConsumerGroup(t.Context(), "plant", "Group.2"); err != nil {
		t.Fatal(err)
	}
	f.mustOpen(readerOptions{Epoch: epoch(7)})
	f.mustOpen(readerOptions{Epoch: epoch(1), Partition: 1})
	f.mustOpen(readerOptions{Epoch: epoch(1), ConsumerGroup: "group.2"})
	f.mustOpen(readerOptions{Epoch: epoch(1), Hub: "second"})

	// An epoch lasts as long as its reader.
	last := f.mustOpen(readerOptions{Epoch: epoch(9)})
	last.Close()
	last.Close()
	var plain []*hub.Reader
	for range 5 {
		plain = append(plain, f.mustOpen(readerOptions{}))
	}
	_, err := f.open(readerOptions{})
	wantCode(t, "a sixth reader", err, hubward.CodeReaderLimit)
	plain[2].Close()
	f.mustOpen(readerOptions{})
	_, err = f.open(readerOptions{})
	wantCode(t, "a sixth reader again", err, hubward.CodeReaderLimit)
	exclusive := f.mustOpen(readerOptions{Epoch: epoch(0)})
	for _, r := range plain {
		r.Close() // of readers that are gone already
	}
	_, err = f.open(readerOptions{})
	wantCode(t, "a plain reader beside an exclusive one", err, hubward.CodeReaderDisplaced)
	wantCode(t, "a closed reader", last.Read(t.Context(), 1, nil), hubward.CodeInvalidOperation)
	if _, err := exclusive.Bounds(t.Context()); err != nil {
		t.Errorf("the last one is gone, too: %v", err)
	}
}

func TestOpenReader_refusals(t *testing.T) {
	f := newReaderFixture(t)
	for _, test := range []struct {
		what string
		o    readerOptions
		code hubward.Code
		text string
	}{
		{"an unknown hub", readerOptions{Hub: "none"}, hubward.CodeNoSuchHub, "none"},
		{"an unknown group", readerOptions{ConsumerGroup: "none"}, hubward.CodeNoSuchConsumerGroup, "none"},
		{"a partition too many", readerOptions{Partition: 4}, hubward.CodeNoSuchPartition, "The specified partition is invalid for an EventHub partition sender or receiver. It should be between 0 and 3."},
		{"a negative partition", readerOptions{Partition: -1}, hubward.CodeNoSuchPartition, "between 0 and 3"},
		{"a negative epoch", readerOptions{Epoch: epoch(-1)}, hubward.CodeArgumentInvalid, "epoch"},
	} {
		_, err := f.open(test.o)
		wantCode(t, test.what, err, test.code)
		if err != nil && !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v does not tell %q", test.what, err, test.text)
		}
	}
	_, err := f.PartitionBounds(t.Context(), "plant", 4)
	wantCode(t, "bounds of a partition too many", err, hubward.CodeNoSuchPartition)
	_, err = f.PartitionBounds(t.Context(), "none", 0)
	wantCode(t, "bounds of an unknown hub", err, hubward.CodeNoSuchHub)
}

// A reader that cannot be, for its start, displaces nobody.
func TestOpenReader_badStartDisplacesNobody(t *testing.T) {
	f := newReaderFixture(t)
	old := f.mustOpen(readerOptions{Epoch: epoch(0)})
	_, err := f.open(readerOptions{Epoch: epoch(1), Start: hub.Position{Kind: hub.PositionSequence, Sequence: 1}})
	wantCode(t, "a start behind the end", err, hubward.CodeArgumentInvalid)
	if _, err := old.Bounds(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOpenReader_longNamesAreCut(t *testing.T) {
	f := newReaderFixture(t)
	f.mustOpen(readerOptions{Name: strings.Repeat("n", 127) + "ü" + strings.Repeat("n", 1<<16), Epoch: epoch(1)})
	_, err := f.open(readerOptions{Epoch: epoch(0)})
	if err == nil || !strings.Contains(err.Error(), "'"+strings.Repeat("n", 127)+"'") {
		t.Errorf("got %.300s", err)
	}
}
