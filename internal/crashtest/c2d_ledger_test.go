//go:build crash

package crashtest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hubward/hubward"
)

// handling is what a device is to do with a message, as far as its protocol has a way to say so.
type handling int

const (
	completeIt       handling = iota // complete it
	rejectIt                         // reject it
	abandonAlways                    // abandon it, every time: a poison message
	abandonSometimes                 // abandon it or complete it
	ignoreOnce                       // leave it unsettled the first time, until the connection or the lock ends
	expireSoon                       // as completeIt, but it expires soon
)

// handlings is what is to be done with messages by their number. The pattern repeats, so that every run has all of it.
var handlings = [25]handling{
	3: abandonAlways, 5: rejectIt, 7: abandonSometimes, 9: ignoreOnce, 11: expireSoon, 14: rejectIt, 17: abandonSometimes,
	19: ignoreOnce, 21: abandonSometimes, 23: expireSoon,
}

// idleMessage is the place in the pattern of the message for the idle device. Every other one of these expires soon.
const idleMessage = 12

// outcome is what a device tells the hub of a message.
type outcome int

const (
	complete outcome = iota
	reject
	abandon
	outcomes // how many there are

	unsettled outcome = -1 // it tells nothing
)

func (o outcome) String() string { return [...]string{"complete", "reject", "abandon"}[o] }

// sendState is what a message's sender knows of it.
type sendState int

const (
	unsent   sendState = iota // it was never sent, or the hub refused it
	unknown                   // the hub did not answer
	accepted                  // the hub said that it is stored
)

// message is one numbered message and all that is known about it.
type message struct {
	// Set by newC2DLedger, never changed after.
	number   int
	device   string
	handling handling

	// Guarded by c2dLedger.mu.
	state        sendState
	begun, ended time.Time // the call that sent it
	expires      time.Time // zero: after the hub's default, which is longer than the test
	sequence     int64     // 0: no delivery has told
	deliveries   int
	tried        [outcomes]int // what the device told the hub
	confirmed    [outcomes]int // what of that the hub has confirmed
	locked       time.Time     // a lock that is not settled lasts until then at least
	pending      bool          // it was in its queue in the end
	record       *hubward.Feedback
	recorded     time.Time // when the record was read
	batch        string    // that held it
}

func (m *message) id() string { return fmt.Sprintf("message-%d", m.number) }

// outgoing is the message as it is sent.
func (m *message) outgoing(expires time.Time) *hubward.Message {
	return &hubward.Message{
		MessageID: m.id(), Ack: hubward.AckFull, Expiry: expires, ContentType: "application/json",
		Body: fmt.Appendf(nil, `{"number":%d}`, m.number),
	}
}

// c2dLedger knows all messages, and what senders, devices and the reader of feedback were told of them. It is safe for
// concurrent use.
type c2dLedger struct {
	messages []*message // by number
	idle     string     // the device that does not connect while the hub is being killed

	mu        sync.Mutex // guards the fields below and those of messages
	given     int        // messages that senders took
	returned  []*message // messages that were given and are to be sent once more
	sequences map[place]*message
	batches   map[string]*batch
	awaited   confirmation
	came      chan struct{} // closed when awaited comes; nil: nobody waits
}

// confirmation is a kind of answer by which the hub says that something is on disk. A kill right behind one finds a hub that
// has said so too early.
type confirmation int

const (
	none              confirmation = iota // a kill waits for none: any moment will do
	sendConfirmed                         // a message is stored
	outcomeConfirmed                      // an outcome is stored
	feedbackConfirmed                     // a feedback message is completed
)

// moments says behind which confirmation each kill comes, in turn.
var moments = [9]confirmation{
	outcomeConfirmed, none, sendConfirmed, outcomeConfirmed, none, outcomeConfirmed, sendConfirmed, feedbackConfirmed,
	outcomeConfirmed,
}

// await returns a channel that is closed with the hub's next confirmation of that kind.
func (l *c2dLedger) await(what confirmation) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.awaited, l.came = what, make(chan struct{})
	return l.came
}

func (l *c2dLedger) confirmedLocked(what confirmation) {
	if l.came != nil && l.awaited == what {
		close(l.came)
		l.came = nil
	}
}

// place is a place in a device's queue.
type place struct {
	device   string
	sequence int64
}

// newC2DLedger makes n messages to a fleet. The first ones fill the queue of its first device; its last device is idle.
func newC2DLedger(n int, fleet []*device, rng *rand.Rand) *c2dLedger {
	l := &c2dLedger{
		messages: make([]*message, n), idle: fleet[len(fleet)-1].id,
		sequences: make(map[place]*message), batches: make(map[string]*batch),
	}
	for i := range l.messages {
		m := &message{number: i, handling: handlings[i%len(handlings)]}
		l.messages[i] = m
		switch {
		case i <= queueDepth:
			m.device, m.handling = fleet[0].id, completeIt
		case i%len(handlings) == idleMessage:
			m.device = l.idle
			if i/len(handlings)%2 == 0 {
				m.handling = expireSoon
			}
		default:
			m.device = fleet[rng.IntN(len(fleet)-1)].id
		}
	}
	return l
}

// next gives out the next message, nil when limit messages were given out.
func (l *c2dLedger) next(limit int) *message {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.returned); n > 0 {
		m := l.returned[n-1]
		l.returned = l.returned[:n-1]
		return m
	}
	if l.given >= min(limit, len(l.messages)) {
		return nil
	}
	l.given++
	return l.messages[l.given-1]
}

// giveBack has a message sent by somebody else, later. It was certainly not stored.
func (l *c2dLedger) giveBack(m *message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.returned = append(l.returned, m)
}

// sending comes before the call, for the message may be delivered before the call returns.
func (l *c2dLedger) sending(m *message, expires time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.state, m.begun, m.expires = unknown, time.Now(), expires
}

// sent comes after the call.
func (l *c2dLedger) sent(m *message, s sendState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.state, m.ended = s, time.Now()
	if s == accepted {
		l.confirmedLocked(sendConfirmed)
	}
}

// delivery is a message as a device gets it.
type delivery struct {
	device   string
	id       string // the message id
	body     []byte
	asked    time.Time     // the hub has handed it out later than this
	sequence int64         // 0: the protocol does not tell
	count    int           // earlier deliveries that were abandoned; -1: the protocol does not tell
	first    bool          // the protocol says that it was not handed out before
	lock     time.Duration // it is locked for so long, even when the connection ends; 0: it is not
}

// deliver notes a delivery and checks D2, D4 and D5. nth counts those of the message, from 1.
func (l *c2dLedger) deliver(d delivery) (m *message, nth int, err error) {
	var body struct{ Number int }
	if err := json.Unmarshal(d.body, &body); err != nil || body.Number < 0 || body.Number >= len(l.messages) {
		return nil, 0, violated("D1: %s gets what nobody sent: %.40q", d.device, d.body)
	}
	m = l.messages[body.Number]
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case d.id != m.id() || d.device != m.device:
		return nil, 0, violated("D1: %s gets %q with the body of %s, which is for %s", d.device, d.id, m.id(), m.device)
	case m.state == unsent:
		return nil, 0, violated("D1: %s gets %s, which was refused", d.device, m.id())
	case m.confirmed[complete]+m.confirmed[reject] > 0:
		return nil, 0, violated("D2: %s gets %s again: %s", d.device, m.id(), m.historyLocked())
	case m.record != nil && d.asked.After(m.recorded):
		return nil, 0, violated("D2: %s gets %s after its feedback: %s", d.device, m.id(), m.historyLocked())
	case time.Now().Before(m.locked):
		return nil, 0, violated("D4: %s gets %s, which is locked until %s: %s", d.device, m.id(), m.locked.UTC(), m.historyLocked())
	case d.first && m.deliveries > 0:
		return nil, 0, violated("D4: %s gets %s for the first time, once more: %s", d.device, m.id(), m.historyLocked())
	case d.count >= 0 && (d.count < m.confirmed[abandon] || d.count > m.tried[abandon]):
		return nil, 0, violated("D4: %s gets %s as abandoned %d times: %s", d.device, m.id(), d.count, m.historyLocked())
	}
	if d.sequence > 0 {
		at := place{d.device, d.sequence}
		other := l.sequences[at]
		if m.sequence != 0 && m.sequence != d.sequence || other != nil && other != m {
			return nil, 0, violated("D5: %s has the number %d: %s", m.id(), d.sequence, m.historyLocked())
		}
		m.sequence, l.sequences[at] = d.sequence, m
	}
	m.deliveries++
	m.locked = time.Time{}
	if d.lock > 0 {
		m.locked = d.asked.Add(d.lock)
	}
	return m, m.deliveries, nil
}

// settling comes before a device tells an outcome, settled after the hub has confirmed it.
func (l *c2dLedger) settling(m *message, o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.tried[o]++
	m.locked = time.Time{}
}

func (l *c2dLedger) settled(m *message, o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.confirmed[o]++
	l.confirmedLocked(outcomeConfirmed)
}

// refused takes settling back: the hub said that it did not count.
func (l *c2dLedger) refused(m *message, o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.tried[o]--
}

// leftInQueue notes that a message was still in its queue in the end.
func (l *c2dLedger) leftInQueue(m *message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.pending = true
}

// historyLocked says what is known about a message, for errors.
func (m *message) historyLocked() string {
	text := fmt.Sprintf("%s, number %d, delivered %d times", [...]string{"unsent", "perhaps sent", "accepted"}[m.state], m.sequence, m.deliveries)
	for o := range outcomes {
		if m.tried[o] > 0 {
			text += fmt.Sprintf(", %s tried %d times and confirmed %d times", o, m.tried[o], m.confirmed[o])
		}
	}
	if !m.expires.IsZero() {
		text += ", expires " + m.expires.UTC().Format(time.RFC3339Nano)
	}
	if m.record != nil {
		text += fmt.Sprintf(", feedback %s of %s in %s", m.record.StatusCode, m.record.EnqueuedTime, m.batch)
	}
	if m.pending {
		text += ", in its queue in the end"
	}
	return text
}

func violated(format string, args ...any) error { return violation{fmt.Errorf(format, args...)} }
