package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubward/hubward/internal/loopback"
	"github.com/hubward/hubward/internal/mqttwire"
	"github.com/hubward/hubward/sas"
)

// Time limits of a connection.
const (
	dialTimeout  = 30 * time.Second
	drainTimeout = 30 * time.Second
	tokenTTL     = 6 * time.Hour
)

// sender is one device's connection.
type sender struct {
	device Device
	o      *Options
	nc     net.Conn
	in     *bufio.Reader
	topic  []byte

	sent      atomic.Int64
	acked     atomic.Int64
	measuring atomic.Bool

	slots     chan struct{}   // one per unconfirmed message
	started   []int64         // by packet id, when it was sent; an id is not reused while unconfirmed
	latencies []time.Duration // of acknowledgements while measuring; the reader's
}

// dial connects one device.
func dial(ctx context.Context, o *Options, d Device) (*sender, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	tcp, err := new(loopback.Dialer).DialContext(ctx, "tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", d.ID, err)
	}
	nc := tls.Client(tcp, o.TLS)
	if err := nc.HandshakeContext(ctx); err != nil {
		tcp.Close()
		return nil, fmt.Errorf("device %s: %w", d.ID, err)
	}
	s := &sender{
		device: d, o: o, nc: nc, in: bufio.NewReaderSize(nc, 512), slots: make(chan struct{}, o.Window),
		topic: []byte("devices/" + d.ID + "/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8"),
	}
	if err := s.login(); err != nil {
		nc.Close()
		return nil, fmt.Errorf("device %s: %w", d.ID, err)
	}
	return s, nil
}

func (s *sender) login() error {
	token, err := sas.Sign(s.o.HostName+"/devices/"+s.device.ID, s.device.Key, "", time.Now().Add(tokenTTL))
	if err != nil {
		return err
	}
	packet, err := mqttwire.AppendConnect(nil, &mqttwire.ConnectPacket{
		CleanSession: true, KeepAlive: 10 * time.Minute, ClientID: s.device.ID,
		HasUser: true, User: s.o.HostName + "/" + s.device.ID + "/?api-version=2021-04-12&DeviceClientType=hubward-bench",
		HasPassword: true, Password: []byte(token),
	})
	if err != nil {
		return err
	}
	s.nc.SetDeadline(time.Now().Add(dialTimeout))
	defer s.nc.SetDeadline(time.Time{})
	if _, err := s.nc.Write(packet); err != nil {
		return err
	}
	h, body, err := s.read()
	if err != nil {
		return err
	}
	ack, err := mqttwire.ParseConnack(body)
	if err != nil || h.Type != mqttwire.Connack {
		return errors.New("the hub answered CONNECT with something else")
	}
	if ack.Code != mqttwire.Accepted {
		return fmt.Errorf("the hub refused CONNECT with code %d", ack.Code)
	}
	return nil
}

// maxAnswer bounds a packet from the hub: acknowledgements are all that a bench device asks for.
const maxAnswer = 1 << 10

func (s *sender) read() (mqttwire.Header, []byte, error) {
	var head [5]byte
	for n := 1; ; n++ {
		b, err := s.in.ReadByte()
		if err != nil {
			return mqttwire.Header{}, nil, err
		}
		head[n-1] = b
		h, used, err := mqttwire.ParseHeader(head[:n])
		if err != nil {
			return h, nil, err
		}
		if used > 0 {
			if h.Length > maxAnswer {
				return h, nil, errors.New("the hub sent a packet larger than any acknowledgement")
			}
			body := make([]byte, h.Length)
			_, err = io.ReadFull(s.in, body)
			return h, body, err
		}
	}
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
	body := newBody(s.o.RunID, s.o.Size)
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
		packet, err = mqttwire.AppendPublish(packet[:0], &mqttwire.PublishPacket{QoS: s.o.QoS, ID: id, Topic: s.topic, Payload: body.number(s.sent.Load())})
		if err != nil {
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
		if h.Type != mqttwire.Puback {
			continue
		}
		if s.measuring.Load() {
			sent := atomic.LoadInt64(&s.started[binary.BigEndian.Uint16(body)])
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

func (s *sender) close() {
	s.nc.SetWriteDeadline(time.Now().Add(time.Second))
	s.nc.Write(mqttwire.AppendDisconnect(nil))
	s.nc.Close()
}
