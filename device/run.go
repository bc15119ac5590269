package device

import (
	"errors"
	"time"
)

// run keeps the client connected until it is closed or refused.
func (c *Client) run(cn connection) {
	failures := 0 // in a row
	for {
		err := cn.serve()
		if c.life.Err() != nil {
			c.finish(nil)
			return
		}
		if isFinal(err) { // the hub has said so on the way, where there is no log-in to say it
			c.finish(err)
			return
		}
		if !errors.Is(err, errRenew) {
			c.report(Disconnected, lost(err))
			if failures++; cn.proven(c.opts.Backoff.Max) {
				failures = 0
			}
		}
		if cn, err = c.reopen(&failures); err != nil {
			c.finish(err)
			return
		}
	}
}

// reopen connects again and again, with pauses, until it has a connection. It fails when the hub refuses the client
// for good; when the client is closed the error is errClosing.
func (c *Client) reopen(failures *int) (connection, error) {
	for {
		if pause := c.pause(*failures); pause > 0 {
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-c.life.Done():
				timer.Stop()
			}
		}
		if c.life.Err() != nil {
			return nil, errClosing
		}
		c.report(Connecting, nil)
		cn, err := c.transport.open(c.life)
		switch {
		case err == nil:
			c.rewind()
			c.report(Connected, nil)
			return cn, nil
		case c.life.Err() != nil:
			return nil, errClosing
		case isFinal(err):
			return nil, err
		}
		c.report(Disconnected, err)
		*failures++
	}
}

// pause returns how long to wait before the next attempt, after so many failures in a row.
func (c *Client) pause(failures int) time.Duration {
	if failures == 0 {
		return 0
	}
	d := c.opts.Backoff.Min
	for i := 1; i < failures && d < c.opts.Backoff.Max; i++ {
		d *= 2
	}
	d = min(d, c.opts.Backoff.Max)
	return d - time.Duration(c.opts.random()*float64(d/2))
}

// finish ends the client: everybody who waits gets err, or an error about the closed client when err is nil.
func (c *Client) finish(err error) {
	if errors.Is(err, errClosing) {
		err = nil
	}
	c.mu.Lock()
	c.err = err
	rest := c.out.takeAll()
	c.lost = len(rest)
	c.mu.Unlock()
	c.end()
	told := err
	if told == nil {
		told = closedError()
	}
	for _, p := range rest {
		p.done(told)
	}
	c.report(Closed, err)
	close(c.done)
}

// confirm settles one message: err is nil when the hub has it, or says why it does not want it. p may be nil: then
// nothing happens but that left messages leave.
func (c *Client) confirm(find func(*outbox) (p *pending, left int), err error) bool {
	c.mu.Lock()
	p, left := find(&c.out)
	wake := c.draining
	if left > 0 && c.closing && len(c.out.queue) == 0 {
		close(c.idle)
	}
	c.mu.Unlock()
	c.free(left)
	if wake {
		c.nudge()
	}
	if p != nil {
		p.done(err)
	}
	return p != nil
}

// settle waits until what was written is confirmed, and calls of methods are answered, for at most renewPatience, or until
// over is closed. flush is to write answers; messages that are sent meanwhile wait for the next connection.
func (c *Client) settle(over <-chan struct{}, flush func() error) error {
	patience := time.NewTimer(renewPatience)
	defer patience.Stop()
	for c.unsettled() {
		select {
		case <-c.wake:
		case <-over:
			return nil
		case <-c.life.Done():
			return nil
		case <-patience.C:
			return nil
		}
		if err := flush(); err != nil {
			return err
		}
	}
	return nil
}

// renewPatience bounds the wait for confirmations before a connection is replaced for the sake of a new token. What is not
// confirmed by then is sent again on the new one.
const renewPatience = 10 * time.Second

// unsettled reports whether messages are written and not confirmed, requests not answered, or methods being carried out;
// while it is true, each end of one wakes the writer.
func (c *Client) unsettled() bool {
	c.mu.Lock()
	c.draining = c.out.written > 0
	draining := c.draining
	c.mu.Unlock()
	return draining || c.twin.pending() || c.methods.busy()
}

// rewind puts the messages that are not confirmed before the new connection.
func (c *Client) rewind() {
	c.mu.Lock()
	c.draining = false
	left := c.out.rewind()
	if left > 0 && c.closing && len(c.out.queue) == 0 {
		close(c.idle)
	}
	c.mu.Unlock()
	c.free(left)
	c.twin.rewind()
	c.certificates.rewind()
}

// free gives up n places in the outbox.
func (c *Client) free(n int) {
	for range n {
		<-c.slots
	}
}

// nudge wakes the writer.
func (c *Client) nudge() {
	select {
	case c.wake <- struct{}{}:
	default: // it will wake anyway
	}
}
