package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/bench"
	"github.com/hubward/hubward/internal/loopback"
	"github.com/hubward/hubward/service"
)

// caller is a client that keeps a connection for each call in flight, and speaks HTTP/1.1, as SDKs do.
func (f *benchMethodFlags) caller(env Env) (*service.Client, error) {
	text, err := f.login.connectionString(env)
	if err != nil {
		return nil, err
	}
	pool, err := f.login.pool(env)
	if err != nil {
		return nil, err
	}
	c, err := service.NewFromConnectionString(text, &service.Options{HTTPClient: f.httpClient(&tls.Config{RootCAs: pool}), UserAgent: "hubward-bench"})
	if err != nil {
		return nil, f.login.invalid(err)
	}
	return c, nil
}

// httpClient keeps a connection for each call in flight, and speaks HTTP/1.1.
func (f *benchMethodFlags) httpClient(config *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialTLSContext: dialSome(config), MaxConnsPerHost: f.inFlight, MaxIdleConnsPerHost: f.inFlight,
	}}
}

// benchDials bounds the connections that are set up at a time: a hub that is busy with a thousand handshakes gives some of them
// up.
const benchDials = 32

// dialSome returns a function that dials with TLS, a few at a time.
func dialSome(config *tls.Config) func(ctx context.Context, network, address string) (net.Conn, error) {
	slots := make(chan struct{}, benchDials)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		tcp, err := new(loopback.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		named := config.Clone()
		named.ServerName, _, err = net.SplitHostPort(address)
		nc := tls.Client(tcp, named)
		if err == nil {
			err = nc.HandshakeContext(ctx)
		}
		if err != nil {
			tcp.Close()
			return nil, err
		}
		return nc, nil
	}
}

func invokeWith(c *service.Client) func(context.Context, bench.Device, []byte) ([]byte, error) {
	return func(ctx context.Context, d bench.Device, payload []byte) ([]byte, error) {
		result, err := c.InvokeMethod(ctx, hubward.Identity{Device: d.ID}, hubward.MethodCall{Name: bench.MethodName, Payload: json.RawMessage(payload)})
		return result.Payload, err
	}
}

// measureFloor has a server echo as many requests at a time as there are calls. It returns nil when there is none.
func (f *benchMethodFlags) measureFloor(ctx context.Context, o bench.Options, client *http.Client) (*bench.Result, error) {
	if f.httpsFloor == "" {
		return nil, nil
	}
	if o.CPU = nil; f.floorPID != 0 {
		o.CPU = bench.ProcessCPU(f.floorPID)
	}
	result, err := bench.RunCalls(ctx, bench.MethodOptions{Options: o, InFlight: f.inFlight, Invoke: func(ctx context.Context, _ bench.Device, payload []byte) ([]byte, error) {
		return askFloor(ctx, client, f.httpsFloor, payload)
	}})
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return nil, explainDial(f.httpsFloor, "--https-floor", err)
	}
	return result, err
}

// What a request to a floor has besides its payload, so that it is as long as a call.
var (
	floorPath  = "/twins/bench-00000000-00/methods?api-version=" + service.APIVersion
	floorToken = "SharedAccessSignature " + strings.Repeat("x", 150)
)

const floorBody = `{"methodName":"` + bench.MethodName + `","payload":`

// askFloor sends a request like that of a call, and returns the payload that comes back.
func askFloor(ctx context.Context, client *http.Client, address string, payload []byte) ([]byte, error) {
	body := append(append([]byte(floorBody), payload...), '}')
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+address+floorPath, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", floorToken)
	req.Header.Set("User-Agent", "hubward-bench")
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("the floor answered %s", res.Status)
	}
	return bytes.TrimSuffix(bytes.TrimPrefix(answer, []byte(floorBody)), []byte("}")), err
}
