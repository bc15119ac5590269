//go:build interop

package interop_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// hubInfo is what an SDK tells of the event hub. Times are in ms since 1970.
type hubInfo struct {
	Name       string   `json:"name"`
	Created    int64    `json:"created"`
	Partitions []string `json:"partitions"`

	Each    []partitionInfo `json:"-"` // empty when the SDK has no call for it
	Refused string          `json:"-"` // its name for the error of a partition that is not there
}

type partitionInfo struct {
	Partition    string `json:"partition"`
	Begin        int64  `json:"begin"`
	LastSequence int64  `json:"lastSequence"`
	LastOffset   string `json:"lastOffset"`
	LastEnqueued int64  `json:"lastEnqueued"`
	Empty        bool   `json:"empty"`
}

// info returns the info function of a program, whose lines node/partition_info.js tells.
func (s sdk) info(program string, vars map[string]string, args ...string) func(*testing.T) hubInfo {
	return func(t *testing.T) hubInfo {
		t.Helper()
		all := map[string]string{
			"HUB_CONNECTION_STRING":      connectionString(t, "HUBWARD_CONNECTION_STRING"),
			"EVENTHUB_CONNECTION_STRING": connectionString(t, "HUBWARD_EVENTHUB_CONNECTION_STRING"),
		}
		for name, value := range vars {
			all[name] = value
		}
		var info hubInfo
		for _, line := range s.run(t, program, all, args...) {
			verb, rest, _ := strings.Cut(line, " ")
			switch verb {
			case "eventhub":
				decode(t, rest, &info)
			case "partition":
				var p partitionInfo
				decode(t, rest, &p)
				info.Each = append(info.Each, p)
			case "refused":
				info.Refused = rest
			}
		}
		return info
	}
}

// Every SDK tells the same of the event hub and of its partitions: what is stored there.
func TestEvents_partitionInfo(t *testing.T) {
	f := newFleet(t, "info")
	f.send(t, 3)
	want := hubInfo{Name: hubName(t), Created: createdAt(t, hubName(t)).UnixMilli()}
	for _, e := range f.stored(t) { // the last of each partition stays
		if n := len(want.Each); n == 0 || want.Each[n-1].Partition != e.Partition {
			want.Partitions = append(want.Partitions, e.Partition)
			want.Each = append(want.Each, partitionInfo{Partition: e.Partition})
		}
		last := &want.Each[len(want.Each)-1]
		last.LastSequence, last.LastOffset, last.LastEnqueued = e.Sequence, e.Offset, e.Enqueued
	}
	eachReader(t, func(t *testing.T, r reader) {
		if r.info == nil {
			return
		}
		want := want
		got := r.info(t)
		if want.Refused = r.names[noPartition]; want.Refused == "" { // the SDK knows the partitions' names only
			want = hubInfo{Partitions: want.Partitions}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// hubName is the name of the hub under test, which is that of its event hub, too.
func hubName(t *testing.T) string {
	t.Helper()
	_, name, _ := strings.Cut(connectionString(t, "HUBWARD_EVENTHUB_CONNECTION_STRING"), "EntityPath=")
	name, _, _ = strings.Cut(name, ";")
	return name
}

func createdAt(t *testing.T, name string) time.Time {
	t.Helper()
	var answer json.RawMessage
	if err := hub.Do(t.Context(), http.MethodGet, "/$hubward/hubs/"+name, nil, "", &answer); err != nil {
		t.Fatal(err)
	}
	var info struct{ Created time.Time }
	decode(t, string(answer), &info)
	return info.Created
}
