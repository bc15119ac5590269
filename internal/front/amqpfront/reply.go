package amqpfront

import (
	"slices"
	"sync"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
)

// Bounds of a request/response node.
const (
	maxRequest    = 64 << 10 // bytes of a request to $cbs and $management
	requestCredit = 100
	maxHeld       = 16      // replies that wait for a link to be attached
	maxReplies    = 1000    // replies that wait for credit of a link
	maxReplyBytes = 8 << 20 // of these
)

// reply is the answer to a request. Code 200 is success; the others are those of HTTP.
type reply struct {
	code      int32
	text      string
	condition amqpwire.Symbol // of a failure: what newer SDKs prefer over the code
	value     any
}

// failure is the reply for an error that is for the wire.
func failure(code int32, e *amqpwire.Error) reply {
	return reply{code: code, text: e.Description, condition: e.Condition}
}

// propertyChannel is the property of an attach that two links have in common which belong together.
//
// Source: Azure/azure-iot-sdk-node device/transport/amqp/src/amqp_twin_client.ts; Azure/azure-iot-sdk-c
// iothub_client/src/iothubtransport_amqp_twin_messenger.c.
const propertyChannel = "com.microsoft:channel-correlation-id"

// node is one address of a connection that takes requests on some links and answers on others: $cbs, $management, or the
// twin of an identity.
//
// Source: AMQP Claims-based Security and AMQP Management, working drafts; reply-to is missing, or just "cbs", in
// Azure/azure-iot-sdk-node common/transport/amqp/src/amqp_cbs.ts and in azure-eventhub's _pyamqp/management_link.py.
type node struct {
	// Set before the first link, never changed after.
	conn       *conn
	answer     func(q *request)            // called by the connection's reader
	opened     func()                      // called when there is another link for replies; nil: not
	left       func(link *amqpengine.Link) // called when a link has ended
	maxRequest uint64                      // bytes
	truncate   bool                        // requests that are larger are answered too
	credit     uint32                      // requests of a link that may be on their way

	mu         sync.Mutex // guards the fields below; never held across a call of the engine
	requesters []*amqpengine.Link
	receivers  []*receiver
	held       []heldReply // oldest first
}

// request is one that came to a node. It is answered once, by reply or reject, at once or later, from any goroutine.
type request struct {
	node     *node
	link     *amqpengine.Link
	delivery *amqpengine.Delivery
	message  *amqpwire.Message // good until the node's answer returns: what it holds may lie in the frame
	tooLarge bool              // the message is without its body
	replyTo  string
}

// receiver is a link on which the peer waits for replies.
type receiver struct {
	link    *amqpengine.Link
	target  string // the peer's address for replies, if it has one
	channel string // what the link has in common with that of its requests; may be empty
	outlet  outlet
}

// heldReply is a reply whose way back is not there yet.
type heldReply struct {
	from    *amqpengine.Link // whose request it answers
	replyTo string
	payload []byte
}

func newNode(c *conn, answer func(q *request), left func(*amqpengine.Link)) *node {
	return &node{conn: c, answer: answer, left: left, maxRequest: maxRequest, credit: requestCredit}
}

// newStatusNode makes a node whose replies have their status among the application properties, as those of $cbs and
// $management.
func newStatusNode(c *conn, answer func(l *amqpengine.Link, m *amqpwire.Message) reply) *node {
	return newNode(c, func(q *request) { q.reply(responseTo(q.message, answer(q.link, q.message))) }, c.forget)
}

// links counts the links of the node.
func (n *node) links() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.requesters) + len(n.receivers)
}

// attach accepts a link of either direction.
func (n *node) attach(l *amqpengine.Link) {
	if l.Attach().Role == amqpwire.RoleSender {
		n.mu.Lock()
		n.requesters = append(n.requesters, l)
		n.mu.Unlock()
		l.AcceptReceiver(amqpengine.ReceiverOptions{
			Deliver: func(d *amqpengine.Delivery) { n.deliver(l, d) }, Closed: func() { n.closed(l) },
			Credit: n.credit, MaxMessageSize: n.maxRequest, Truncate: n.truncate,
		})
		return
	}
	r := &receiver{link: l, channel: channelOf(l)}
	if t := l.Attach().Target; t != nil {
		r.target = t.Address
	}
	r.outlet.sender = l.AcceptSender(amqpengine.SenderOptions{
		OnCredit: r.outlet.credit, Closed: func() { n.closed(l) }, MaxPosted: maxReplies, MaxPostedBytes: maxReplyBytes,
	})
	n.mu.Lock()
	if l.Context().Err() == nil { // otherwise closed was called, or will be
		n.receivers = append(n.receivers, r)
	}
	n.mu.Unlock()
	n.release()
	if n.opened != nil {
		n.opened()
	}
}

func (n *node) closed(l *amqpengine.Link) {
	n.mu.Lock()
	n.requesters = slices.DeleteFunc(n.requesters, func(o *amqpengine.Link) bool { return o == l })
	n.receivers = slices.DeleteFunc(n.receivers, func(o *receiver) bool { return o.link == l })
	n.held = slices.DeleteFunc(n.held, func(h heldReply) bool { return h.from == l })
	n.mu.Unlock()
	n.left(l)
}

// deliver has one request answered.
func (n *node) deliver(l *amqpengine.Link, d *amqpengine.Delivery) {
	payload := d.Payload
	if d.Truncated {
		payload, _ = cutBody(payload)
	}
	m, err := amqpwire.DecodeMessage(payload)
	q := &request{node: n, link: l, delivery: d, message: m, tooLarge: d.Truncated}
	if err != nil {
		q.reject(newError(amqpwire.DecodeError, "The request cannot be decoded: %s.", err))
		return
	}
	if e := n.conn.checkHub(); e != nil {
		q.reject(e)
		return
	}
	q.replyTo = replyAddress(l, m)
	n.answer(q)
}

// reply settles the request, then sends the response to it: uamqp takes a response before that as the request's failure.
//
// Observed with uamqp 1.5.3 for Python: a response before the settlement ends the process.
func (q *request) reply(response *amqpwire.Message) {
	q.delivery.Settle(accepted)
	payload, err := response.Append(nil)
	if err != nil {
		q.node.conn.logger.Error("amqp response not encoded", "error", err)
		return
	}
	q.node.send(heldReply{q.link, q.replyTo, payload})
}

// reject refuses a request to which there is no response.
func (q *request) reject(e *amqpwire.Error) { q.delivery.Settle(&amqpwire.Rejected{Error: e}) }

// responseTo makes a response. Its correlation id has the very type of the request's id: clients compare both.
//
// Source: AmqpsCbsReceiverLinkHandler.java of Azure/azure-iot-sdk-java (uuid); Azure/azure-uamqp-c src/amqp_management.c
// (ulong); Azure/azure-sdk-for-python _pyamqp/management_link.py.
func responseTo(m *amqpwire.Message, r reply) *amqpwire.Message {
	properties := amqpwire.Map{
		{Key: "status-code", Value: r.code},
		{Key: "status-description", Value: r.text},
	}
	if r.condition != "" {
		properties = append(properties, amqpwire.Entry{Key: "error-condition", Value: r.condition})
	}
	out := &amqpwire.Message{ApplicationProperties: properties, Value: r.value, HasValue: true}
	if p := m.Properties; p != nil {
		id := p.MessageID
		if id == nil {
			id = p.CorrelationID
		}
		out.Properties = &amqpwire.Properties{CorrelationID: id}
	}
	return out
}

// replyAddress is where a request says the reply belongs. One client says it in the source of its link.
func replyAddress(l *amqpengine.Link, m *amqpwire.Message) string {
	if m.Properties != nil && m.Properties.ReplyTo != "" {
		return m.Properties.ReplyTo
	}
	if s := l.Attach().Source; s != nil {
		return s.Address
	}
	return ""
}

func channelOf(l *amqpengine.Link) string {
	channel, _ := amqpwire.Text(l.Attach().Properties.Get(propertyChannel))
	return channel
}

// send sends a reply, or holds it until a link that it can take is attached. The oldest make room.
func (n *node) send(h heldReply) {
	n.mu.Lock()
	to := n.receiverLocked(h)
	if to == nil && h.from.Context().Err() == nil { // otherwise closed was called, or will be
		if len(n.held) >= maxHeld {
			n.held = slices.Delete(n.held, 0, 1)
		}
		n.held = append(n.held, h)
	}
	n.mu.Unlock()
	if to != nil {
		to.outlet.post(h.payload, nil)
	}
}

// route finds the link on which what belongs to a link for requests leaves now; nil when there is none.
func (n *node) route(from *amqpengine.Link, replyTo string) *receiver {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.receiverLocked(heldReply{from: from, replyTo: replyTo})
}

// release sends the held replies that have a way now.
func (n *node) release() {
	n.mu.Lock()
	held := n.held
	n.held = nil
	n.mu.Unlock()
	for _, h := range held {
		n.send(h)
	}
}

// receiverLocked finds the link that a reply leaves on: in the session of the request the one with the reply's address, else
// the only one there, else the one that was attached in the same order as the request's link, as uamqp opens them in
// pairs; without any in that session the only one of the connection. It returns nil when there is none yet.
func (n *node) receiverLocked(h heldReply) *receiver {
	session := h.from.Session()
	all := n.onChannelLocked(channelOf(h.from))
	var near []*receiver
	for _, r := range all {
		if r.link.Session() != session {
			continue
		}
		if h.replyTo != "" && r.target == h.replyTo && n.uniqueLocked(session, r.target) {
			return r
		}
		near = append(near, r)
	}
	switch {
	case len(near) == 0 && len(all) == 1:
		return all[0]
	case len(near) == 0:
		return nil
	}
	return near[min(n.orderLocked(h.from), len(near)-1)]
}

// onChannelLocked returns the receivers that a request may be answered on: of its channel the newest one, or those that
// name no channel. One that names no channel itself may be answered on any.
func (n *node) onChannelLocked(channel string) []*receiver {
	if channel == "" {
		return n.receivers
	}
	var without []*receiver
	for _, r := range slices.Backward(n.receivers) {
		if r.channel == channel {
			return []*receiver{r}
		}
		if r.channel == "" {
			without = append(without, r)
		}
	}
	slices.Reverse(without)
	return without
}

// uniqueLocked reports whether one receiver of the session alone has this target: uamqp calls all of its own $cbs.
func (n *node) uniqueLocked(session uint16, target string) bool {
	count := 0
	for _, r := range n.receivers {
		if r.link.Session() == session && r.target == target {
			count++
		}
	}
	return count == 1
}

// orderLocked returns how many links for requests were attached in the session before l.
func (n *node) orderLocked(l *amqpengine.Link) int {
	before := 0
	for _, o := range n.requesters {
		if o == l {
			break
		}
		if o.Session() == l.Session() {
			before++
		}
	}
	return before
}
