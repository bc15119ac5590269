package amqpengine

import (
	"fmt"

	"github.com/hubward/hubward/internal/amqpwire"
)

// Values of our begin: those of IoT Hub, as Azure/azure-iot-sdk-c#2233 shows them.
const (
	firstTransferID = 1 // of what we send; the first delivery-id is 0
	incomingWindow  = 5000
	handleMax       = 262143
	// maxUnsettled is how many of our deliveries a session may have unsettled: rhea's buffer holds as many.
	maxUnsettled = 2048
)

// session is one session. Its channel number is the same in both directions, and so are the handles of its links. The
// connection's mutex guards it.
type session struct {
	conn    *Conn
	channel uint16
	over    bool // our end was sent: nothing follows it, and the peer's frames are dropped until its end
	links   map[uint32]*Link
	names   map[linkName]*Link
	top     int64 // highest handle that was ever attached; -1: none

	nextIncoming uint32 // id of the next frame of a delivery
	incoming     int    // how many more of those the peer may send

	nextOutgoing uint32
	nextDelivery uint32
	outgoing     uint32 // the outgoing-window that the peer is told
	window       int64  // how many frames of deliveries may be sent
	peerWindow   uint32 // incoming-window of the peer's last flow, or begin
	stalledSince int64  // coarse time since when senders wait for the window; 0: they do not

	unsettled    map[uint32]unsettled // by delivery-id
	maxUnsettled int
	sentSettled  bool // some deliveries were sent settled: nothing is known of those
	waiting      []*Sender
}

// linkName names a link within its session: some clients use one name in both directions.
type linkName struct {
	name string
	role amqpwire.Role
}

// sessionLocked finds the session of a channel. It is nil for one that has ended, or that we have ended: late frames are
// normal. A channel that never began is an error.
func (c *Conn) sessionLocked(channel uint16) (*session, error) {
	s := c.sessions[channel]
	if s == nil && int32(channel) > c.top {
		return nil, &amqpwire.Error{Condition: amqpwire.IllegalState, Description: fmt.Sprintf("channel %d has no session", channel)}
	}
	if s == nil || s.over {
		return nil, nil
	}
	return s, nil
}

func (c *Conn) onBegin(channel uint16, r *amqpwire.Reader) error {
	b := &amqpwire.Begin{}
	if err := b.Decode(r); err != nil {
		return decodeError("begin", err)
	}
	c.mu.Lock()
	old := c.sessions[channel]
	if old != nil && !old.over {
		c.mu.Unlock()
		return &amqpwire.Error{Condition: amqpwire.IllegalState, Description: fmt.Sprintf("channel %d has a session already", channel)}
	}
	links := c.dropSessionLocked(old)
	c.beginLocked(channel, b)
	c.mu.Unlock()
	for _, l := range links {
		l.finish()
	}
	return nil
}

func (c *Conn) beginLocked(channel uint16, b *amqpwire.Begin) {
	s := &session{
		conn: c, channel: channel, links: make(map[uint32]*Link), top: -1,
		nextIncoming: b.NextOutgoingID, incoming: incomingWindow,
		nextOutgoing: firstTransferID, outgoing: b.IncomingWindow, window: int64(b.IncomingWindow), peerWindow: b.IncomingWindow,
		maxUnsettled: int(min(max(b.IncomingWindow, 1), maxUnsettled)),
	}
	if c.sessions == nil {
		c.sessions = make(map[uint16]*session)
	}
	c.sessions[channel] = s
	c.top = max(c.top, int32(channel))
	c.append(channel, &amqpwire.Begin{
		RemoteChannel: amqpwire.Some(uint32(channel)), NextOutgoingID: s.nextOutgoing, IncomingWindow: incomingWindow,
		OutgoingWindow: s.outgoing, HandleMax: handleMax,
	})
}

func (c *Conn) onEnd(channel uint16, r *amqpwire.Reader) error {
	e := &amqpwire.End{}
	if err := e.Decode(r); err != nil {
		return decodeError("end", err)
	}
	c.mu.Lock()
	s := c.sessions[channel]
	if s == nil {
		c.mu.Unlock()
		return nil // go-amqp ends a session that it gave up before its begin has left
	}
	if !s.over {
		s.over = true
		c.append(channel, &amqpwire.End{})
	}
	for _, l := range s.links {
		l.cancel(causeOf(e.Error, ErrEnded))
	}
	links := c.dropSessionLocked(s)
	c.mu.Unlock()
	for _, l := range links {
		l.finish()
	}
	return nil
}

// endLocked ends the session with an error. Its links end when the peer's end comes; their programs are told now.
func (s *session) endLocked(err *amqpwire.Error) {
	c := s.conn
	c.append(s.channel, &amqpwire.End{Error: c.fitting(err)})
	s.over = true
	for _, l := range s.links {
		l.cancel(err)
	}
}

// dropSessionLocked forgets the session, and returns its links for the reader to finish.
func (c *Conn) dropSessionLocked(s *session) []*Link {
	if s == nil {
		return nil
	}
	if c.sessions[s.channel] == s {
		delete(c.sessions, s.channel)
	}
	links := make([]*Link, 0, len(s.links))
	for _, l := range s.links {
		s.removeLocked(l)
		links = append(links, l)
	}
	return links
}

// allLinksLocked takes all links of the connection, for the reader to finish.
func (c *Conn) allLinksLocked() []*Link {
	var links []*Link
	for _, s := range c.sessions {
		links = append(links, c.dropSessionLocked(s)...)
	}
	return links
}

// addLocked enters a link.
func (s *session) addLocked(l *Link) {
	s.links[l.attach.Handle] = l
	if s.names == nil {
		s.names = make(map[linkName]*Link)
	}
	s.names[linkName{l.attach.Name, l.attach.Role}] = l
	s.conn.links++
	s.conn.attachBytes += l.size
}

// removeLocked takes a link out: its handle is free.
func (s *session) removeLocked(l *Link) {
	if s.links[l.attach.Handle] != l {
		return
	}
	delete(s.links, l.attach.Handle)
	if name := (linkName{l.attach.Name, l.attach.Role}); s.names[name] == l {
		delete(s.names, name)
	}
	s.conn.links--
	s.conn.attachBytes -= l.size
	l.gone = true
}

// linkLocked finds the link of a handle. It is nil for a handle that was free at one time, and for a link that we have
// detached: the peer may not know yet, and uamqp, pyamqp and .NET may have a flow or a transfer on its way. A handle that
// never was attached ends the session.
func (s *session) linkLocked(handle uint32) *Link {
	l := s.links[handle]
	if l == nil && int64(handle) > s.top {
		s.endLocked(&amqpwire.Error{Condition: amqpwire.UnattachedHandle, Description: fmt.Sprintf("handle %d is not attached", handle)})
	}
	if l == nil || l.detached {
		return nil
	}
	return l
}
