package peer_test

import (
	"crypto/tls"
	"net"
	"net/netip"
	"testing"

	"github.com/hubward/hubward/internal/front/peer"
	"github.com/hubward/hubward/internal/hub/access"
)

// conn comes from an address, over TLS or not.
type conn struct {
	net.Conn
	address net.Addr
}

func (c *conn) RemoteAddr() net.Addr { return c.address }

type secure struct{ conn }

func (*secure) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{Version: tls.VersionTLS12}
}

func TestOf(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	at := func(ip string) conn { return conn{address: &net.TCPAddr{IP: net.ParseIP(ip), Port: 7}} }
	mapped, six, plain := at("::ffff:192.0.2.1"), at("2001:db8::1"), at("192.0.2.1")
	for what, test := range map[string]struct {
		nc   net.Conn
		want access.Peer
	}{
		"an IPv4 address, as listeners for both see it": {&secure{mapped}, access.Peer{Address: v4, TLS: tls.VersionTLS12}},
		"IPv6":        {&secure{six}, access.Peer{Address: v6, TLS: tls.VersionTLS12}},
		"without TLS": {&plain, access.Peer{Address: v4}},
		"a pipe":      {&conn{address: &net.UnixAddr{}}, access.Peer{}},
	} {
		if got := peer.Of(test.nc); got != test.want {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

func TestAt(t *testing.T) {
	want := access.Peer{Address: netip.MustParseAddr("192.0.2.1"), TLS: tls.VersionTLS13}
	if got := peer.At("[::ffff:192.0.2.1]:443", &tls.ConnectionState{Version: tls.VersionTLS13}); got != want {
		t.Errorf("%+v", got)
	}
	if got := peer.At("pipe", nil); got != (access.Peer{}) {
		t.Errorf("%+v", got)
	}
}
