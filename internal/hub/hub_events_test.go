package hub_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/cluster/localcluster"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/eventcodec"
)

// An event that was moved into the log is not moved again when its node goes before it is deleted from the outbox.
func TestHubEvents_movedOnce(t *testing.T) {
	for what, c := range map[string]struct {
		batches, size int // events of a batch
		moved         int // of the events
	}{
		"half a batch": {2, 2, 1},
		"a batch":      {2, 2, 2},
		"a round":      {hub.OutboxRound/(hub.MaxEventBatch-1) + 2, hub.MaxEventBatch - 1, hub.OutboxRound + hub.MaxEventBatch - 5},
	} {
		t.Run(what, func(t *testing.T) { movedOnce(t, c.batches, c.size, c.moved) })
	}
}

func movedOnce(t *testing.T, batches, size, moved int) {
	inCrew(t, 1, func(t *testing.T, c *crew) {
		c.device("d1")
		c.events()
		c.nodes[0].stop()
		c.nodes = nil
		for i := range batches {
			c.tell("d1", i*size, size)
		}
		round, err := c.store.Outbox(t.Context(), "plant", hub.OutboxRound)
		if err != nil {
			t.Fatal(err)
		}
		var events []hub.HubEvent
		for _, b := range round {
			events = append(events, b.Events...)
		}
		done := make(chan error, moved)
		p := hub.Partition{Hub: "plant", Endpoint: hub.EndpointHubEvents, ID: hub.PartitionOf("d1", 4)}
		producer := c.log.Producer(p, func(n int, err error) {
			for range n {
				done <- err
			}
		})
		for _, e := range events[:moved] {
			if err := producer.Append(t.Context(), e.Data); err != nil {
				t.Fatal(err)
			}
		}
		for range moved {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		c.join("next", localcluster.New(localcluster.Options{Epoch: epochs.Add(1)}))
		seen := make(map[string]int)
		for _, e := range c.events() {
			seen[e.Message.MessageID]++
		}
		for i := range batches * size {
			if id := fmt.Sprint("event ", i); seen[id] != 1 {
				t.Fatalf("%s was moved %d times", id, seen[id])
			}
		}
		if left, err := c.store.Outbox(t.Context(), "plant", 9); err != nil || len(left) != 0 {
			t.Errorf("the outbox holds %v, %v", left, err)
		}
	})
}

// tell stores events of a device in one transaction, numbered from first on.
func (c *crew) tell(device string, first, n int) {
	c.t.Helper()
	e := &hub.IdentityEdit{ID: hubward.Identity{Device: device}, Edit: func(old *hub.Registration) (*hub.Registration, []hub.HubEvent, error) {
		var events []hub.HubEvent
		for i := range n {
			id := fmt.Sprint("event ", first+i)
			stamps := eventcodec.NewStamps(eventcodec.Origin{Identity: old.Identity()})
			data := eventcodec.Append(nil, stamps, time.Now(), &hubward.Message{MessageID: id})
			events = append(events, hub.HubEvent{Identity: old.Identity(), ID: id, Data: data})
		}
		return old, events, nil
	}}
	if err := c.store.EditIdentities(c.t.Context(), "plant", []*hub.IdentityEdit{e}); err != nil || e.Err != nil {
		c.t.Fatal(err, e.Err)
	}
}
