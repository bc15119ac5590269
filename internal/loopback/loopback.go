// Package loopback connects to names below .localhost, which are this machine's own: NAME.localhost is a name of every hub.
// Browsers and curl know that by themselves; a system's resolver often does not (Debian's without nss-myhostname), and
// Go's asks it.
//
// Source: RFC 6761 6.3.
package loopback

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// addresses are what a name below .localhost stands for, in the order in which they are tried (RFC 6724 6).
var addresses = []struct{ family, ip string }{{"6", "::1"}, {"4", "127.0.0.1"}}

// Dialer is a net.Dialer that asks no resolver for names below .localhost.
type Dialer struct{ net.Dialer }

// DialContext connects as net.Dialer does. Below .localhost it tries ::1 and then 127.0.0.1, or the one that network
// ("tcp4", "tcp6") leaves; the error is that of the last.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || !isLocal(host) {
		return d.Dialer.DialContext(ctx, network, address)
	}
	family := strings.TrimLeft(network, "tcpud")
	var nc net.Conn
	for _, a := range addresses {
		if family != "" && family != a.family {
			continue
		}
		if nc, err = d.Dialer.DialContext(ctx, network, net.JoinHostPort(a.ip, port)); err == nil {
			return nc, nil
		}
	}
	return nil, err
}

// Proxy is http.ProxyFromEnvironment, which knows of localhost that it needs no proxy, for names below it too.
func Proxy(r *http.Request) (*url.URL, error) {
	if isLocal(r.URL.Hostname()) {
		return nil, nil
	}
	return http.ProxyFromEnvironment(r)
}

// isLocal reports whether host is a name below .localhost. The name localhost itself is in every system's table.
func isLocal(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return strings.HasSuffix(host, ".localhost") && len(host) > len(".localhost")
}
