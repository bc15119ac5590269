package device_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/mqttwire"
)

// following makes a connected client with a handler of desired properties, whose calls come out of the channel.
func (n *pipes) following(opts device.Options) (*device.Client, *peer, chan device.DesiredChange) {
	n.t.Helper()
	changes := make(chan device.DesiredChange, 1000)
	client := n.client(opts)
	if err := client.OnDesired(func(_ context.Context, d device.DesiredChange) { changes <- d }); err != nil {
		n.t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() { result <- client.Connect(n.t.Context()) }()
	p := <-n.peers
	p.login()
	if err := <-result; err != nil {
		n.t.Fatal(err)
	}
	p.grants(twinFilter, desiredFilter)
	return client, p, changes
}

// changes tells of a change of the desired properties.
func (p *peer) changes(version int64, patch string) {
	p.t.Helper()
	p.tell(fmt.Sprintf("$iothub/twin/PATCH/properties/desired/?$version=%d", version), patch)
}

// wantChanges fails unless just those changes have come, each "VERSION PATCH".
func wantChanges(t *testing.T, changes chan device.DesiredChange, want ...string) {
	t.Helper()
	synctest.Wait()
	var got []string
	for len(changes) > 0 {
		d := <-changes
		got = append(got, fmt.Sprintf("%d %s", d.Version, d.Patch))
	}
	if !slices.Equal(got, want) {
		t.Errorf("changes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestOnDesired_everyChangeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p, changes := n.following(device.Options{})
		id := p.askedForTwin()
		p.changes(4, `{"old":1,"$version":4}`)
		p.changes(5, `{"between":1,"$version":5}`) // it and its forerunner are in the twin or are not: versions tell
		p.answersTwin(id, `{"old":1,"x":null,"$version":4}`)
		p.changes(6, `{"b":{"c":1.0},"old":null,"$version":6}`)
		p.changes(6, `{"twice":1,"$version":6}`)
		p.changes(7, `{"<":"&","$version":7,"$metadata":{}}`)
		wantChanges(t, changes, `4 {"old":1,"x":null}`, `5 {"between":1}`, `6 {"b":{"c":1.0},"old":null}`, `7 {"<":"&"}`)
		n.shut(client, p)
	})
}

func TestOnDesired_emptyAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p, changes := n.following(device.Options{})
		p.answersTwin(p.askedForTwin(), `{"$version":1}`)
		wantChanges(t, changes, `1 {}`)
		n.shut(client, p)
	})
}

// A handler that is set on a client that is connected gets the same.
func TestOnDesired_afterConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		changes := make(chan device.DesiredChange, 10)
		set := func() error {
			return client.OnDesired(func(_ context.Context, d device.DesiredChange) { changes <- d })
		}
		if err := set(); err != nil {
			t.Fatal(err)
		}
		p.grants(twinFilter, desiredFilter)
		p.answersTwin(p.askedForTwin(), `{"a":1,"$version":2}`)
		wantChanges(t, changes, `2 {"a":1}`)
		if err := set(); hubward.CodeOf(err) != hubward.CodeInvalidOperation {
			t.Errorf("a second handler: %v", err)
		}
		if err := client.OnDesired(nil); hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
			t.Errorf("no handler: %v", err)
		}
		n.shut(client, p)
	})
}

// After a reconnect the handler gets the difference to what it knows, in one change.
func TestOnDesired_catchesUpAfterALoss(t *testing.T) {
	const before = `{"stays":1,"goes":2,"o":{"a":1,"b":{"c":1}},"list":[1,2],"kind":{"x":1},"$version":3}`
	rows := []struct{ name, after, want string }{
		{"nothing", before, ""},
		{"members", `{"stays":1,"new":{"y":[]},"o":{"a":1,"b":{"c":1}},"list":[1,2],"kind":{"x":1},"$version":8}`, `8 {"goes":null,"new":{"y":[]}}`},
		{"nested", `{"stays":1,"goes":2,"o":{"a":2,"b":{}},"list":[9],"kind":"text","$version":5}`, `5 {"kind":"text","list":[9],"o":{"a":2,"b":{"c":null}}}`},
		{"all gone", `{"$version":4}`, `4 {"goes":null,"kind":null,"list":null,"o":null,"stays":null}`},
		{"the same with another version", `{"stays":1,"goes":2,"o":{"a":1,"b":{"c":1}},"list":[1,2],"kind":{"x":1},"$version":7}`, `7 {}`},
		{"a version that went back", `{"stays":1,"$version":2}`, `2 {"goes":null,"kind":null,"list":null,"o":null}`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newPipes(t)
				client, p, changes := n.following(device.Options{})
				p.answersTwin(p.askedForTwin(), before)
				synctest.Wait()
				<-changes
				p = n.reconnect(p)
				p.grants(twinFilter, desiredFilter)
				p.answersTwin(p.askedForTwin(), row.after)
				if row.want == "" {
					p.changes(4, `{"next":1,"$version":4}`)
					wantChanges(t, changes, `4 {"next":1}`)
				} else {
					wantChanges(t, changes, row.want)
				}
				n.shut(client, p)
			})
		})
	}
}

// A loss while the twin is being got, and while nothing is known yet.
func TestOnDesired_lostBeforeTheFirstTwin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p, changes := n.following(device.Options{})
		p.askedForTwin()
		p = n.reconnect(p)
		p.grants(twinFilter, desiredFilter)
		p.answersTwin(p.askedForTwin(), `{"a":1,"$version":2}`)
		p.answersTwin(p.askedForTwin(), `{"a":1,"$version":2}`) // it asks once more, after the subscription
		p.changes(3, `{"a":2,"$version":3}`)
		wantChanges(t, changes, `2 {"a":1}`, `3 {"a":2}`)
		n.shut(client, p)
	})
}

// A gap in the versions, or what cannot be read, has the client look at the twin.
func TestOnDesired_looksAgainAfterAGap(t *testing.T) {
	for name, strange := range map[string]string{
		"gap":        `{"z":1,"$version":9}`,
		"no JSON":    `{"z":1`,
		"no version": `{"z":1}`,
		"no object":  `[1]`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newPipes(t)
				client, p, changes := n.following(device.Options{})
				p.answersTwin(p.askedForTwin(), `{"a":1,"$version":2}`)
				p.changes(9, strange)
				p.answersTwin(p.askedForTwin(), `{"z":1,"$version":9}`)
				p.changes(10, `{"y":1,"$version":10}`)
				wantChanges(t, changes, `2 {"a":1}`, `9 {"a":null,"z":1}`, `10 {"y":1}`)
				n.shut(client, p)
			})
		})
	}
}

// What a slow handler has not got becomes one change when there is too much of it.
func TestOnDesired_slowHandler(t *testing.T) {
	rows := []struct {
		name string
		big  string
		last int64 // beyond what has room: 64 changes, 256 KiB
	}{{"many", "", 66}, {"large", strings.Repeat("x", 32<<10), 10}}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newPipes(t)
				client := n.client(device.Options{})
				release := make(chan bool)
				var got []int64
				document := map[string]any{}
				err := client.OnDesired(func(_ context.Context, d device.DesiredChange) {
					<-release
					got = append(got, d.Version)
					if err := d.Decode(&document); err != nil {
						t.Error(err)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				go client.Connect(t.Context())
				p := <-n.peers
				p.login()
				p.grants(twinFilter, desiredFilter)
				p.answersTwin(p.askedForTwin(), `{"$version":1}`)
				synctest.Wait()
				for v := int64(2); v <= row.last; v++ {
					p.changes(v, fmt.Sprintf(`{"n":%d,"big":%q,"$version":%d}`, v, row.big, v))
				}
				synctest.Wait() // the client has read all of them
				release <- true
				p.answersTwin(p.askedForTwin(), fmt.Sprintf(`{"n":%d,"big":%q,"$version":%d}`, row.last, row.big, row.last))
				close(release)
				synctest.Wait()
				if !slices.Equal(got, []int64{1, row.last}) {
					t.Errorf("versions %v", got)
				}
				want := map[string]any{"n": json.Number(fmt.Sprint(row.last)), "big": row.big}
				if !reflect.DeepEqual(document, want) {
					t.Errorf("document %.100v", document)
				}
				n.shut(client, p)
			})
		})
	}
}

// When the hub does not give the twin, the client asks again, with pauses.
func TestOnDesired_twinIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p, changes := n.following(device.Options{})
		start := time.Now()
		for range 3 {
			p.tell("$iothub/twin/res/429/?$rid="+p.askedForTwin(), `{"errorCode":429001,"message":"slow down"}`)
		}
		p.answersTwin(p.askedForTwin(), `{"a":1,"$version":2}`)
		wantChanges(t, changes, `2 {"a":1}`)
		if took := time.Since(start); took != 700*time.Millisecond { // 100, 200, 400
			t.Errorf("it took %v", took)
		}
		n.shut(client, p)
	})
}

// The handler may use the twin; Drain waits for it, and for what it reports.
func TestDrain_waitsForOnDesired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client := n.client(device.Options{})
		reported := make(chan version, 1)
		client.OnDesired(func(ctx context.Context, d device.DesiredChange) {
			time.Sleep(time.Second)
			v, err := client.UpdateReported(ctx, map[string]any{"a": d.Version})
			reported <- version{v, err}
		})
		go client.Connect(t.Context())
		p := <-n.peers
		p.login()
		p.grants(twinFilter, desiredFilter)
		p.answersTwin(p.askedForTwin(), `{"$version":1}`)
		p.changes(2, `{"b":1,"$version":2}`)
		synctest.Wait()
		drained := make(chan error, 1)
		go func() { drained <- client.Drain(t.Context()) }()
		p.tell("$iothub/twin/res/204/?$rid="+p.askedForPatch(`{"a":1}`)+"&$version=2", "")
		p.next(mqttwire.Disconnect)
		p.gone()
		if err := errors.Join(<-drained, (<-reported).err); err != nil {
			t.Error(err)
		}
		if len(reported) > 0 {
			t.Error("a change was handed over after Drain")
		}
	})
}
