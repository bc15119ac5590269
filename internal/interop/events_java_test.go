//go:build interop

package interop_test

import (
	"slices"
	"testing"
)

// javaReaders lists the reader on azure-messaging-eventhubs 5.21: its consumer client. It asks $management without a token of
// its own on the link: each request brings one. By WebSocket all but the socket is the same. A connection that is lost
// is to the client the orderly end of what it reads.
func javaReaders() []reader {
	java := familyByName("java")
	return []reader{{
		name: "java", open: java.program("read_events", map[string]string{"TRANSPORT": "amqp"}), exclusive: true, restarts: staysAway,
		starts: []start{{"offset", false}, {"sequence", true}, {"time", false}}, info: java.info("partition_info", nil),
		names: map[refusal]string{
			wrongKey: "amqp:unauthorized-access", noGroup: "amqp:not-found", crowded: "amqp:resource-limit-exceeded",
			noPartition: "IllegalArgumentException",
			displaced:   "amqp:link:stolen", excluded: "amqp:link:stolen", outranked: "amqp:link:stolen",
		},
	}}
}

func TestJava_readsByWebSocket(t *testing.T) {
	f := newFleet(t, "java-ws")
	f.send(t, 10)
	open := familyByName("java").program("read_events", map[string]string{"TRANSPORT": "ws"})(t, readOptions{
		group: newGroup(t, "java-ws"), start: "time", time: f.began.UnixMilli() - 1,
	})
	defer stopReader(t, open)
	f.wantExactly(t, open, f.stored(t))
}

// Processor clients share the partitions among themselves, each with an exclusive reader, and see every event of a run. Who
// takes a partition over goes on behind the last checkpoint, which is every event, or shows again what was on its way then.
func TestJava_processors(t *testing.T) {
	f := newFleet(t, "processors")
	f.send(t, 3)
	before := f.stored(t)
	open := familyByName("java").programWith("read_processor", nil, "two")(t, readOptions{
		group: newGroup(t, "processors"), start: "time", time: f.began.UnixMilli() - 1,
	})
	defer stopReader(t, open)
	got, err := f.collect(open, before)
	if err != nil {
		t.Fatalf("%d of %d events came: %v", len(got), len(before), err)
	}
	f.send(t, 3)
	want := f.stored(t)
	rest, err := f.collect(open, want)
	if err != nil {
		t.Fatalf("after the first %d events %d came: %v", len(before), len(rest), err)
	}
	all, _ := withoutRepeats(slices.Concat(got, rest))
	wantSame(t, want, all)
}
