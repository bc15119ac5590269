//go:build interop

package interop_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pythonReaders lists the readers on azure-eventhub 5: on its own AMQP code over each transport, and on uamqp, which is in
// C and what its older versions use.
func pythonReaders() []reader {
	all := []reader{
		pyEventHub("py", "amqp", start{"offset", false}, start{"sequence", true}, start{"time", false}),
		pyEventHub("py-ws", "ws", start{"offset", true}),
		pyEventHub("py-plain", "plain", start{"sequence", false}),
		pyEventHub("py-uamqp", "uamqp", start{"offset", true}, start{"time", true}),
	}
	for i, transport := range map[int]string{0: "amqp", len(all) - 1: "uamqp"} {
		all[i].info = sdks()[1].info("partition_info", map[string]string{"TRANSPORT": transport})
	}
	return all
}

// pyEventHub is azure-eventhub 5 on a transport.
func pyEventHub(name, transport string, starts ...start) reader {
	return reader{
		name: name, open: sdks()[1].program("read_events", map[string]string{"TRANSPORT": transport}),
		starts: starts, exclusive: true, names: map[refusal]string{
			wrongKey: "AuthenticationError", noGroup: "not-found", crowded: "resource-limit-exceeded", noPartition: "ConnectError",
			displaced: "link:stolen", excluded: "link:stolen", outranked: "link:stolen",
		},
	}
}

// A reader that asks for it learns with every event which one is the newest of the partition.
func TestEvents_newest(t *testing.T) {
	f := newFleet(t, "newest")
	f.send(t, 3)
	want := f.stored(t)
	newest := map[string]event{}
	for _, e := range want {
		newest[e.Partition] = e
	}
	for _, client := range []struct{ sdk, transport string }{{"python", "amqp"}, {"python", "uamqp"}, {"java", "amqp"}} {
		t.Run(client.sdk+"-"+client.transport, func(t *testing.T) {
			o := readOptions{group: newGroup(t, "newest"), start: "time", time: f.began.UnixMilli() - 1}
			open := familyByName(client.sdk).program("read_events", map[string]string{"TRANSPORT": client.transport, "TRACK": "1"})(t, o)
			defer stopReader(t, open)
			got, err := f.collect(open, want)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range got {
				last := newest[e.Partition]
				wanted := map[string]string{
					"last_sequence_number": strconv.FormatInt(last.Sequence, 10), "last_offset": last.Offset,
					"last_enqueued_time": strconv.FormatInt(last.Enqueued, 10), "last_retrieval_time": e.System["last_retrieval_time"],
				}
				told := map[string]string{}
				for name, value := range e.System {
					if strings.HasPrefix(name, "last_") {
						told[name] = value
					}
				}
				if diff := cmp.Diff(wanted, told); diff != "" {
					t.Fatalf("event %d of partition %s (-want +got):\n%s", e.Sequence, e.Partition, diff)
				}
			}
		})
	}
}
