//go:build crash

package crashtest

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/hubward/hubward/internal/mqttwire"
	"github.com/hubward/hubward/sas"
)

const (
	// burst is how many messages a device has in flight at a time; pause is the mean time between two bursts. Together
	// they are a load that keeps the committer busy and still lets the test read everything back twenty times.
	burst = 8
	pause = 100 * time.Millisecond

	dialWithin = 10 * time.Second
)

// device is a raw MQTT client that knows exactly what it has sent and what was acknowledged. An SDK would hide both
// behind its retries.
type device struct {
	// Set before use, never changed after.
	id      string
	key     string
	address string
	roots   *x509.CertPool

	// Touched only by publishUntilCut, and between its runs by the test.
	rng   *rand.Rand
	acked int          // messages 0 to acked-1 were acknowledged
	live  atomic.Int64 // the same, for who looks while it publishes
}

// publishUntilCut connects and publishes bursts until the connection is cut. It begins with the first message that was
// not acknowledged: what of the last burst was stored after all is stored twice. Only a refusal is an error; being cut
// at any point is what the test is about.
func (d *device) publishUntilCut(ctx context.Context) error {
	nc, err := d.dial(ctx)
	if untrusted := (*tls.CertificateVerificationError)(nil); errors.As(err, &untrusted) {
		return err
	}
	if err != nil {
		return nil // the hub died first
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	c := &conn{nc: nc, in: bufio.NewReader(nc)}
	if _, err := c.connect(d); err != nil {
		return cut(err)
	}
	for {
		if err := d.publishBurst(c); err != nil {
			return cut(err)
		}
		rest := time.NewTimer(time.Duration(d.rng.Int64N(int64(2 * pause))))
		select {
		case <-rest.C:
		case <-ctx.Done():
			rest.Stop()
			return nil
		}
	}
}

func (d *device) dial(ctx context.Context) (net.Conn, error) {
	return dialTLS(ctx, d.address, d.roots)
}

func dialTLS(ctx context.Context, address string, roots *x509.CertPool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "localhost"}}
	return dialer.DialContext(ctx, "tcp", address)
}

// publishBurst sends burst messages at once and takes their acknowledgements, which come in the same order.
func (d *device) publishBurst(c *conn) error {
	first := d.acked
	var out []byte
	for n := first; n < first+burst; n++ {
		var err error
		out, err = mqttwire.AppendPublish(out, &mqttwire.PublishPacket{
			QoS: 1, ID: packetID(n), Topic: []byte("devices/" + d.id + "/messages/events/"),
			Payload: fmt.Appendf(nil, `{"device":%q,"number":%d}`, d.id, n),
		})
		if err != nil {
			return err
		}
	}
	if _, err := c.nc.Write(out); err != nil {
		return err
	}
	for n := first; n < first+burst; n++ {
		body, err := c.read(mqttwire.Puback)
		if err != nil {
			return err
		}
		id, err := mqttwire.ParseID(body)
		if err != nil {
			return violation{err}
		}
		if id != packetID(n) {
			return violation{fmt.Errorf("%s: PUBACK %d instead of %d", d.id, id, packetID(n))}
		}
		d.acked = n + 1
		d.live.Store(int64(d.acked))
	}
	return nil
}

// packetID is 1 to 65535 and unique among those in flight.
func packetID(n int) uint16 { return uint16(n%65535) + 1 }

// violation is an answer that the hub must not give, in contrast to a connection that was cut.
type violation struct{ error }

// cut makes nil of every error but a violation.
func cut(err error) error {
	if v := (violation{}); errors.As(err, &v) {
		return err
	}
	return nil
}

// conn is one connection. It is for one goroutine.
type conn struct {
	nc net.Conn
	in *bufio.Reader
}

// connect logs in. It reports whether the hub has kept the subscriptions of an earlier connection.
func (c *conn) connect(d *device) (present bool, err error) {
	token, err := d.token()
	if err != nil {
		return false, violation{err}
	}
	out, err := mqttwire.AppendConnect(nil, &mqttwire.ConnectPacket{
		ClientID: d.id, KeepAlive: time.Minute, HasUser: true, HasPassword: true,
		User: "localhost/" + d.id + "/?api-version=2021-04-12", Password: []byte(token),
	})
	if err != nil {
		return false, violation{err}
	}
	if _, err := c.nc.Write(out); err != nil {
		return false, err
	}
	body, err := c.read(mqttwire.Connack)
	if err != nil {
		return false, err
	}
	ack, err := mqttwire.ParseConnack(body)
	if err != nil {
		return false, violation{err}
	}
	if ack.Code != mqttwire.Accepted {
		return false, violation{fmt.Errorf("%s: CONNACK %d", d.id, ack.Code)}
	}
	return ack.SessionPresent, nil
}

// token signs a token of the device.
func (d *device) token() (string, error) {
	return sas.Sign("localhost/devices/"+d.id, d.key, "", time.Now().Add(time.Hour))
}

// read takes one packet, which must be of the type given, and returns its body.
func (c *conn) read(want mqttwire.Type) ([]byte, error) {
	h, body, err := c.readAny()
	if err == nil && h.Type != want {
		err = violation{fmt.Errorf("the hub sent %s instead of %s", h.Type, want)}
	}
	return body, err
}

// maxPacket bounds what the tests' devices are sent, in bytes.
const maxPacket = 64 << 10

// readAny takes one packet.
func (c *conn) readAny() (h mqttwire.Header, body []byte, err error) {
	for size := 2; ; size++ {
		start, err := c.in.Peek(size)
		if err != nil {
			return h, nil, err
		}
		h, n, err := mqttwire.ParseHeader(start)
		if err != nil {
			return h, nil, violation{err}
		}
		if n == 0 {
			continue
		}
		if h.Length > maxPacket {
			return h, nil, violation{fmt.Errorf("the hub sent %s of %d bytes", h.Type, h.Length)}
		}
		packet := make([]byte, n+h.Length)
		if _, err := io.ReadFull(c.in, packet); err != nil {
			return h, nil, err
		}
		return h, packet[n:], nil
	}
}
