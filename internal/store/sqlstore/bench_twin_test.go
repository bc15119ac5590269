package sqlstore_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/eventcodec"
	"github.com/hubward/hubward/internal/hub/twindoc"
	"github.com/hubward/hubward/internal/store/sqlstore"
	"github.com/hubward/hubward/internal/storetest"
)

// What is compared side by side: callers that each wait for their own durable write, in turns of a while each, so that what
// else the machine does meets all of them.
const (
	benchWriters = 200
	benchTurn    = 500 * time.Millisecond
)

// benchKind is one way of writing, with a store of its own.
type benchKind struct {
	name  string
	write func(ctx context.Context, writer int) error
	rates []float64
	costs []float64 // µs of CPU time of the process for a write
}

// turn has all writers write for a while.
func (k *benchKind) turn(b *testing.B) {
	ctx, cancel := context.WithTimeout(b.Context(), benchTurn)
	defer cancel()
	var n atomic.Int64
	var wg sync.WaitGroup
	began, cpu := time.Now(), cpuTime(b)
	for w := range benchWriters {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := k.write(b.Context(), w); err != nil {
					b.Error(k.name, err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	k.rates = append(k.rates, float64(n.Load())/time.Since(began).Seconds())
	k.costs = append(k.costs, float64((cpuTime(b)-cpu).Microseconds())/float64(n.Load()))
}

// compare gives the kinds their turns, and reports the rate of the first one, and those of the others as parts of it.
func compare(b *testing.B, kinds ...*benchKind) {
	for _, k := range kinds {
		k.turn(b) // to fill what is to be filled
		k.rates, k.costs = nil, nil
	}
	for b.Loop() {
		for _, k := range kinds {
			k.turn(b)
		}
	}
	b.ReportMetric(0, "ns/op")
	for i, k := range kinds {
		b.ReportMetric(median(k.costs), k.name+"-cpu-us")
		if i == 0 {
			b.ReportMetric(median(k.rates), k.name+"/s")
			continue
		}
		ratios := make([]float64, len(k.rates))
		for j := range ratios {
			ratios[j] = k.rates[j] / kinds[0].rates[j]
		}
		b.ReportMetric(median(ratios), k.name+"/"+kinds[0].name)
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}

// bareUpdates writes rows of size bytes, and nothing else.
func bareUpdates(b *testing.B, name string, size int) *benchKind {
	document := benchDocument(size, 0)
	rows, err := sqlstore.OpenBareRows(b.Context(), file(b.TempDir()), benchWriters, document)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := rows.Close(); err != nil {
			b.Error(err)
		}
	})
	counts := make([]int, benchWriters)
	return &benchKind{name: name, write: func(ctx context.Context, w int) error {
		counts[w]++
		return rows.Update(ctx, w, next(document, counts[w]))
	}}
}

// benchDocument is a document of which one value changes, which keeps its width.
func benchDocument(size, n int) []byte {
	d := append(append(make([]byte, 0, size), `{"count":00000000,"text":"`...), bytes.Repeat([]byte{'x'}, size-28)...)
	return next(append(d, `"}`...), n)
}

// next is a document like d with another count.
func next(d []byte, n int) []byte {
	d = bytes.Clone(d)
	for i := len(`{"count":00000000`) - 1; n > 0; i, n = i-1, n/10 {
		d[i] = byte('0' + n%10)
	}
	return d
}

// reports writes reported properties of size bytes and their events, which are moved away meanwhile.
func reports(b *testing.B, name string, size int) *benchKind {
	s := withHub(b, file(b.TempDir()))
	ids := fill(b, s, benchWriters)
	news := move(b, s)
	metadata, document := make([]byte, size/8), benchDocument(size, 0)
	events := make([][8]hub.HubEvent, benchWriters)
	for w := range events {
		for i := range events[w] {
			events[w][i] = benchEvent(dev(ids[w]))
		}
	}
	return &benchKind{name: name, write: func(ctx context.Context, w int) error {
		id := dev(ids[w])
		e := &hub.ReportedEdit{ID: id, Edit: func(_ int64, old twindoc.Section) (twindoc.Section, []hub.HubEvent, error) {
			s := twindoc.Section{Document: next(document, int(old.Version)), Metadata: bytes.Clone(metadata), Version: old.Version + 1, Size: size}
			return s, events[w][s.Version%8:][:1], nil
		}}
		err := errors.Join(storetest.EditReported(ctx, s, "h", []*hub.ReportedEdit{e}), e.Err)
		news()
		return err
	}}
}

// benchEvent is like what the hub tells of a patch of one property.
func benchEvent(id hubward.Identity) hub.HubEvent {
	var random [16]byte
	rand.Read(random[:])
	guid, at := fmt.Sprintf("%x-%x-%x-%x-%x", random[:4], random[4:6], random[6:8], random[8:10], random[10:]), time.Now().UTC()
	stamp := at.Format("2006-01-02T15:04:05.0000000Z")
	m := hubward.Message{
		MessageID: guid, CorrelationID: guid, UserID: "bench", ContentType: "application/json", ContentEncoding: "utf-8",
		Schema: "twinChangeNotification", Properties: []hubward.Property{
			{Name: "hubName", Value: "bench"}, {Name: "deviceId", Value: id.Device}, {Name: "operationTimestamp", Value: stamp},
			{Name: "opType", Value: "updateTwin"}, {Name: "hubward-updated-by", Value: "device " + id.Device},
		},
		Body: fmt.Appendf(nil, `{"version":%d,"properties":{"reported":{"count":%d,"temperature":%d.5,"$metadata":{"$lastUpdated":"%s",`+
			`"count":{"$lastUpdated":"%[4]s"},"temperature":{"$lastUpdated":"%[4]s"}},"$version":%[1]d}}}`,
			random[0], at.UnixNano(), random[1], stamp),
	}
	stamps := eventcodec.NewStamps(eventcodec.Origin{Identity: id, Source: eventcodec.SourceTwinChange})
	return hub.HubEvent{Identity: id, ID: guid, Data: eventcodec.Append(nil, stamps, at, &m)}
}

// move takes events out of the outbox, as the hub does, whenever there are news, until the benchmark ends.
func move(b *testing.B, s *sqlstore.Store) (news func()) {
	added, ended := make(chan struct{}, 1), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-added:
			case <-ended:
				return
			}
			for {
				batches, err := s.Outbox(context.Background(), "h", 1024)
				if err != nil || len(batches) == 0 {
					break
				}
				var ids []int64
				for _, batch := range batches {
					ids = append(ids, batch.ID)
				}
				if err := s.DeleteOutbox(context.Background(), "h", ids); err != nil {
					b.Error(err)
				}
			}
		}
	})
	b.Cleanup(func() { close(ended); wg.Wait() })
	return func() {
		select {
		case added <- struct{}{}:
		default:
		}
	}
}

// BenchmarkEditReported_besideBareUpdates measures what reporting costs beyond the durable row that it has to write.
func BenchmarkEditReported_besideBareUpdates(b *testing.B) {
	compare(b, bareUpdates(b, "bare", 1<<10), reports(b, "reported", 1<<10), reports(b, "reported-32K", 32<<10),
		bareUpdates(b, "bare-32K", 32<<10))
}

// BenchmarkCreate_besideBareInserts measures the creation of devices that tell of it.
func BenchmarkCreate_besideBareInserts(b *testing.B) {
	create := func(name string, tells bool) *benchKind {
		s := withHub(b, file(b.TempDir()))
		news := move(b, s)
		var n atomic.Int64
		return &benchKind{name: name, write: func(ctx context.Context, w int) error {
			id := dev(fmt.Sprintf("device-%08d", n.Add(1)))
			event := benchEvent(id)
			e := &hub.IdentityEdit{ID: id, Edit: func(*hub.Registration) (*hub.Registration, []hub.HubEvent, error) {
				r := registration(id.Device)
				r.GenerationID, r.ETag = "1", "1"
				r.Authentication = &hubward.Authentication{Type: hubward.AuthSAS, SymmetricKey: hubward.SymmetricKey{PrimaryKey: "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", SecondaryKey: "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}}
				if !tells {
					return r, nil, nil
				}
				return r, []hub.HubEvent{event}, nil
			}}
			err := errors.Join(s.EditIdentities(ctx, "h", []*hub.IdentityEdit{e}), e.Err)
			if tells {
				news()
			}
			return err
		}}
	}
	s := withHub(b, file(b.TempDir()))
	s.Exec(b, `CREATE TABLE bare (id TEXT NOT NULL PRIMARY KEY, row TEXT NOT NULL) STRICT`)
	var n atomic.Int64
	row := string(benchDocument(300, 0))
	bare := &benchKind{name: "bare", write: func(ctx context.Context, w int) error {
		return s.Update(ctx, `INSERT INTO bare (id, row) VALUES ($1, $2)`, fmt.Sprintf("device-%08d", n.Add(1)), row)
	}}
	compare(b, bare, create("created", true), create("created-silently", false))
}
