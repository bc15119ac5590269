package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubward/hubward/internal/mqttwire"
)

// drainTimeout bounds the wait for what is not confirmed at the end.
const drainTimeout = 30 * time.Second

// exchange is what a sender sends and how it is confirmed. It belongs to one sender; answered is called by its reader only.
type exchange interface {
	// prepare does what has to be done before the first request.
	prepare(c *conn) error
	// appendRequest appends the packet of the request with a number. id is given to no other one that is not confirmed.
	appendRequest(dst []byte, number int64, id uint16) ([]byte, error)
	// answered returns the id of the request that a packet confirms, and false for one that confirms none.
	answered(h mqttwire.Header, body []byte) (id uint16, ok bool, err error)
}

// sender sends as one device, with a window of what is not confirmed.
type sender struct {
	*conn
	exchange
	o *Options

	sent      atomic.Int64
	acked     atomic.Int64
	measuring atomic.Bool

	slots     chan struct{}   // one per unconfirmed request
	started   []int64         // by id, when it was sent; an id is not reused while unconfirmed
	latencies []time.Duration // of confirmations while measuring; the reader's
}

func newSender(c *conn, e exchange, o *Options) *sender {
	return &sender{conn: c, exchange: e, o: o, slots: make(chan struct{}, o.Window)}
}

// run sends until ctx ends, then waits until all is confirmed.
func (s *sender) run(ctx context.Context) error {
	s.started = make([]int64, 1<<16)
	var reading sync.WaitGroup
	var readErr error
	if s.o.QoS == 1 {
		reading.Go(func() { readErr = s.readAcks() })
	}
	writeErr := s.write(ctx)
	if writeErr == nil && s.o.QoS == 1 {
		s.drain()
	}
	s.nc.SetReadDeadline(time.Now()) // ends the reader
	reading.Wait()
	if writeErr == nil && s.o.QoS == 1 && s.acked.Load() < s.sent.Load() {
		return fmt.Errorf("device %s: %d messages were not acknowledged: %w", s.device.ID, s.sent.Load()-s.acked.Load(), readErr)
	}
	if writeErr != nil && readErr != nil && !errors.Is(readErr, errTimeout) {
		writeErr = fmt.Errorf("%w; %w", writeErr, readErr)
	}
	return writeErr
}

var errTimeout = context.DeadlineExceeded

// drain waits until every slot is free again.
func (s *sender) drain() {
	late := time.NewTimer(drainTimeout)
	defer late.Stop()
	for range cap(s.slots) {
		select {
		case s.slots <- struct{}{}:
		case <-late.C:
			return
		}
	}
}

func (s *sender) write(ctx context.Context) error {
	var pace *time.Ticker
	if s.o.Rate > 0 {
		pace = time.NewTicker(time.Duration(float64(time.Second) * float64(len(s.o.Devices)) / s.o.Rate))
		defer pace.Stop()
	}
	var packet []byte
	var id uint16
	for {
		if pace != nil {
			select {
			case <-pace.C:
			case <-ctx.Done():
				return nil
			}
		}
		if s.o.QoS == 1 {
			select {
			case s.slots <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			if id++; id == 0 {
				id = 1
			}
		}
		if ctx.Err() != nil {
			if s.o.QoS == 1 {
				<-s.slots
			}
			return nil
		}
		var err error
		if packet, err = s.appendRequest(packet[:0], s.sent.Load(), id); err != nil {
			return err
		}
		atomic.StoreInt64(&s.started[id], time.Now().UnixNano())
		s.sent.Add(1)
		if _, err := s.nc.Write(packet); err != nil {
			return fmt.Errorf("device %s: %w", s.device.ID, err)
		}
	}
}

// readAcks counts acknowledgements until the connection or its deadline ends.
func (s *sender) readAcks() error {
	for {
		h, body, err := s.read()
		if err != nil {
			// The writer blocks on its slots if nobody frees them: closing makes its next write fail.
			if !isTimeout(err) {
				s.nc.Close()
				s.release()
			}
			return err
		}
		id, ok, err := s.answered(h, body)
		if err != nil {
			s.nc.Close()
			s.release()
			return err
		}
		if !ok {
			continue
		}
		if s.measuring.Load() {
			sent := atomic.LoadInt64(&s.started[id])
			s.latencies = append(s.latencies, time.Duration(time.Now().UnixNano()-sent))
		}
		s.acked.Add(1)
		<-s.slots
	}
}

// release frees all slots that are taken.
func (s *sender) release() {
	for {
		select {
		case <-s.slots:
		default:
			return
		}
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// confirmed counts what the measurement counts: acknowledgements, or with QoS 0 what was sent.
func (s *sender) confirmed(qos byte) int64 {
	if qos == 0 {
		return s.sent.Load()
	}
	return s.acked.Load()
}
