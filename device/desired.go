package device

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/hubward/hubward"
)

// DesiredChange is a change of the desired properties.
type DesiredChange struct {
	Patch   json.RawMessage // a JSON merge patch (RFC 7396): what has changed, null for what is gone; may be {}
	Version int64           // $version of the desired properties after the change
}

// Decode reads the patch into v, as TwinProperties.Decode does. Into a struct that holds the properties as they were, it reads
// those that have changed and leaves the others; mind that null, for what is gone, leaves a field as it was, unless it is
// a pointer, a map or a slice.
func (d DesiredChange) Decode(v any) error { return decodeJSON(d.Patch, v) }

// OnDesired has a function called with the desired properties as they are, and then with each change of them, one after
// another, in order. Patches merged one after another, beginning with {}, always make the desired properties; so there is no
// need to call Twin for them. It may be called before Connect, and is best then.
//
// No change is missed: after a reconnect, which the hub does not tell of changes before, the client gets the twin, and if
// its desired properties have another $version than the last change, handler is called with the difference. That is one change
// then, even if there were several, and so it is when changes come faster than handler takes them.
//
// handler runs on a goroutine of the client and may call UpdateReported and Twin. ctx ends with the client. It must not
// call Close or Drain, and does not return to the client by a panic, which ends the program.
//
// Errors: CodeInvalidOperation over HTTPS, which knows no twins, and when there is a handler already.
func (c *Client) OnDesired(handler func(ctx context.Context, d DesiredChange)) error {
	if err := c.talks(); err != nil {
		return err
	}
	if handler == nil {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "OnDesired needs a function")
	}
	if !c.desired.handleBy(handler) {
		return hubward.Errorf(hubward.CodeInvalidOperation, "there is a handler of desired properties already")
	}
	if up, _ := c.running(); up {
		c.startFollowing()
	}
	c.nudge()
	return nil
}

const (
	maxDesiredQueue = 64        // changes that wait for the handler
	maxDesiredBytes = 256 << 10 // of them
)

// desiredFeed holds the changes that the hub has told of and that the handler has not got.
type desiredFeed struct {
	wake chan struct{} // signalled when there is something to do

	mu        sync.Mutex // guards the fields below; a leaf
	handler   func(context.Context, DesiredChange)
	following bool // its goroutine is started
	behind    bool // changes may be missing: the twin is to be got
	queue     []DesiredChange
	bytes     int // in queue
}

// handleBy sets the handler. It reports false when there is one.
func (d *desiredFeed) handleBy(handler func(context.Context, DesiredChange)) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.handler != nil {
		return false
	}
	d.handler = handler
	return true
}

func (d *desiredFeed) wanted() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.handler != nil
}

// begin reports true once: when there is a handler and no goroutine for it.
func (d *desiredFeed) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.handler == nil || d.following {
		return false
	}
	d.following = true
	return true
}

// missed notes that changes may be missing: those that wait are in the twin, too.
func (d *desiredFeed) missed() {
	d.mu.Lock()
	d.behind, d.queue, d.bytes = true, nil, 0
	d.mu.Unlock()
	d.signal()
}

// arrive takes a change as the hub sends it.
func (d *desiredFeed) arrive(text []byte) {
	p, err := readProperties(text)
	if err != nil || !d.put(DesiredChange{Patch: p.JSON, Version: p.Version}) {
		d.missed()
		return
	}
	d.signal()
}

// put reports false when there is no room.
func (d *desiredFeed) put(change DesiredChange) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.handler == nil {
		return true // it is due to a subscription that an earlier program of this device has left behind
	}
	if len(d.queue) >= maxDesiredQueue || d.bytes+len(change.Patch) > maxDesiredBytes {
		return false
	}
	d.queue = append(d.queue, change)
	d.bytes += len(change.Patch)
	return true
}

// take returns the oldest change, or that the twin is to be got first.
func (d *desiredFeed) take() (change DesiredChange, ok, behind bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.behind {
		d.behind = false
		return change, false, true
	}
	if len(d.queue) == 0 {
		return change, false, false
	}
	change = d.queue[0]
	d.queue = d.queue[1:]
	d.bytes -= len(change.Patch)
	return change, true, false
}

func (d *desiredFeed) signal() {
	select {
	case d.wake <- struct{}{}:
	default: // it is signalled already
	}
}

// startFollowing starts the goroutine that calls the handler, if there is one and it is not started.
func (c *Client) startFollowing() {
	if c.desired.begin() && c.handlers.start() {
		go c.follow() // ends with c.taking, and with it c.handlers, which Close and Drain wait for
	}
}

// follow calls the handler with one change after another.
func (c *Client) follow() {
	defer c.handlers.end()
	f := follower{client: c}
	for c.taking.Err() == nil {
		change, ok, behind := c.desired.take()
		switch {
		case behind:
			change, ok = f.catchUp()
		case ok:
			ok = f.follow(change)
		default:
			select {
			case <-c.desired.wake:
			case <-c.taking.Done():
			}
		}
		if ok {
			c.desired.handler(c.life, change)
		}
	}
}

// follower knows what the handler knows.
type follower struct {
	client   *Client
	known    bool
	version  int64
	document map[string]any
	failures int // to get the twin, in a row
}

// follow merges a change that the hub has told of, and reports whether it is the next one.
func (f *follower) follow(change DesiredChange) bool {
	switch {
	case !f.known: // the twin will be got
		return false
	case change.Version <= f.version: // it is in the twin that was got
		return false
	case change.Version > f.version+1:
		f.client.desired.missed()
		return false
	}
	patch, err := decodeObject(change.Patch)
	if err != nil {
		f.client.desired.missed()
		return false
	}
	merge(f.document, patch)
	f.version = change.Version
	return true
}

// catchUp gets the twin, and returns what the handler does not know of it; false when that is nothing.
func (f *follower) catchUp() (change DesiredChange, ok bool) {
	twin, err := f.client.Twin(f.client.taking)
	var document map[string]any
	if err == nil {
		document, err = decodeObject(twin.Desired.JSON)
	}
	if err != nil {
		f.failed(err)
		return change, false
	}
	f.failures = 0
	if f.known && f.version == twin.Desired.Version {
		return change, false
	}
	patch := difference(f.document, document)
	if change.Patch, err = encodeJSON(patch); err != nil {
		f.failed(err)
		return change, false
	}
	f.known, f.version, f.document = true, twin.Desired.Version, document
	change.Version = f.version
	return change, true
}

// failed waits before the twin is got again.
func (f *follower) failed(err error) {
	c := f.client
	if c.taking.Err() != nil {
		return
	}
	f.failures++
	c.log.Info("device client could not get the twin and will try again", "reason", err)
	pause := time.NewTimer(c.pause(f.failures))
	defer pause.Stop()
	select {
	case <-pause.C:
		c.desired.missed()
	case <-c.taking.Done():
	}
}
