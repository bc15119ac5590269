package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/hubward/hubward/internal/loopback"
	"github.com/hubward/hubward/internal/mqttwire"
	"github.com/hubward/hubward/sas"
)

// Time limits of a connection.
const (
	dialTimeout = time.Minute
	tokenTTL    = 6 * time.Hour
)

// conn is one device's connection.
type conn struct {
	device Device
	nc     net.Conn
	in     *bufio.Reader
	limit  int // of a packet from the hub, in bytes
}

// dial connects one device.
func dial(ctx context.Context, o *Options, d Device) (*conn, error) {
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
	c := &conn{device: d, nc: nc, in: bufio.NewReaderSize(nc, 512), limit: maxOverhead + o.Size}
	if err := c.login(o.HostName); err != nil {
		nc.Close()
		return nil, fmt.Errorf("device %s: %w", d.ID, err)
	}
	return c, nil
}

func (c *conn) login(host string) error {
	token, err := sas.Sign(host+"/devices/"+c.device.ID, c.device.Key, "", time.Now().Add(tokenTTL))
	if err != nil {
		return err
	}
	packet, err := mqttwire.AppendConnect(nil, &mqttwire.ConnectPacket{
		CleanSession: true, KeepAlive: 10 * time.Minute, ClientID: c.device.ID,
		HasUser: true, User: host + "/" + c.device.ID + "/?api-version=2021-04-12&DeviceClientType=hubward-bench",
		HasPassword: true, Password: []byte(token),
	})
	if err != nil {
		return err
	}
	h, body, err := c.ask(packet)
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

// maxOverhead bounds what a packet from the hub has beside a body of Options.Size, in bytes.
const maxOverhead = 1 << 10

func (c *conn) read() (mqttwire.Header, []byte, error) {
	var head [5]byte
	for n := 1; ; n++ {
		b, err := c.in.ReadByte()
		if err != nil {
			return mqttwire.Header{}, nil, err
		}
		head[n-1] = b
		h, used, err := mqttwire.ParseHeader(head[:n])
		if err != nil {
			return h, nil, err
		}
		if used > 0 {
			if h.Length > c.limit {
				return h, nil, errors.New("the hub sent a packet larger than any that a bench device asks for")
			}
			body := make([]byte, h.Length)
			_, err = io.ReadFull(c.in, body)
			return h, body, err
		}
	}
}

// subscribe subscribes to a filter with QoS 0. Nothing else may come before the answer.
func (c *conn) subscribe(filter string) error {
	packet, err := mqttwire.AppendSubscribe(nil, &mqttwire.SubscribePacket{ID: 1, Filters: []mqttwire.Filter{{Topic: filter}}})
	if err != nil {
		return err
	}
	h, body, err := c.ask(packet)
	if err != nil {
		return err
	}
	ack, err := mqttwire.ParseSuback(body)
	if h.Type != mqttwire.Suback || err != nil || len(ack.Codes) != 1 || ack.Codes[0] != 0 {
		return fmt.Errorf("the hub did not grant %s", filter)
	}
	return nil
}

// ask writes a packet and returns the next one that comes.
func (c *conn) ask(packet []byte) (mqttwire.Header, []byte, error) {
	c.nc.SetDeadline(time.Now().Add(dialTimeout))
	defer c.nc.SetDeadline(time.Time{})
	if _, err := c.nc.Write(packet); err != nil {
		return mqttwire.Header{}, nil, err
	}
	return c.read()
}

func (c *conn) close() {
	c.nc.SetWriteDeadline(time.Now().Add(time.Second))
	c.nc.Write(mqttwire.AppendDisconnect(nil))
	c.nc.Close()
}
