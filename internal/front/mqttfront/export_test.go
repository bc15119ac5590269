package mqttfront

import (
	"io"
	"net"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/mqttwire"
)

// UserName is a parsed user name, for tests.
type UserName struct {
	Host, APIVersion, ClientType, ModelID, Chain string
	Identity                                     hubward.Identity
}

// ParseUserName is parseUserName, for tests.
func ParseUserName(user string) (UserName, error) {
	u, err := parseUserName(user)
	return UserName{u.host, u.apiVersion, u.clientType, u.modelID, u.chain, u.identity}, err
}

// ReadBag is readBag, for tests.
func ReadBag(m *hubward.Message, bag []byte) error { return readBag(m, bag) }

// The bounds of subscriptions, for tests.
const (
	MaxSubscriptions = maxSubscriptions
	MaxFilter        = maxFilter
)

// MaySubscribe is maySubscribe, for tests.
func MaySubscribe(id hubward.Identity, filter string) bool { return maySubscribe(id, filter) }

// Covers is covers, for tests.
func Covers(filter, topic string) bool { return covers(filter, topic) }

// MaxPacket is maxPacket, for tests.
const MaxPacket = maxPacket

// PacketReader is packetReader, for tests.
type PacketReader struct{ p packetReader }

// NewPacketReader reads packets from src.
func NewPacketReader(src io.Reader) *PacketReader {
	r := &PacketReader{}
	r.p.init(src)
	return r
}

// Next is packetReader.next.
func (r *PacketReader) Next(limit int) (mqttwire.Header, []byte, error) { return r.p.next(limit) }

// Borrowed reports whether a pooled buffer is held.
func (r *PacketReader) Borrowed() bool { return r.p.buf.Borrowed() }

// DeviceboundTopic is deviceboundTopic, for tests.
func DeviceboundTopic(device string, m *hubward.Message) []byte { return deviceboundTopic(device, m) }

// OpenConn is a connection whose packets a test hands over by itself.
type OpenConn struct{ c *conn }

// Open logs in on nc with the body of a CONNECT.
func Open(s *Server, nc net.Conn, connect []byte) (*OpenConn, error) {
	c := newConn(s, nc)
	return &OpenConn{c}, c.connect(connect)
}

// Handle acts on one packet.
func (o *OpenConn) Handle(h mqttwire.Header, body []byte) error { return o.c.session.handle(h, body) }

// Close ends the connection.
func (o *OpenConn) Close() {
	o.c.Close(errDisconnected)
	o.c.out.stop()
	o.c.out.join()
	o.c.session.end(errDisconnected)
}

// Query is what stands behind the last slash of a request's topic.
type Query struct {
	RID     string
	Asks    bool
	Version int64
	Err     error
}

// ReadQuery is readQuery with what it says of the version, for tests.
func ReadQuery(text []byte) Query {
	q := readQuery(text)
	version, err := q.ifVersion()
	return Query{q.rid, q.asks, version, err}
}

// ReadStatus is readStatus, for tests.
func ReadStatus(text string) int { return readStatus(text) }

// CoversMethod is coversMethod, for tests.
func CoversMethod(filter string) bool { return coversMethod(filter) }

// Drain waits for what is not acknowledged yet.
func (o *OpenConn) Drain() { o.c.drain() }
