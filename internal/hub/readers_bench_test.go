package hub_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/cluster/localcluster"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

// A follower at the tail: every event wakes it.
func BenchmarkReader_tail(b *testing.B) {
	for _, batch := range []int{1, 100} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) { benchmarkTail(b, batch) })
	}
}

func benchmarkTail(b *testing.B, batch int) {
	store, err := sqlstore.Open(b.Context(), sqlstore.Options{Path: sqlstore.Memory})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	log := &tail{batch: int64(batch), data: make([]byte, 256)}
	h, err := hub.Open(b.Context(), hub.Options{Store: store, Log: log, Cluster: localcluster.New(localcluster.Options{Epoch: 1})})
	if err != nil {
		b.Fatal(err)
	}
	x := api{h, func() {}}
	if _, err := x.CreateHub(b.Context(), hub.NewHub{Name: "plant"}); err != nil {
		b.Fatal(err)
	}
	r, err := x.OpenReader(b.Context(), "plant", hub.ReaderOptions{ConsumerGroup: "$Default"})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	seen := 0
	visit := func(hub.Record) bool {
		seen++
		return true
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Read(b.Context(), 1<<20, visit); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(seen), "ns/event")
}

// tail is a log that gets a batch of events whenever somebody waits.
type tail struct {
	hub.EventLog
	committed int64
	batch     int64
	data      []byte
}

func (l *tail) Drop(context.Context, string) error                        { return nil }
func (l *tail) Trim(context.Context, hub.Partition, time.Time) error      { return nil }
func (l *tail) Bounds(context.Context, hub.Partition) (hub.Bounds, error) { return hub.Bounds{}, nil }

func (l *tail) Read(_ context.Context, _ hub.Partition, from int64, _ int, visit func(hub.Record) bool) (int64, error) {
	for from < l.committed {
		r := hub.Record{SequenceNumber: from, Data: l.data}
		if from++; !visit(r) {
			break
		}
	}
	return from, nil
}

func (l *tail) Wait(ctx context.Context, _ hub.Partition, _ int64) error {
	l.committed += l.batch
	return ctx.Err()
}
