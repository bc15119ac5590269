package listen

import (
	"crypto/tls"
	"net"
	"net/netip"
	"strings"
)

// shown is what handshakes look at. Never changed once it is in use.
type shown struct {
	fallback *tls.Certificate // the default
	hubs     []hubPair        // in the order of the hubs, without the first one and those that have none
	byHost   map[string]*tls.Certificate

	hubByHost map[string]string // of all hubs
}

type hubPair struct {
	hub  string
	pair *tls.Certificate
}

// add gives a hub a certificate of its own.
func (s *shown) add(h HubNames, pair *tls.Certificate) {
	if s.byHost == nil {
		s.byHost = make(map[string]*tls.Certificate)
	}
	s.hubs = append(s.hubs, hubPair{h.Hub, pair})
	for _, host := range h.all() {
		s.byHost[host] = pair
	}
}

// name notes which hub each name means.
func (s *shown) name(hubs []HubNames) {
	s.hubByHost = make(map[string]string)
	for i := range hubs {
		for _, host := range hubs[i].all() {
			s.hubByHost[host] = hubs[i].Hub
		}
	}
}

// choose returns the certificate for a handshake: by the name that the client asks for (SNI, RFC 6066 3), or, since no IP
// address can stand there, by the address that it has connected to.
func (s *shown) choose(hello *tls.ClientHelloInfo) *tls.Certificate {
	name := strings.ToLower(hello.ServerName)
	if name == "" {
		name = localAddress(hello.Conn)
	}
	return s.certificateFor(name)
}

func (s *shown) certificateFor(host string) *tls.Certificate {
	if pair := s.byHost[host]; pair != nil {
		return pair
	}
	return s.fallback
}

func localAddress(conn net.Conn) string {
	if conn == nil {
		return ""
	}
	tcp, ok := conn.LocalAddr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	address, _ := netip.AddrFromSlice(tcp.IP)
	return address.Unmap().String()
}
