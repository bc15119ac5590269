// Package peer tells where a log-in comes from, in the words of the hub's rules about that.
package peer

import (
	"crypto/tls"
	"net"
	"net/netip"

	"github.com/hubward/hubward/internal/hub/access"
)

// Of returns the address of a connection's peer, and the TLS version that it speaks, also of a connection that is carried by a
// WebSocket. What has no address, as in tests, comes from nowhere.
func Of(nc net.Conn) access.Peer {
	var p access.Peer
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		p.Address = a.AddrPort().Addr().Unmap()
	}
	if secure, ok := nc.(interface{ ConnectionState() tls.ConnectionState }); ok {
		p.TLS = secure.ConnectionState().Version
	}
	return p
}

// At returns what Of does, for a connection of which only the text of the address is known, host:port, and the state of TLS, nil
// without.
func At(address string, state *tls.ConnectionState) access.Peer {
	var p access.Peer
	if a, err := netip.ParseAddrPort(address); err == nil {
		p.Address = a.Addr().Unmap()
	}
	if state != nil {
		p.TLS = state.Version
	}
	return p
}
