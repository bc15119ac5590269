//go:build interop

package interop_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/childhub"
)

// multiplexedDevices is how many devices share a connection in the test.
const multiplexedDevices = 100

// Java's multiplexing client has many devices on one connection: each is registered, dropped and refused by
// itself, and the others do not notice.
func TestMultiplexing(t *testing.T) {
	for _, transport := range []string{"amqp", "amqp-ws"} {
		t.Run(transport, func(t *testing.T) {
			j := &multiplexing{prefix: "many-" + transport + "-", strings: map[string]string{}, sent: map[string]int{}}
			for i := range multiplexedDevices {
				j.create(t, fmt.Sprintf("%02d", i))
			}
			j.client = familyOf(t, "java").openDriven(t, "driven_multiplexer", map[string]string{"HOST": dottedHost, "TRANSPORT": transport})
			j.opens(t)
			j.refused(t)
			j.drops(t)
			j.twinsAndMethods(t)
			j.restart(t)
			j.arrived(t)
		})
	}
}

// multiplexing is one connection.
type multiplexing struct {
	prefix  string
	client  *driven
	strings map[string]string // connection strings by id
	sent    map[string]int    // how many messages each device was acknowledged
	rounds  int
}

func (j *multiplexing) create(t *testing.T, name string) {
	t.Helper()
	d, _ := createDevice(t, j.prefix+name)
	j.strings[d.DeviceID] = deviceString(dottedHost, d.DeviceID, string(d.Authentication.SymmetricKey.PrimaryKey))
}

// ids are those of devices whose names begin with prefix.
func (j *multiplexing) ids(prefix string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(j.strings)), func(id string) bool { return !strings.HasPrefix(id, j.prefix+prefix) })
}

func (j *multiplexing) register(t *testing.T, ids []string) string {
	t.Helper()
	var texts []string
	for _, id := range ids {
		texts = append(texts, j.strings[id])
	}
	return j.client.must(t, "register", fields{"many": texts})
}

// send has each device send a message, which has to be acknowledged.
func (j *multiplexing) send(t *testing.T, ids []string) {
	t.Helper()
	j.rounds++
	wantValue(t, "who was not acknowledged", map[string]any{}, value(t, j.client.must(t, "send", fields{"many": ids, "body": fmt.Sprint("round ", j.rounds)})))
	for _, id := range ids {
		j.sent[id]++
	}
}

// count is how many devices the client has registered.
func (j *multiplexing) count(t *testing.T, want int) {
	t.Helper()
	wantValue(t, "registered devices", number(fmt.Sprint(want)), value(t, j.client.must(t, "count", nil)))
}

// connected waits until that many of the test's devices are.
func (j *multiplexing) connected(t *testing.T, want int) {
	t.Helper()
	for end := time.Now().Add(readerWithin); ; time.Sleep(50 * time.Millisecond) {
		got := 0
		for _, id := range slices.Sorted(maps.Keys(j.strings)) {
			var d hubward.Device
			ctx, cancel := context.WithTimeout(t.Context(), callWithin)
			err := hub.Do(ctx, http.MethodGet, "/devices/"+id, nil, "", &d)
			cancel()
			if err == nil && d.ConnectionState == hubward.Connected {
				got++
			}
		}
		if got == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d devices are connected, want %d", got, want)
		}
	}
}

func (j *multiplexing) opens(t *testing.T) {
	t.Helper()
	wantValue(t, "who is refused", map[string]any{}, value(t, j.register(t, j.ids(""))))
	j.client.must(t, "open", nil)
	j.count(t, multiplexedDevices)
	j.connected(t, multiplexedDevices)
	j.send(t, j.ids(""))
}

// refused registers a device with a bad key, and one that is not there, beside a good one.
func (j *multiplexing) refused(t *testing.T) {
	t.Helper()
	j.create(t, "late")
	bad, none, late := j.prefix+"00", j.prefix+"none", j.prefix+"late"
	j.client.must(t, "unregister", fields{"many": []string{bad}})
	good, key := j.strings[bad], base64.StdEncoding.EncodeToString(make([]byte, 32))
	j.strings[bad], j.strings[none] = deviceString(dottedHost, bad, key), deviceString(dottedHost, none, key)
	refused := j.register(t, []string{bad, late, none})
	wantValue(t, "who is refused", map[string]any{bad: "UnauthorizedException", none: "HubOrDeviceIdNotFoundException"}, value(t, refused))
	delete(j.strings, none)
	j.strings[bad] = good
	j.count(t, multiplexedDevices)
	wantValue(t, "who is refused then", map[string]any{}, value(t, j.register(t, []string{bad})))
	j.send(t, j.ids(""))
}

// drops takes ten devices off the connection, and puts them on it again.
func (j *multiplexing) drops(t *testing.T) {
	t.Helper()
	leaving := j.ids("3")
	j.client.must(t, "unregister", fields{"many": leaving})
	j.connected(t, len(j.strings)-len(leaving))
	j.send(t, slices.DeleteFunc(j.ids(""), func(id string) bool { return slices.Contains(leaving, id) }))
	wantValue(t, "who is refused", map[string]any{}, value(t, j.register(t, leaving)))
	j.connected(t, len(j.strings))
	j.send(t, j.ids(""))
}

func (j *multiplexing) twinsAndMethods(t *testing.T) {
	t.Helper()
	for n, id := range j.ids("1") {
		j.client.must(t, "watch", fields{"device": id}) // the SDK wants that before the rest
		j.client.must(t, "report", fields{"device": id, "patch": fields{"n": n}})
		wantValue(t, "what "+id+" has reported", map[string]any{"n": number(fmt.Sprint(n))}, value(t, j.client.must(t, "twin", fields{"device": id})))
		updateDesired(t, id, fields{"of": id})
		select {
		case got := <-j.client.desired:
			wantValue(t, "the desired properties of "+id, map[string]any{"of": id}, value(t, string(got)))
		case <-time.After(readerWithin):
			t.Fatalf("%s is not told of its desired properties", id)
		}
		j.client.must(t, "handle", fields{"device": id})
		a := rest(t, connectionString(t, "HUBWARD_CONNECTION_STRING"), http.MethodPost, "/twins/"+id+"/methods", nil, `{"methodName":"who","payload":null}`)
		wantValue(t, "the answer", `200 {"status":207,"payload":"`+id+`"}`, fmt.Sprint(a.status, " ", a.body))
	}
}

// restart ends the hub: all devices come back.
func (j *multiplexing) restart(t *testing.T) {
	t.Helper()
	restartHub(t, hub.Stop)
	j.connected(t, len(j.strings))
	j.send(t, j.ids(""))
}

// arrived looks at what was acknowledged: all of it is there, under the name of who has sent it.
func (j *multiplexing) arrived(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readWithin)
	defer cancel()
	left := 0
	for _, n := range j.sent {
		left += n
	}
	seen := map[string]bool{}
	got := map[string]int{}
	err := hub.Events(ctx, url.Values{"from": {"earliest"}}, func(e childhub.Event) bool {
		id := e.Annotations.DeviceID
		if message := e.SystemProperties.MessageID; j.sent[id] > 0 && !seen[message] { // one may be there twice
			seen[message] = true
			if body := strings.TrimPrefix(message, id+"-"); `"`+body+`"` != string(e.Body) {
				t.Errorf("%s has sent %q as %q", id, e.Body, message)
			}
			got[id]++
			left--
		}
		return left > 0
	})
	if diff := cmp.Diff(j.sent, got); diff != "" {
		t.Errorf("messages (-acknowledged +there), %v\n%s", err, diff)
	}
}
