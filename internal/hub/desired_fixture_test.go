package hub_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/hub"
)

// told is what a device was told of its desired properties.
type told struct {
	mu      sync.Mutex
	changes []hub.DesiredChange
	unsent  []func()
	holds   bool // it does not say that they were sent
}

// listen has a connection's session keep what it is told.
func (c connection) listen() *told {
	d := &told{}
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	c.session.deliver = func(delivery hub.Delivery) {
		change := delivery.(*hub.DesiredChange)
		d.mu.Lock()
		d.changes = append(d.changes, hub.DesiredChange{Version: change.Version, Patch: change.Patch})
		holds := d.holds
		if holds {
			d.unsent = append(d.unsent, change.Sent)
		}
		d.mu.Unlock()
		if !holds {
			change.Sent()
			change.Sent() // once too often
		}
	}
	return d
}

// hold says whether changes are to be sent from now on; those that were held are.
func (d *told) hold(yes bool) {
	d.mu.Lock()
	d.holds = yes
	unsent := d.unsent
	if !yes {
		d.unsent = nil
	}
	d.mu.Unlock()
	if !yes {
		for _, sent := range unsent {
			sent()
		}
	}
}

// take returns what came since it was called last, as texts.
func (d *told) take() (texts []string) {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.changes {
		if want := fmt.Sprintf(`"$version":%d}`, c.Version); !strings.HasSuffix(string(c.Patch), want) {
			texts = append(texts, "not of version "+want)
		}
		texts = append(texts, string(c.Patch))
	}
	d.changes = nil
	return texts
}

func (d *told) want(t *testing.T, what string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, d.take()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// desire has the node 0 merge into the desired properties of d1.
func (c *crew) desire(patch string) {
	c.t.Helper()
	if _, err := c.nodes[0].UpdateTwin(c.t.Context(), "plant", "d1", write("", patch), ""); err != nil {
		c.t.Fatal(err)
	}
}

func (c *crew) follow(conn connection) *told {
	c.t.Helper()
	d := conn.listen()
	if err := conn.FollowDesired(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	return d
}

// get asks for a connection's twin.
func (c connection) get(ctx context.Context) (document string, err error) {
	done := make(chan struct{})
	c.GetTwin(ctx, func(d []byte, failed error) {
		document, err = string(d), failed
		close(done)
	})
	<-done
	return document, err
}

// report merges into the reported properties of a connection's twin.
func (c connection) report(ctx context.Context, patch string, ifVersion int64) (version int64, err error) {
	done := make(chan struct{})
	text := []byte(patch)
	c.UpdateReported(ctx, text, ifVersion, func(v int64, failed error) {
		version, err = v, failed
		close(done)
	})
	clear(text) // it was copied
	<-done
	return version, err
}

func (c *crew) mustGet(conn connection, want string) {
	c.t.Helper()
	if got, err := conn.get(c.t.Context()); got != want || err != nil {
		c.t.Errorf("the twin is %s, %v, want %s", got, err, want)
	}
}
