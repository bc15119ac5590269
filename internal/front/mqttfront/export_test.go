package mqttfront

import (
	"io"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/mqttwire"
)

// UserName is a parsed user name, for tests.
type UserName struct {
	Host, APIVersion, ClientType, ModelID string
	Identity                              hubward.Identity
}

// ParseUserName is parseUserName, for tests.
func ParseUserName(user string) (UserName, error) {
	u, err := parseUserName(user)
	return UserName{u.host, u.apiVersion, u.clientType, u.modelID, u.identity}, err
}

// ReadBag is readBag, for tests.
func ReadBag(m *hubward.Message, bag []byte) error { return readBag(m, bag) }

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
