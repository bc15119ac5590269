package device

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/mqttwire"
)

// mqttC2D knows the messages that the hub has sent and that are not acknowledged, over the client's connections.
//
// R1: a PUBACK goes out on the connection on which its PUBLISH came, since identifiers have no meaning on another.
// R2: a message that Receive has returned is not returned again while it is not acknowledged: what the hub sends again
// joins what is there.
// R3: a message with an id that was acknowledged is not returned again when the hub did not get the PUBACK: it is
// acknowledged once more. Its copy has DUP set; without that, it is another message.
type mqttC2D struct {
	mu    sync.Mutex     // guards the fields below; never held across I/O; taken before inbox.mu
	conn  *mqttConn      // that is served; nil between connections
	open  []*mqttMessage // not acknowledged
	acked []messageKey   // the latest ones, oldest first
	acks  []mqttAck      // to be written on conn
}

// mqttMessage is a message that is not acknowledged.
type mqttMessage struct {
	key        messageKey
	m          *C2DMessage
	conn       *mqttConn     // on which it came last
	ids        []uint16      // packet identifiers on conn: more than one when the hub took its lock for ended
	completing bool          // Complete was called
	acked      chan struct{} // closed when it is acknowledged
}

// mqttAck is a PUBACK to be written; o is nil when nobody waits for it.
type mqttAck struct {
	id uint16
	o  *mqttMessage
}

// messageKey tells messages apart: a digest of topic and body.
type messageKey [sha256.Size]byte

func keyOf(p *mqttwire.PublishPacket) (k messageKey) {
	h := sha256.New()
	h.Write(p.Topic)
	h.Write([]byte{0}) // stands in no topic
	h.Write(p.Payload)
	h.Sum(k[:0])
	return k
}

// begin makes cn the connection that messages come by.
func (r *mqttC2D) begin(cn *mqttConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conn = cn
}

// end notes the end of the connection. The hub sends again what is not acknowledged.
func (r *mqttC2D) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	unread := r.conn.client.in.clear()
	r.open = slices.DeleteFunc(r.open, func(o *mqttMessage) bool { return slices.Contains(unread, o.m) })
	r.conn, r.acks = nil, nil
}

// message takes a message to the device, or to an input of the module. It reports false for what is none.
func (cn *mqttConn) message(topic string, p *mqttwire.PublishPacket) bool {
	m, ok := cn.messageOn(topic)
	if !ok {
		// It is due to a subscription that another program of this device has left behind, and is not acknowledged: so
		// the hub keeps it for a program that handles it.
		return false
	}
	m.Body = bytes.Clone(p.Payload)
	if cn.c2d.arrive(cn, p, m) {
		cn.client.nudge()
	}
	return true
}

// messageOn returns the message that came on a topic, without its body.
func (cn *mqttConn) messageOn(topic string) (*C2DMessage, bool) {
	id := cn.client.account.identity
	if id.Module != "" {
		return inputMessage(id, topic)
	}
	m, ok := deviceboundMessage(id.Device, topic)
	if !ok {
		return nil, false
	}
	return &C2DMessage{Message: *m}, true
}

// arrive notes a message and puts it into the inbox if it is a new one. It reports whether there is something to write.
func (r *mqttC2D) arrive(cn *mqttConn, p *mqttwire.PublishPacket, m *C2DMessage) bool {
	key := keyOf(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.Dup && slices.Contains(r.acked, key) {
		r.acks = append(r.acks, mqttAck{id: p.ID})
		return true
	}
	if o := r.copyLocked(cn, key, p.Dup); o != nil {
		if o.conn != cn {
			o.conn, o.ids = cn, nil
		}
		o.ids = append(o.ids, p.ID)
		if o.completing {
			r.acks = append(r.acks, mqttAck{p.ID, o})
		}
		return o.completing
	}
	if len(r.open) >= maxInbox {
		cn.client.log.Debug("device client leaves a message with the hub: too many are not settled")
		return false
	}
	o := &mqttMessage{key: key, m: m, conn: cn, acked: make(chan struct{})}
	if p.QoS > 0 {
		o.ids = []uint16{p.ID}
	}
	m.settle = func(ctx context.Context, s settlement) error { return r.settle(ctx, cn.client, o, s) }
	m.leave = func() { r.giveUp(o) }
	r.open = append(r.open, o)
	cn.client.in.put(m)
	return false
}

// copyLocked returns the message that has come again, or nil when it is a new one: it came on an earlier connection, or it
// did on this one and has DUP set.
func (r *mqttC2D) copyLocked(cn *mqttConn, key messageKey, dup bool) *mqttMessage {
	var found *mqttMessage
	for _, o := range r.open {
		switch {
		case o.key != key:
		case o.conn != cn:
			return o
		case dup && found == nil:
			found = o
		}
	}
	return found
}

// lockTime is how long a hub keeps a message for the connection to which it has sent it.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-c2d.
const lockTime = time.Minute

// settle is C2DMessage.settle.
func (r *mqttC2D) settle(ctx context.Context, c *Client, o *mqttMessage, s settlement) error {
	if s != complete {
		return hubward.Errorf(hubward.CodeInvalidOperation, "MQTT can only complete a message: use AMQP or HTTPS to reject or abandon one")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.complete(o); err != nil {
		return err
	}
	c.nudge()
	lock := time.NewTimer(lockTime)
	defer lock.Stop()
	select {
	case <-o.acked:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-lock.C:
		r.leave(o)
		return errLockLost()
	case <-c.done:
		_, err := c.running()
		return err
	}
}

// complete has a message acknowledged: now, or when it comes again because its connection is lost.
func (r *mqttC2D) complete(o *mqttMessage) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.open, o) {
		return errSettled()
	}
	if o.completing {
		return nil // a call before this one gave up waiting
	}
	o.completing = true
	if o.conn != r.conn {
		return nil
	}
	if len(o.ids) == 0 { // QoS 0: the hub took it for completed when it was sent
		r.leaveLocked(o)
	}
	for _, id := range o.ids {
		r.acks = append(r.acks, mqttAck{id, o})
	}
	return nil
}

// leave forgets a message, except that it is not returned again.
func (r *mqttC2D) leave(o *mqttMessage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaveLocked(o)
}

func (r *mqttC2D) leaveLocked(o *mqttMessage) {
	i := slices.Index(r.open, o)
	if i < 0 {
		return
	}
	r.open = slices.Delete(r.open, i, i+1)
	close(o.acked)
	if o.m.MessageID == "" {
		return
	}
	if len(r.acked) >= maxInbox {
		r.acked = slices.Delete(r.acked, 0, 1)
	}
	r.acked = append(r.acked, o.key)
}

// giveUp forgets a message that is not to be completed: when it comes again, it is a new one.
func (r *mqttC2D) giveUp(o *mqttMessage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = slices.DeleteFunc(r.open, func(other *mqttMessage) bool { return other == o && !o.completing })
}

// take returns the acknowledgements to be written.
func (r *mqttC2D) take() []mqttAck {
	r.mu.Lock()
	defer r.mu.Unlock()
	acks := r.acks
	r.acks = nil
	return acks
}

// acknowledge has a message acknowledged that is none of those to the device.
func (r *mqttC2D) acknowledge(id uint16) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acks = append(r.acks, mqttAck{id: id})
}

// flushAcks writes the acknowledgements that are due.
func (cn *mqttConn) flushAcks() error {
	acks := cn.c2d.take()
	if len(acks) == 0 {
		return nil
	}
	cn.out = cn.out[:0]
	for _, a := range acks {
		cn.out = mqttwire.AppendPuback(cn.out, a.id)
	}
	if err := cn.write(cn.out); err != nil {
		return err
	}
	for _, a := range acks {
		if a.o != nil {
			cn.c2d.leave(a.o)
		}
	}
	return nil
}
