package amqpfront

import (
	"context"
	"slices"
	"sync"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/hub"
)

// desiredFeed hands the changes of the desired properties to the pairs of links that asked for them by PUT. The hub follows
// the properties while there are any, and gives one change after the other: the next one when all of them have the one before.
//
// What asks the hub runs in the connection's worker of the identity, so it happens one after the other, in the order of the
// requests, and not on the reader: the hub has to look into its store.
type desiredFeed struct {
	twin *twinNode // never changed

	mu          sync.Mutex // guards the fields below; held while the node finds the way of a change
	following   bool       // the hub follows, or is about to; the worker alone changes it
	subscribers []*subscriber
	change      *desiredPush // that not all have yet; nil: none
}

// subscriber is a pair of links that gets the changes.
type subscriber struct {
	from    *amqpengine.Link // on which it asked
	replyTo string
	to      *receiver    // on which it gets them; nil before the first one
	posted  *desiredPush // the newest that was posted to it
	has     *desiredPush // the newest that has left for it
}

// desiredPush is a change on its way.
type desiredPush struct {
	payload []byte
	sent    func()
}

// subscribe has the pair of a request get the changes from now on. done is called before the first of them is sent.
func (f *desiredFeed) subscribe(q *request, done func(error)) {
	f.work(func() {
		f.mu.Lock()
		f.following = true
		f.mu.Unlock()
		ctx, cancel := context.WithTimeout(q.link.Context(), storeTimeout)
		defer cancel()
		err := f.twin.presence.link.FollowDesired(ctx)
		done(err)
		if err == nil {
			f.add(&subscriber{from: q.link, replyTo: q.replyTo})
		}
		f.settle()
	})
}

// unsubscribe ends that.
func (f *desiredFeed) unsubscribe(q *request, done func()) {
	f.work(func() {
		f.remove(q.link)
		f.settle()
		done()
	})
}

// drop is called when a link has ended: either end takes the pair with it.
func (f *desiredFeed) drop(l *amqpengine.Link) {
	if f.remove(l) {
		f.work(f.settle)
	}
}

// work has the connection's worker of the identity do something.
func (f *desiredFeed) work(job func()) {
	p := f.twin.presence
	p.conn.workers.do("twin "+p.id.String(), job)
}

// settle ends the following when nobody is left.
func (f *desiredFeed) settle() {
	f.mu.Lock()
	ends := f.following && len(f.subscribers) == 0
	f.mu.Unlock()
	if !ends {
		return
	}
	f.twin.presence.link.UnfollowDesired()
	f.mu.Lock()
	f.following, f.change = false, nil
	f.mu.Unlock()
}

// add adds a subscriber, unless its link has asked before, or has ended.
func (f *desiredFeed) add(s *subscriber) {
	f.mu.Lock()
	known := slices.ContainsFunc(f.subscribers, func(o *subscriber) bool { return o.from == s.from })
	if !known && s.from.Context().Err() == nil { // otherwise drop was called, or will be
		f.subscribers = append(f.subscribers, s)
	}
	f.mu.Unlock()
	f.pump()
}

// remove removes the subscriber of a link, and reports whether there was one.
func (f *desiredFeed) remove(l *amqpengine.Link) bool {
	f.mu.Lock()
	before := len(f.subscribers)
	f.subscribers = slices.DeleteFunc(f.subscribers, func(s *subscriber) bool { return s.from == l || s.to != nil && s.to.link == l })
	removed := len(f.subscribers) < before
	f.mu.Unlock()
	if removed {
		f.pump() // the others may have been waiting for this one
	}
	return removed
}

// pump hands the change that is on its way to whoever has a way for it and did not get it, and tells the hub when all of these
// have it. Before anybody has a way, the change waits.
func (f *desiredFeed) pump() {
	f.mu.Lock()
	change := f.change
	had, missing := 0, 0
	var post []*subscriber
	for _, s := range f.subscribers {
		switch {
		case !f.findWayLocked(s) || change == nil:
		case s.has == change:
			had++
		default:
			missing++
			if s.posted != change {
				s.posted = change
				post = append(post, s)
			}
		}
	}
	done := had > 0 && missing == 0
	if done {
		f.change = nil
	}
	f.mu.Unlock()
	for _, s := range post {
		s.to.outlet.post(change.payload, func() { f.left(s, change) })
	}
	if done {
		change.sent()
	}
}

// left is called when a change has left for a subscriber.
func (f *desiredFeed) left(s *subscriber, change *desiredPush) {
	f.mu.Lock()
	s.has = change
	f.mu.Unlock()
	f.pump()
}

// findWayLocked finds the link on which a subscriber gets changes, and keeps to it: its end is that of the pair.
func (f *desiredFeed) findWayLocked(s *subscriber) bool {
	if s.to == nil {
		s.to = f.twin.route(s.from, s.replyTo)
	}
	return s.to != nil
}

// push takes a change from the hub. Nobody gets one that comes behind the end.
func (f *desiredFeed) push(d *hub.DesiredChange) {
	payload, err := encodeDesired(d)
	if err != nil {
		c := f.twin.conn
		c.logger.Error("change of desired properties not encoded", "hub", c.hub.Name, "device", f.twin.presence.id.String(), "error", err)
	}
	f.mu.Lock()
	wanted := f.following && err == nil
	if wanted {
		f.change = &desiredPush{payload, d.Sent}
	}
	f.mu.Unlock()
	if !wanted {
		d.Sent()
		return
	}
	f.pump()
}

// encodeDesired encodes a change. It is told from a response by that it has no correlation id, and by Java by its resource.
//
// Source: AmqpsTwinReceiverLinkHandler.java of Azure/azure-iot-sdk-java.
func encodeDesired(d *hub.DesiredChange) ([]byte, error) {
	m := amqpwire.Message{
		Annotations: withVersion(amqpwire.Map{{Key: amqpwire.Symbol("resource"), Value: "/properties/desired"}}, d.Version),
		Data:        [][]byte{d.Patch},
	}
	return m.Append(nil)
}

// desiredChanged is called by the hub with a change of the desired properties, which it follows for the links of the twin.
func (p *presence) desiredChanged(d *hub.DesiredChange) {
	p.conn.mu.Lock()
	t := p.twin
	p.conn.mu.Unlock()
	if t == nil {
		d.Sent()
		return
	}
	t.feed.push(d)
}
