package mqttfront

import (
	"context"
	"sort"

	"github.com/hubward/hubward/internal/mqttwire"
)

// maxServing bounds the requests of a connection that the hub is carrying out. One for a whole twin counts for twinWeight: with
// the longest ids and twins that there can be, 512 KiB, answers take 5 MiB while they wait for the writer, and as much with it.
const (
	maxServing = 64
	twinWeight = 8
)

// request is a PUBLISH that is no telemetry.
//
// PUBACKs leave in the order in which their PUBLISHes came [MQTT-4.6.0-2]; the C# SDK ends a connection on which they do not.
// The log confirms telemetry in that order, but a request is over whenever it is: so it waits for the telemetry before it,
// and the telemetry behind it waits for it. While there is no request, that costs nothing.
//
// Source: OrderedTwoPhaseWorkQueue.cs of Azure/azure-iot-sdk-csharp.
type request struct {
	id     uint16   // 0: there is no PUBACK for it
	after  uint64   // how many messages of telemetry came before it
	over   bool     // it may be acknowledged
	weight int      // of maxServing
	behind []uint16 // telemetry that came after it, before the next request, and is durable
}

// begin notes a request that the hub is to carry out, and waits while too much is under way. id is 0 at QoS 0. It reports
// false when the connection is closed; otherwise end follows.
func (o *outgoing) begin(id uint16, weight int) (*request, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.closed && (o.serving+weight > maxServing || o.isFull()) {
		o.wait()
	}
	if o.closed {
		return nil, false
	}
	o.serving += weight
	r := o.enlist(id)
	r.weight = weight
	return r, true
}

// end ends a request, which the client is told of: with a PUBACK, if acknowledged, and an answer, if there is one.
func (o *outgoing) end(r *request, acknowledged bool, answer []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.serving -= r.weight
	if !acknowledged {
		r.id = 0
	}
	o.finish(r)
	if !o.closed {
		o.queue = append(o.queue, answer...)
	}
	o.startWriter()
	o.signal()
}

// acknowledge answers a PUBLISH that is dealt with already, and waits while too much is under way. id is 0 at QoS 0.
func (o *outgoing) acknowledge(id uint16) {
	if id == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.closed && o.isFull() {
		o.wait()
	}
	o.finish(o.enlist(id))
	o.startWriter()
}

// enlist gives a request its place among the PUBLISHes. The caller holds mu.
func (o *outgoing) enlist(id uint16) *request {
	r := &request{id: id, after: o.logged + uint64(o.unacked.Len())}
	if id != 0 {
		o.requests = append(o.requests, r)
	}
	return r
}

// finish marks a request as over. The caller holds mu.
func (o *outgoing) finish(r *request) {
	r.over = true
	o.release()
}

// release acknowledges the oldest requests that are over, up to the first one that is not, or that came after telemetry which
// is not durable yet; each with the telemetry behind it. The caller holds mu.
func (o *outgoing) release() {
	for len(o.requests) > 0 {
		r := o.requests[0]
		if !r.over || r.after > o.logged {
			return
		}
		o.puback(r.id)
		for _, id := range r.behind {
			o.puback(id)
		}
		o.behind -= len(r.behind)
		o.requests[0] = nil
		if o.requests = o.requests[1:]; len(o.requests) == 0 {
			o.requests = nil
		}
	}
}

// durable acknowledges a message of telemetry, the number'th of the connection, or has it wait for the requests before it. The
// caller holds mu.
func (o *outgoing) durable(number uint64, id uint16) {
	before := 0 // requests
	if len(o.requests) > 0 && id != 0 {
		before = sort.Search(len(o.requests), func(i int) bool { return o.requests[i].after >= number })
	}
	if before == 0 {
		o.puback(id)
		return
	}
	r := o.requests[before-1]
	r.behind = append(r.behind, id)
	o.behind++
}

// puback queues a PUBACK. The caller holds mu.
func (o *outgoing) puback(id uint16) {
	if id != 0 && !o.closed {
		o.queue = mqttwire.AppendPuback(o.queue, id)
	}
}

// awaitRequests waits until the hub has carried out what the client asked for before it left. It gives up after a while, or when
// ctx ends.
func (o *outgoing) awaitRequests(ctx context.Context) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.serving == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, maxDrain)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.changed.Broadcast()
	})()
	for o.serving > 0 && ctx.Err() == nil {
		o.wait()
	}
}
