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

// wish is what the device that gets a letter is to make of it, as far as its protocol can say so.
type wish int

const (
	obey     wish = iota // complete it
	refuse               // reject it
	poison               // abandon it, every time
	hesitate             // abandon it or complete it
	forget               // leave it unsettled the first time: the connection ends, or the lock
	brief                // as obey, but it expires soon
)

// wishes says by number how common each wish is: a pattern of this length repeats, so that no run is without one.
var wishes = [25]wish{3: poison, 5: refuse, 14: refuse, 7: hesitate, 17: hesitate, 21: hesitate, 9: forget, 19: forget, 11: brief, 23: brief}

// An idle device gets one letter of the pattern, which is brief every other time.
const idleLetter = 12

// outcome is what a device tells the hub of a letter.
type outcome int

const (
	complete outcome = iota
	reject
	abandon
	outcomes // how many there are

	leave outcome = -1 // it tells nothing
)

func (o outcome) String() string { return [...]string{"complete", "reject", "abandon"}[o] }

// fate is what a letter's sender knows.
type fate int

const (
	unsent   fate = iota // it was never sent, or refused
	unknown              // nothing came back
	accepted             // the hub said that it is stored
)

// letter is one numbered message and all that is known about it.
type letter struct {
	// Set by newPost, never changed after.
	number int
	device string
	wish   wish

	// Guarded by post.mu.
	fate         fate
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

func (l *letter) id() string { return fmt.Sprintf("letter-%d", l.number) }

// message makes what is sent.
func (l *letter) message(expires time.Time) *hubward.Message {
	return &hubward.Message{
		MessageID: l.id(), Ack: hubward.AckFull, Expiry: expires, ContentType: "application/json",
		Body: fmt.Appendf(nil, `{"number":%d}`, l.number),
	}
}

// post knows all letters. It is safe for concurrent use.
type post struct {
	letters []*letter // by number
	idle    string    // the device that does not connect while the hub is being killed

	mu        sync.Mutex // guards the fields below and those of letters
	given     int        // letters that senders took
	returned  []*letter  // letters that were given and are to be sent once more
	sequences map[place]*letter
	batches   map[string]*batch
	awaited   promise       // what closes kept
	kept      chan struct{} // nil: nobody waits
}

// promise is something that the hub said: from then on a crash must not undo it. The moment after it is the best one
// for a kill.
type promise int

const (
	nothing promise = iota // is promised: any moment will do
	accepts                // that a letter is stored
	settles                // that an outcome is
	forgets                // that a feedback message is completed
)

// moments says for which promises kills wait, in turn.
var moments = [9]promise{settles, nothing, accepts, settles, nothing, settles, accepts, forgets, settles}

// await returns what is closed when the hub makes the next promise of that kind.
func (p *post) await(what promise) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.awaited, p.kept = what, make(chan struct{})
	return p.kept
}

func (p *post) promisedLocked(what promise) {
	if p.kept != nil && p.awaited == what {
		close(p.kept)
		p.kept = nil
	}
}

// place is one place in one queue.
type place struct {
	device   string
	sequence int64
}

// newPost makes n letters to a fleet. The first ones fill the queue of its first device; its last one is idle.
func newPost(n int, fleet []*device, rng *rand.Rand) *post {
	p := &post{
		letters: make([]*letter, n), idle: fleet[len(fleet)-1].id,
		sequences: make(map[place]*letter), batches: make(map[string]*batch),
	}
	for i := range p.letters {
		l := &letter{number: i, wish: wishes[i%len(wishes)]}
		p.letters[i] = l
		switch {
		case i <= queueDepth:
			l.device, l.wish = fleet[0].id, obey
		case i%len(wishes) == idleLetter:
			l.device = p.idle
			if i/len(wishes)%2 == 0 {
				l.wish = brief
			}
		default:
			l.device = fleet[rng.IntN(len(fleet)-1)].id
		}
	}
	return p
}

// next gives out the next letter, nil when so many were given out.
func (p *post) next(limit int) *letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.returned); n > 0 {
		l := p.returned[n-1]
		p.returned = p.returned[:n-1]
		return l
	}
	if p.given >= min(limit, len(p.letters)) {
		return nil
	}
	p.given++
	return p.letters[p.given-1]
}

// giveBack has a letter sent by somebody else, later. It was certainly not stored.
func (p *post) giveBack(l *letter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.returned = append(p.returned, l)
}

// sending comes before the call, for the letter may be delivered before the call returns.
func (p *post) sending(l *letter, expires time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.fate, l.begun, l.expires = unknown, time.Now(), expires
}

func (p *post) sent(l *letter, f fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.fate, l.ended = f, time.Now()
	if f == accepted {
		p.promisedLocked(accepts)
	}
}

// delivery is a letter as a device gets it.
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

// deliver notes a delivery and checks D2, D4 and D5. nth counts those of the letter, from 1.
func (p *post) deliver(d delivery) (l *letter, nth int, err error) {
	var body struct{ Number int }
	if err := json.Unmarshal(d.body, &body); err != nil || body.Number < 0 || body.Number >= len(p.letters) {
		return nil, 0, violated("D1: %s gets what nobody sent: %.40q", d.device, d.body)
	}
	l = p.letters[body.Number]
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case d.id != l.id() || d.device != l.device:
		return nil, 0, violated("D1: %s gets %q with the body of %s, which is for %s", d.device, d.id, l.id(), l.device)
	case l.fate == unsent:
		return nil, 0, violated("D1: %s gets %s, which was refused", d.device, l.id())
	case l.confirmed[complete]+l.confirmed[reject] > 0:
		return nil, 0, violated("D2: %s gets %s again: %s", d.device, l.id(), l.storyLocked())
	case l.record != nil && d.asked.After(l.recorded):
		return nil, 0, violated("D2: %s gets %s after its feedback: %s", d.device, l.id(), l.storyLocked())
	case time.Now().Before(l.locked):
		return nil, 0, violated("D4: %s gets %s, which is locked until %s: %s", d.device, l.id(), l.locked.UTC(), l.storyLocked())
	case d.first && l.deliveries > 0:
		return nil, 0, violated("D4: %s gets %s for the first time, once more: %s", d.device, l.id(), l.storyLocked())
	case d.count >= 0 && (d.count < l.confirmed[abandon] || d.count > l.tried[abandon]):
		return nil, 0, violated("D4: %s gets %s as abandoned %d times: %s", d.device, l.id(), d.count, l.storyLocked())
	}
	if d.sequence > 0 {
		at := place{d.device, d.sequence}
		other := p.sequences[at]
		if l.sequence != 0 && l.sequence != d.sequence || other != nil && other != l {
			return nil, 0, violated("D5: %s has the number %d: %s", l.id(), d.sequence, l.storyLocked())
		}
		l.sequence, p.sequences[at] = d.sequence, l
	}
	l.deliveries++
	l.locked = time.Time{}
	if d.lock > 0 {
		l.locked = d.asked.Add(d.lock)
	}
	return l, l.deliveries, nil
}

// settling comes before a device tells an outcome, settled after the hub has confirmed it.
func (p *post) settling(l *letter, o outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.tried[o]++
	l.locked = time.Time{}
}

func (p *post) settled(l *letter, o outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.confirmed[o]++
	p.promisedLocked(settles)
}

// refused takes settling back: the hub said that it did not count.
func (p *post) refused(l *letter, o outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.tried[o]--
}

// waited notes that a letter was still in its queue in the end.
func (p *post) waited(l *letter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.pending = true
}

// storyLocked says what is known about a letter, for errors.
func (l *letter) storyLocked() string {
	text := fmt.Sprintf("%s, number %d, delivered %d times", [...]string{"unsent", "perhaps sent", "accepted"}[l.fate], l.sequence, l.deliveries)
	for o := range outcomes {
		if l.tried[o] > 0 {
			text += fmt.Sprintf(", %s tried %d times and confirmed %d times", o, l.tried[o], l.confirmed[o])
		}
	}
	if !l.expires.IsZero() {
		text += ", expires " + l.expires.UTC().Format(time.RFC3339Nano)
	}
	if l.record != nil {
		text += fmt.Sprintf(", feedback %s of %s in %s", l.record.StatusCode, l.record.EnqueuedTime, l.batch)
	}
	if l.pending {
		text += ", in its queue in the end"
	}
	return text
}

func violated(format string, args ...any) error { return violation{fmt.Errorf(format, args...)} }
