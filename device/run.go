package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/hubward/hubward/internal/mqttwire"
)

const (
	batchSize = 32 << 10 // bytes that the writer gathers before it writes
	keptSize  = 64 << 10 // a write buffer that has grown beyond this is not kept

	// renewPatience bounds the wait for confirmations before a connection is replaced for the sake of a new token. What
	// is not confirmed by then is sent again on the new one.
	renewPatience = 10 * time.Second
)

// run keeps the client connected until it is closed or refused. It is the writer of every connection and the owner of
// every reader.
func (c *Client) run(cn *conn) {
	failures := 0 // in a row
	for {
		err := c.serve(cn)
		if c.life.Err() != nil {
			c.finish(nil)
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
func (c *Client) reopen(failures *int) (*conn, error) {
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
		cn, err := c.open(c.life)
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

// serve works one connection until it ends and returns why. When it returns, the connection is closed and its reader
// has ended.
func (c *Client) serve(cn *conn) error {
	go c.read(cn) // ends with cn.readDone, which is waited for below
	defer context.AfterFunc(c.life, cn.hurry)()
	err := c.write(cn)
	cn.nc.Close()
	<-cn.readDone
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		return cn.readErr // it was the reader who closed it, and knows why
	}
	return err
}

// write sends what there is to send until the connection ends.
func (c *Client) write(cn *conn) error {
	beat := time.NewTimer(c.opts.KeepAlive * 3 / 4)
	defer beat.Stop()
	var renew <-chan time.Time
	if cn.renew > 0 {
		timer := time.NewTimer(cn.renew)
		defer timer.Stop()
		renew = timer.C
	}
	for {
		if err := c.flush(cn); err != nil {
			return err
		}
		select {
		case <-c.wake:
		case <-cn.readDone:
			return cn.readErr
		case <-c.life.Done():
			cn.goodbye()
			return errClosing
		case <-renew:
			c.settle(cn)
			cn.goodbye()
			return errRenew
		case <-beat.C:
			next, err := cn.keepAlive(c.opts.KeepAlive)
			if err != nil {
				return err
			}
			beat.Reset(next)
		}
	}
}

// flush writes every message that is not written yet.
func (c *Client) flush(cn *conn) error {
	for {
		if cap(cn.out) > keptSize {
			cn.out = nil
		}
		c.mu.Lock()
		batch, err := c.out.appendUnwritten(cn.out[:0], batchSize)
		c.mu.Unlock()
		cn.out = batch
		if err != nil || len(batch) == 0 {
			return err
		}
		if err := cn.write(batch); err != nil {
			return err
		}
	}
}

// settle waits until what was written is confirmed, for at most renewPatience. Messages that are sent meanwhile wait
// for the next connection.
func (c *Client) settle(cn *conn) {
	patience := time.NewTimer(renewPatience)
	defer patience.Stop()
	for c.unsettled() {
		select {
		case <-c.wake:
		case <-cn.readDone:
			return
		case <-c.life.Done():
			return
		case <-patience.C:
			return
		}
	}
}

// unsettled reports whether messages are written and not confirmed; while it is true, each confirmation wakes the
// writer.
func (c *Client) unsettled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = c.out.written > 0
	return c.draining
}

// read takes what the hub sends until the connection ends.
func (c *Client) read(cn *conn) {
	defer close(cn.readDone)
	cn.readErr = c.readPackets(cn)
	cn.nc.Close() // ends a blocked write
}

func (c *Client) readPackets(cn *conn) error {
	buf := make([]byte, 0, 64)
	for {
		h, body, err := readPacket(cn.in, buf)
		if err != nil {
			return err
		}
		cn.lastRead.Store(int64(time.Since(cn.born)))
		switch h.Type {
		case mqttwire.Puback:
			id, err := mqttwire.ParseID(body)
			if err != nil {
				return err
			}
			c.confirm(cn, id)
		case mqttwire.Pingresp:
		case mqttwire.Publish:
			// A message for the device, due to a subscription that another program of this device has left behind. It
			// is not acknowledged: so the hub keeps it for a program that handles it.
			c.log.Debug("device client ignores a message from the hub")
		default:
			return fmt.Errorf("the hub sent an unexpected %v", h.Type)
		}
	}
}

// confirm settles one message.
func (c *Client) confirm(cn *conn, id uint16) {
	c.mu.Lock()
	p, left := c.out.confirm(id)
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
		cn.useful.Store(true)
		p.done(nil)
	}
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
