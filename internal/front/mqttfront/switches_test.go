package mqttfront_test

import (
	"crypto/tls"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/mqttwire"
)

// remote is a connection from an address that tells of its TLS, as those do that WebSockets carry.
type remote struct {
	net.Conn
	connectionState
	from net.Addr
}

func (r remote) RemoteAddr() net.Addr { return r.from }

// dialFrom is dialTLS from an address.
func (f *fixture) dialFrom(address string, webSocket bool) *client {
	f.t.Helper()
	near, far := net.Pipe()
	f.t.Cleanup(func() { near.Close() })
	from := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))
	cert, _ := certificate(f.t, time.Now().Add(time.Hour))
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	peer := tls.Client(near, &tls.Config{InsecureSkipVerify: true})
	if !webSocket {
		f.pipes.conns <- tls.Server(addressed{far, from}, config)
		return newClient(f.t, peer)
	}
	secure := tls.Server(far, config)
	shaken := make(chan error, 1)
	go func() { shaken <- secure.Handshake() }()
	if err := peer.Handshake(); err != nil {
		f.t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		f.t.Fatal(err)
	}
	f.pipes.conns <- remote{secure, secure, from}
	return newClient(f.t, peer)
}

// addressed is a connection from an address.
type addressed struct {
	net.Conn
	from net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.from }

// A switch ends the connections that it is about, and who comes back gets code 5; by WebSocket too.
func TestConnect_switches(t *testing.T) {
	elsewhere := &access.NetworkRules{Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	here := &access.NetworkRules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	tls12 := uint16(tls.VersionTLS12)
	for name, tt := range map[string]struct {
		change hub.SwitchChange
		want   byte
	}{
		"keys of devices": {hub.SwitchChange{DisableDeviceSAS: new(true)}, 5},
		"keys of others":  {hub.SwitchChange{DisableLocalAuth: new(true), DisableModuleSAS: new(true)}, 0},
		"other addresses": {hub.SwitchChange{Network: elsewhere}, 5},
		"this address":    {hub.SwitchChange{Network: here}, 0},
		"the TLS it has":  {hub.SwitchChange{MinTLS: &tls12}, 0},
	} {
		f := newFixture(t)
		d := f.createDevice("sas")
		for _, webSocket := range []bool{false, true} {
			c := f.dialFrom("127.0.0.1:40000", webSocket)
			c.connect(login(t, d))
			if _, err := f.hub.UpdateHub(t.Context(), f.plant, "plant", hub.HubChange{Switches: tt.change}); err != nil {
				t.Fatal(err)
			}
			if tt.want == 0 {
				c.ping()
			} else {
				c.expectEnd()
			}
			again := f.dialFrom("127.0.0.1:40000", webSocket)
			again.send(mqttwire.AppendConnect(nil, login(t, d)))
			ack, err := mqttwire.ParseConnack(again.expect(mqttwire.Connack))
			if err != nil || ack.Code != tt.want {
				t.Errorf("%s, WebSocket %t: CONNACK %+v, %v; want code %d", name, webSocket, ack, err, tt.want)
			}
			off := false
			if _, err := f.hub.UpdateHub(t.Context(), f.plant, "plant", hub.HubChange{
				Switches: hub.SwitchChange{DisableDeviceSAS: &off, Network: &access.NetworkRules{}},
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
}
