package device

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/hubward/hubward/internal/loopback"
)

// environmentProxy is the default of Options.Proxy.
func environmentProxy(target *url.URL) (*url.URL, error) {
	return loopback.Proxy(&http.Request{URL: target}) // looks at nothing else of the request
}

// proxyError is what goes wrong with a proxy.
type proxyError struct{ text string }

func (e *proxyError) Error() string { return e.text }

// useProxy has t dial as Options.Proxy says, and tell clearly what a proxy answers.
func (o *Options) useProxy(t *http.Transport) {
	t.Proxy = func(r *http.Request) (*url.URL, error) { return o.Proxy(r.URL) }
	t.OnProxyConnectResponse = proxyAnswered
}

// proxyAnswered turns the refusal of a proxy into an error, in which nothing of its credentials stands.
func proxyAnswered(_ context.Context, proxy *url.URL, connect *http.Request, res *http.Response) error {
	switch {
	case res.StatusCode == http.StatusOK:
		return nil
	case res.StatusCode == http.StatusProxyAuthRequired && proxy.User == nil:
		return &proxyError{"the proxy " + proxy.Host + " wants a name and a password: http://NAME:PASSWORD@" + proxy.Host}
	case res.StatusCode == http.StatusProxyAuthRequired:
		return &proxyError{"the proxy " + proxy.Host + " refused the name and the password"}
	}
	return &proxyError{fmt.Sprintf("the proxy %s answered CONNECT %s with %d %s", proxy.Host, connect.Host, res.StatusCode, http.StatusText(res.StatusCode))}
}
