package app

import (
	"net"
	"net/http"

	"github.com/hubward/hubward/internal/front/listen"
	"github.com/hubward/hubward/internal/obs"
)

// maxAdmin bounds the connections of the operator's port, which nobody logs in to: with more, the oldest is closed.
const maxAdmin = 128

// limits bound the connections of each protocol.
type limits struct {
	mqtt, amqp, https, admin *listen.Limit
}

func (a *App) newLimits() limits {
	total := a.cfg.Listen.MaxConnections
	if total == 0 {
		total = listen.MostConnections()
	}
	mqtt, amqp, https := a.cfg.Listen.Shares(total)
	var addresses *listen.Addresses
	if n := a.cfg.Listen.MaxPerAddress; n > 0 {
		addresses = listen.NewAddresses(listen.AddressOptions{Max: n, Logger: a.logger, Now: a.o.Now})
	}
	limit := func(protocol string, n int, addresses *listen.Addresses) *listen.Limit {
		return listen.NewLimit(listen.LimitOptions{Protocol: protocol, Max: n, Addresses: addresses, Logger: a.logger, Now: a.o.Now})
	}
	return limits{
		mqtt: limit("mqtt", mqtt, addresses), amqp: limit("amqp", amqp, addresses), https: limit("https", https, addresses),
		admin: limit("admin", maxAdmin, nil),
	}
}

// stats are the numbers of those that strangers reach.
func (l *limits) stats() map[string]obs.Connections {
	stats := make(map[string]obs.Connections)
	for protocol, l := range map[string]*listen.Limit{"mqtt": l.mqtt, "amqp": l.amqp, "https": l.https} {
		stats[protocol] = obs.Connections{Open: l.Open(), Max: l.Max(), Refused: l.Refused(), Crowded: l.Crowded()}
	}
	return stats
}

// within returns serve for connections by WebSocket, which came as those of HTTPS: they are of the protocol in them.
func within(l *listen.Limit, serve func(net.Conn)) func(net.Conn) {
	return func(nc net.Conn) {
		if !listen.Move(nc, l) {
			_ = nc.Close() // there is nobody to tell
			return
		}
		serve(nc)
	}
}

// followIdle has the connections of server count as not logged in between requests.
func followIdle(server *http.Server) {
	follow := server.ConnState
	server.ConnState = func(nc net.Conn, state http.ConnState) {
		if follow != nil {
			follow(nc, state)
		}
		if state == http.StateIdle {
			listen.Waits(nc)
		}
	}
}
