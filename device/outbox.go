package device

import (
	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/mqttwire"
)

// pending is a message that the hub has not confirmed.
type pending struct {
	packet    mqttwire.PublishPacket // over MQTT; ID is 0 until it is first written; then it stays [MQTT-4.4.0-1]
	messages  []*hubward.Message     // over other protocols; more than one are a batch
	done      func(error)            // called once, outside locks
	confirmed bool                   // waits for an older one to leave the queue
	abandoned bool                   // nobody waits for it: it is not sent again
}

// outbox holds the messages that are not confirmed, in the order in which they were sent. It is not safe for
// concurrent use and does no I/O.
//
// O1: queue[:written] have been written on the current connection, queue[written:] have not.
// O2: a pending with a packet identifier is in ids, as long as it is in queue and not confirmed.
type outbox struct {
	queue   []*pending
	written int
	ids     map[uint16]*pending
	lastID  uint16
}

// push adds p behind all others.
func (o *outbox) push(p *pending) { o.queue = append(o.queue, p) }

// appendUnwritten appends packets to dst until it holds at least limit bytes or all packets. They count as written.
func (o *outbox) appendUnwritten(dst []byte, limit int) ([]byte, error) {
	for o.written < len(o.queue) && len(dst) < limit {
		p := o.queue[o.written]
		if p.packet.ID == 0 {
			o.assignID(p)
		}
		var err error
		if dst, err = mqttwire.AppendPublish(dst, &p.packet); err != nil {
			return dst, err
		}
		p.packet.Dup = true // from now on it may have reached the hub [MQTT-3.3.1-1]
		o.written++
	}
	return dst, nil
}

// assignID gives p an identifier that is not in use. There is one: the queue is shorter than 65,535.
func (o *outbox) assignID(p *pending) {
	for {
		o.lastID++
		if _, used := o.ids[o.lastID]; o.lastID != 0 && !used {
			break
		}
	}
	if o.ids == nil {
		o.ids = make(map[uint16]*pending)
	}
	p.packet.ID = o.lastID
	o.ids[o.lastID] = p
}

// confirm settles the message with that identifier and returns it, or nil when there is none: a hub may acknowledge
// what was given up. left is the number of messages that left the queue.
func (o *outbox) confirm(id uint16) (p *pending, left int) {
	p = o.ids[id]
	if p == nil {
		return nil, 0
	}
	return p, o.settle(p)
}

// next returns the oldest message that is not written, and counts it as written; nil when there is none.
func (o *outbox) next() *pending {
	if o.written == len(o.queue) {
		return nil
	}
	o.written++
	return o.queue[o.written-1]
}

// settle notes that p, which was written, is confirmed or refused. left is the number of messages that left the queue.
func (o *outbox) settle(p *pending) (left int) {
	o.forget(p)
	p.confirmed = true
	for left < len(o.queue) && o.queue[left].confirmed {
		o.queue[left] = nil
		left++
	}
	o.queue = o.queue[left:]
	o.written -= left
	return left
}

// rewind prepares for a new connection: nothing is written on it yet. Messages that nobody waits for leave; left is
// their number.
func (o *outbox) rewind() (left int) {
	keep := make([]*pending, 0, len(o.queue))
	for _, p := range o.queue {
		if p.confirmed || p.abandoned {
			o.forget(p)
			left++
			continue
		}
		keep = append(keep, p)
	}
	o.queue, o.written = keep, 0
	return left
}

// forget frees the identifier of p.
func (o *outbox) forget(p *pending) {
	if o.ids[p.packet.ID] == p {
		delete(o.ids, p.packet.ID)
	}
}

// abandon notes that nobody waits for p any more. A message that is not written on the current connection leaves at
// once: then the result is true.
func (o *outbox) abandon(p *pending) (left bool) {
	p.abandoned = true
	for i := o.written; i < len(o.queue); i++ {
		if o.queue[i] == p {
			o.queue = append(o.queue[:i], o.queue[i+1:]...)
			o.forget(p)
			return true
		}
	}
	return false
}

// takeAll empties the outbox and returns the messages that are not confirmed.
func (o *outbox) takeAll() []*pending {
	var rest []*pending
	for _, p := range o.queue {
		if !p.confirmed {
			rest = append(rest, p)
		}
	}
	*o = outbox{}
	return rest
}
