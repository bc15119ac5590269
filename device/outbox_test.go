package device

import (
	"testing"

	"github.com/hubward/hubward/internal/mqttwire"
)

func TestOutbox_identifiersWrapAroundAndSkipThoseInUse(t *testing.T) {
	var o outbox
	add := func() *pending {
		p := &pending{packet: mqttwire.PublishPacket{QoS: 1, Topic: []byte("t")}}
		o.push(p)
		if _, err := o.appendUnwritten(nil, 1); err != nil {
			t.Fatal(err)
		}
		return p
	}
	old := add() // stays under way all the time, with identifier 1
	for range 65_534 {
		if p := add(); p.packet.ID == old.packet.ID || p.packet.ID == 0 {
			t.Fatalf("identifier %d is in use or forbidden", p.packet.ID)
		} else {
			o.confirm(p.packet.ID)
		}
	}
	if next := add(); next.packet.ID != 2 {
		t.Errorf("the identifier after 65535 is %d, want 2", next.packet.ID)
	}
}

func TestOutbox_batchHasABound(t *testing.T) {
	var o outbox
	for range 5 {
		o.push(&pending{packet: mqttwire.PublishPacket{QoS: 1, Topic: []byte("t"), Payload: make([]byte, 100)}})
	}
	for _, want := range []int{2, 2, 1, 0} {
		before := o.written
		b, err := o.appendUnwritten(nil, 150)
		if err != nil || o.written-before != want || (len(b) == 0) != (want == 0) {
			t.Errorf("%d packets in %d bytes, %v; want %d", o.written-before, len(b), err, want)
		}
	}
}
