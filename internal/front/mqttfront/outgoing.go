package mqttfront

import (
	"sync"
	"sync/atomic"

	"github.com/hubward/hubward/internal/front/unacked"
)

// Bounds of what a connection may have under way. At any of them the reader stops reading: the client feels it as TCP
// back-pressure, which Java's 65,000 publishes in flight need.
//
// Source: MqttIotHubConnection.java of Azure/azure-iot-sdk-java.
const (
	maxUnconfirmedBytes = 1 << 20
	maxUnconfirmed      = 8192
	maxQueued           = 64 << 10 // bytes of packets waiting for the writer
)

// outgoing is what a connection still has to say: the messages that wait for the log, oldest first, the requests that wait for
// the hub (requests.go), and the packets that wait for the writer.
type outgoing struct {
	conn *conn

	writingSince atomic.Int64 // coarse Unix milliseconds at which the present write began, 0: none

	mu      sync.Mutex            // guards the fields below; never held across I/O
	changed sync.Cond             // of mu: room was made, or closed was set, or the writer went to rest
	waiting int                   // how many wait on changed
	unacked unacked.Queue[uint16] // packet identifiers of the messages that wait for the log; 0: none is to be acknowledged
	logged  uint64                // how many messages the log has confirmed

	requests []*request // at QoS 1, not acknowledged yet, oldest first
	behind   int        // messages that wait behind them for nothing else
	serving  int        // weight of the requests that the hub is carrying out

	queue   []byte
	spare   []byte   // the writer's other buffer
	written []func() // to be called when queue is written
	writing bool     // a writer is at work or asked for
	held    bool     // nothing is written, until the packet is there that comes first
	closed  bool     // nothing more is accepted or written
}

// init makes o ready for a connection, on which CONNACK comes first.
func (o *outgoing) init(c *conn) {
	o.conn = c
	o.changed.L = &o.mu
	o.held = true
}

// isFull reports whether as much is under way as may be. The caller holds mu.
func (o *outgoing) isFull() bool {
	return o.unacked.Bytes() >= maxUnconfirmedBytes || o.unacked.Len()+len(o.requests)+o.behind >= maxUnconfirmed || len(o.queue) >= maxQueued
}

// expect notes a message that goes to the log, and waits while too much is unconfirmed. It reports false when the
// connection is closed.
func (o *outgoing) expect(id uint16, size int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.closed && o.isFull() {
		o.wait()
	}
	if o.closed {
		return false
	}
	o.unacked.Append(id, size, 1)
	return true
}

// takeBack forgets the message that was expected last: the log did not take it.
func (o *outgoing) takeBack() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unacked.TakeBack(1, func(*uint16, bool) {})
	o.signal()
}

// expectWill notes the will, which goes to the log when the connection is closed already.
func (o *outgoing) expectWill() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unacked.Append(0, 0, 1)
}

// wait waits on changed. The caller holds mu.
func (o *outgoing) wait() {
	o.waiting++
	o.changed.Wait()
	o.waiting--
}

// signal wakes those who wait on changed. The caller holds mu.
func (o *outgoing) signal() {
	if o.waiting > 0 {
		o.changed.Broadcast()
	}
}

// confirmed is the log's callback: the n oldest messages are durable. Their acknowledgements leave in one write.
func (o *outgoing) confirmed(n int, err error) {
	if err != nil {
		o.conn.Close(err) // MQTT 3.1.1 has no negative acknowledgement
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unacked.Confirm(n, func(id *uint16, _ bool) {
		o.logged++
		if err == nil {
			o.durable(o.logged, *id)
		}
	})
	o.release()
	o.startWriter()
	o.signal()
}

// maxIdleQueue is how many bytes an idle connection may keep room for.
const maxIdleQueue = 256

// send queues a packet for the writer. When the queue is full it waits; a closed connection drops it.
func (o *outgoing) send(packet []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.closed && len(o.queue) >= maxQueued {
		o.wait()
	}
	if o.closed {
		return
	}
	o.queue = append(o.queue, packet...)
	o.startWriter()
}

// hold has nothing written until answer is called: what the hub has for the client follows the answer.
func (o *outgoing) hold() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = true
}

// answer ends hold: packet leaves, and then what has come meanwhile. A packet that is the last one leaves alone.
func (o *outgoing) answer(packet []byte, last bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	o.held = false
	if last {
		o.queue, o.written = nil, nil
	}
	o.queue = append(packet, o.queue...)
	o.startWriter()
}

// push queues a packet without waiting for room: the caller bounds how many there are. written, unless it is nil, is called
// once the packet is written, by the writer; a closed connection calls nobody.
func (o *outgoing) push(packet []byte, written func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	o.queue = append(o.queue, packet...)
	if written != nil {
		o.written = append(o.written, written)
	}
	o.startWriter()
}

// maxWaiting bounds the packets that wait for the writer in all, when one may be left out. It is beyond what the hub hands over
// to a client that answers: 4 MiB of calls, and 2 MiB of messages.
const maxWaiting = 8 << 20

// offer is push, unless so much waits already that the packet has to be left out: then it reports false.
func (o *outgoing) offer(packet []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue)+len(packet) > maxWaiting {
		return false
	}
	if !o.closed {
		o.queue = append(o.queue, packet...)
		o.startWriter()
	}
	return true
}

// startWriter asks for a writer if there is something to write and none is under way. The caller holds mu.
func (o *outgoing) startWriter() {
	if len(o.queue) == 0 || o.writing || o.held || o.closed {
		return
	}
	o.writing = true
	o.conn.srv.writers.put(o)
}

// write writes what is queued until nothing is. It runs on one of the server's writers.
func (o *outgoing) write() {
	for {
		o.mu.Lock()
		if len(o.queue) == 0 || o.held || o.closed {
			o.writing = false
			o.changed.Broadcast()
			o.mu.Unlock()
			return
		}
		out, written := o.queue, o.written
		o.queue, o.written = o.spare[:0], nil
		o.signal()
		o.mu.Unlock()

		err := o.writePieces(out)

		o.mu.Lock()
		if o.spare = out[:0]; cap(out) > maxIdleQueue {
			o.spare = nil
		}
		o.mu.Unlock()
		if err != nil {
			o.conn.Close(err)
			o.stop()
			written = nil
		}
		for _, f := range written {
			f()
		}
	}
}

// maxPiece is the most that one write holds: what a client has to read within maxWrite.
const maxPiece = 32 << 10

// writePieces writes b.
func (o *outgoing) writePieces(b []byte) error {
	defer o.writingSince.Store(0)
	for len(b) > 0 {
		piece := b[:min(len(b), maxPiece)]
		o.writingSince.Store(o.conn.srv.coarse.Load())
		if _, err := o.conn.nc.Write(piece); err != nil {
			return err
		}
		b = b[len(piece):]
	}
	return nil
}

// drain waits until every message is confirmed, every request carried out, and every acknowledgement and answer written, or the
// connection is stopped.
func (o *outgoing) drain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.closed && (o.unacked.Len() > 0 || o.serving > 0 || len(o.queue) > 0 || o.writing) {
		o.wait()
	}
}

// stop makes everybody who waits give up. What is queued is not written.
func (o *outgoing) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.changed.Broadcast()
}

// join waits for the writer to end. The socket is closed, so it does.
func (o *outgoing) join() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.writing {
		o.wait()
	}
}
