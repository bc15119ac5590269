package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/hubward/hubward/internal/mqttwire"
)

const (
	batchSize = 32 << 10 // bytes that the writer gathers before it writes
	keptSize  = 64 << 10 // a write buffer that has grown beyond this is not kept
)

// serve works one connection until it ends and returns why. When it returns, the connection is closed and its reader
// has ended.
func (cn *mqttConn) serve() error {
	c := cn.client
	cn.c2d.begin(cn)
	defer cn.c2d.end()
	defer cn.forgetSubscriptions()
	defer cn.answers.end()
	go cn.read() // ends with cn.readDone, which is waited for below
	defer context.AfterFunc(c.life, cn.hurry)()
	err := cn.send()
	cn.nc.Close()
	<-cn.readDone
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		return cn.readErr // it was the reader who closed it, and knows why
	}
	return err
}

// send sends what there is to send until the connection ends.
func (cn *mqttConn) send() error {
	c := cn.client
	beat := time.NewTimer(c.opts.KeepAlive * 3 / 4)
	defer beat.Stop()
	var renew <-chan time.Time
	if cn.renew > 0 {
		timer := time.NewTimer(cn.renew)
		defer timer.Stop()
		renew = timer.C
	}
	for {
		if err := cn.flush(); err != nil {
			return err
		}
		select {
		case <-c.wake:
		case <-cn.readDone:
			return cn.readErr
		case <-c.life.Done():
			if err := cn.flushAcks(); err != nil { // of what the program has got already
				return err
			}
			cn.goodbye()
			return errClosing
		case <-renew:
			if err := c.settle(cn.readDone, cn.flushAnswers); err != nil {
				return err
			}
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

// flush writes everything that is not written yet.
func (cn *mqttConn) flush() error {
	c := cn.client
	if err := cn.flushAcks(); err != nil {
		return err
	}
	if err := cn.flushSubscriptions(); err != nil {
		return err
	}
	if err := cn.flushAnswers(); err != nil {
		return err
	}
	if err := cn.flushTwin(); err != nil {
		return err
	}
	if err := cn.flushCertificates(); err != nil {
		return err
	}
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

// read takes what the hub sends until the connection ends.
func (cn *mqttConn) read() {
	defer close(cn.readDone)
	cn.readErr = cn.readPackets()
	cn.nc.Close() // ends a blocked write
}

func (cn *mqttConn) readPackets() error {
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
			if cn.client.confirm(func(o *outbox) (*pending, int) { return o.confirm(id) }, nil) {
				cn.useful.Store(true)
			}
		case mqttwire.Pingresp:
		case mqttwire.Publish:
			if err := cn.publish(h.Flags, body); err != nil {
				return err
			}
		case mqttwire.Suback:
			if err := cn.suback(body); err != nil {
				return err
			}
		default:
			return fmt.Errorf("the hub sent an unexpected %v", h.Type)
		}
	}
}

// publish takes a PUBLISH of whatever kind.
func (cn *mqttConn) publish(flags byte, body []byte) error {
	p, err := mqttwire.ParsePublish(flags, body)
	if err != nil {
		return err
	}
	topic, known := string(p.Topic), true
	switch {
	case strings.HasPrefix(topic, twinAnswerPrefix):
		known = cn.twinAnswer(topic, &p)
	case strings.HasPrefix(topic, desiredPrefix):
		cn.client.desired.arrive(p.Payload)
		cn.acknowledge(&p)
	case strings.HasPrefix(topic, certificateAnswerPrefix):
		known = cn.certificateAnswer(topic, &p)
	case strings.HasPrefix(topic, methodPrefix):
		known = cn.method(topic, &p)
	default:
		known = cn.message(topic, &p)
	}
	if !known {
		cn.client.log.Debug("device client ignores a message from the hub")
	}
	return nil
}
