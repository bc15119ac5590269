package listen

import (
	"net"
	"net/netip"
)

// source is whom a connection is counted for: its peer's IPv4 address, or the /64 network of its IPv6 address, which one host
// has to itself. The zero value is what has no address.
//
// Source: RFC 6177; RFC 4291 2.5.1.
type source = netip.Addr

func sourceOf(nc net.Conn) source {
	tcp, ok := nc.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return source{}
	}
	address, _ := netip.AddrFromSlice(tcp.IP)
	address = address.Unmap()
	if address.Is6() && !address.IsLoopback() {
		network, _ := address.Prefix(64)
		address = network.Addr()
	}
	return address
}
