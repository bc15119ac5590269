package device

import (
	"context"
	"time"

	"github.com/hubward/hubward"
)

// transport is a protocol as a Client uses it. The Client keeps the outbox, connects again and tells about states; the
// transport knows the wire.
type transport interface {
	// encode checks messages and makes of them what a connection sends: one pending that is confirmed as a whole. It keeps
	// neither the messages nor their bodies. Several messages are a batch, which transports without batches are never
	// given (see batches).
	encode(messages []*hubward.Message) (*pending, error)
	// batches reports whether several messages can be sent as one.
	batches() bool
	// open connects and logs in, until ctx ends or the client's life does.
	open(ctx context.Context) (connection, error)
}

// connection is one connection, logged in.
type connection interface {
	// serve sends what is in the client's outbox, and puts messages for the device into its inbox, until the connection
	// ends, and says why: errClosing when the client's life has ended, errRenew when only a new connection has a new token.
	// Client.wake is signalled whenever there may be something to do. When serve returns, the connection is closed and its
	// goroutines have ended.
	serve() error
	// proven reports whether the connection was of use, so that losing it is no reason to wait before the next attempt.
	proven(lifetime time.Duration) bool
	// discard closes a connection that is not to be served.
	discard()
}

// nextToSend returns the next message of the outbox, which it waits for: wake tells that there may be one. Its error is
// ctx's.
func (c *Client) nextToSend(ctx context.Context, wake <-chan struct{}) (*pending, error) {
	for {
		c.mu.Lock()
		p := c.out.next()
		c.mu.Unlock()
		if p != nil {
			return p, nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// feed is a kind of what the hub sends, or a set of kinds.
type feed uint8

// The kinds.
const (
	feedMessages feed = 1 << iota
	feedTwin          // answers to requests
	feedDesired
	feedMethods
	feedCertificates // answers to requests for them
)

// wantedFeeds is what the program wants from the hub.
func (c *Client) wantedFeeds() (f feed) {
	if ever, _ := c.in.isWanted(); ever {
		f |= feedMessages
	}
	if c.twin.wasUsed() {
		f |= feedTwin
	}
	if c.desired.wanted() {
		f |= feedTwin | feedDesired
	}
	if c.methods.wanted() {
		f |= feedMethods
	}
	if c.certificates.wanted() {
		f |= feedCertificates
	}
	return f
}
