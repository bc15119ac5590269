package hub_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/cluster/localcluster"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/eventcodec"
)

// countedLog counts the events that it has handed out.
type countedLog struct {
	hub.EventLog
	out atomic.Int64
}

func (l *countedLog) Read(ctx context.Context, p hub.Partition, from int64, maxBytes int, visit func(hub.Record) bool) (int64, error) {
	return l.EventLog.Read(ctx, p, from, maxBytes, func(r hub.Record) bool {
		l.out.Add(1)
		return visit(r)
	})
}

// A stream whose reader is slow reads ahead so many events, of so many bytes, and no more; one event that is larger than that
// comes all the same. What is read is the event that the reader has, those that wait for him, and the one that has no room.
func TestReadEvents_readsAheadSoFar(t *testing.T) {
	const bound = 1 << 20
	for name, test := range map[string]struct{ body, read int }{
		"small ones":            {1, 1 + 32 + 1},
		"a fifth of the bytes":  {bound / 5, 5 + 1},
		"a byte more than that": {bound/5 + 1, 4 + 1},
		"half of them":          {bound / 2, 2 + 1},
		"a byte more than half": {bound/2 + 1, 1 + 1},
		"all of them":           {bound, 1 + 1},
		"more than all of them": {bound + 1, 1 + 1},
	} {
		t.Run(name, func(t *testing.T) {
			inCrew(t, 1, func(t *testing.T, c *crew) { c.readSlowly(t, test.read+5, test.body, test.read) })
		})
	}
}

// readSlowly puts events with bodies of so many bytes into one partition, and has the reader of a stream stop at the first one,
// while read of them should be read. Then it takes them all.
func (c *crew) readSlowly(t *testing.T, total, body, read int) {
	log := &countedLog{EventLog: c.log}
	stored := 0
	in := log.Producer(hub.Partition{Hub: "plant", Endpoint: hub.EndpointEvents, ID: 1}, func(n int, err error) {
		if stored += n; err != nil {
			t.Error(err)
		}
	})
	stamps := eventcodec.NewStamps(eventcodec.Origin{Identity: hubward.Identity{Device: "d1"}})
	for i := range total {
		m := &hubward.Message{MessageID: fmt.Sprint(i), Body: []byte(strings.Repeat("x", body))}
		if err := in.Append(t.Context(), eventcodec.Append(nil, stamps, time.Now(), m)); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Wait()
	if stored != total {
		t.Fatalf("%d events are stored", stored)
	}
	h, err := hub.Open(t.Context(), hub.Options{Store: c.store, Log: log, Cluster: localcluster.New(localcluster.Options{Epoch: epochs.Add(1)})})
	if err != nil {
		t.Fatal(err)
	}
	n, enough := 0, errors.New("enough")
	err = api{h, synctest.Wait}.ReadEvents(t.Context(), "plant", hub.EventQuery{}, func(e *hubward.Event) error {
		if e == nil {
			return nil
		}
		if want := fmt.Sprint(n); e.Message.MessageID != want || len(e.Message.Body) != body {
			t.Errorf("event %s of %d bytes, want %s", e.Message.MessageID, len(e.Message.Body), want)
		}
		if n++; n == 1 {
			synctest.Wait()
			if got := int(log.out.Load()); got != read {
				t.Errorf("%d events are read while the first one is looked at, want %d", got, read)
			}
		}
		if n == total {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Errorf("after %d events: %v", n, err)
	}
}
