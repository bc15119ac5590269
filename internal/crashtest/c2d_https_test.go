//go:build crash

package crashtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	// httpsLock is for how long a device that polls locks a message: the shortest that there is.
	httpsLock = 5 * time.Second
	// pollPause is the time between two polls that find nothing.
	pollPause = 50 * time.Millisecond
	// maxAnswer bounds an answer: 64 feedback records fit.
	maxAnswer = 256 << 10
)

// caller makes HTTPS calls with one token. It sends each call once, unless the connection was gone before.
type caller struct {
	client *http.Client
	base   string
	token  string
}

func newCaller(address string, roots *x509.CertPool, token string) *caller {
	return &caller{
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}},
		base:   "https://" + address, token: token,
	}
}

// answer is what came back of a call.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call makes one call. path begins with a slash and ends before the api-version; query follows that.
func (c *caller) call(ctx context.Context, method, path, query string) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path+"?api-version=2021-04-12"+query, nil)
	if err != nil {
		return nil, violation{err}
	}
	req.Header.Set("Authorization", c.token)
	req.Header.Set("iothub-messagelocktimeout", strconv.Itoa(int(httpsLock/time.Second)))
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return &answer{resp.StatusCode, resp.Header, body}, err
}

// visitHTTPS polls for a while.
func (r *receiver) visitHTTPS(ctx context.Context) error {
	c, err := r.caller()
	if err != nil {
		return violation{err}
	}
	defer c.client.CloseIdleConnections()
	for range r.visits() {
		m, nth, lock, err := r.takeHTTPS(ctx, c)
		if err != nil {
			return err
		}
		if m == nil {
			if !pauseFor(ctx, pollPause) {
				return nil
			}
			continue
		}
		o := r.decide(m, nth)
		if o == unsettled || !r.work(ctx) {
			continue // its lock ends
		}
		if err := r.settleHTTPS(ctx, c, m, lock, o); err != nil {
			return err
		}
	}
	return nil
}

func (r *receiver) caller() (*caller, error) {
	token, err := r.token()
	return newCaller(r.at.https, r.roots, token), err
}

// lock is what a device that polls holds.
type lock struct {
	token string
	until time.Time // it does not end before
}

// takeHTTPS polls once. m is nil when there is nothing.
func (r *receiver) takeHTTPS(ctx context.Context, c *caller) (m *message, nth int, held lock, err error) {
	asked := time.Now()
	a, err := c.call(ctx, http.MethodGet, "/devices/"+r.id+"/messages/deviceBound", "")
	if err != nil || a.status == http.StatusNoContent {
		return nil, 0, held, err
	}
	held = lock{a.header.Get("iothub-messagelocktoken"), asked.Add(httpsLock)}
	sequence, err := strconv.ParseInt(a.header.Get("iothub-sequencenumber"), 10, 64)
	count, err2 := strconv.Atoi(a.header.Get("iothub-deliverycount"))
	if a.status != http.StatusOK || err != nil || err2 != nil || held.token == "" {
		return nil, 0, held, violated("%s polls and gets %d with %v and %.200q", r.id, a.status, a.header, a.body)
	}
	m, nth, err = r.ledger.deliver(delivery{
		device: r.id, id: a.header.Get("iothub-messageid"), body: a.body, asked: asked, lock: httpsLock,
		sequence: sequence, count: count,
	})
	return m, nth, held, err
}

// settleHTTPS tells an outcome. The hub may only refuse it when the lock can have ended.
func (r *receiver) settleHTTPS(ctx context.Context, c *caller, m *message, held lock, o outcome) error {
	method, path, query := http.MethodDelete, "/devices/"+r.id+"/messages/deviceBound/"+held.token, ""
	switch o {
	case reject:
		query = "&reject"
	case abandon:
		method, path = http.MethodPost, path+"/abandon"
	}
	r.ledger.settling(m, o)
	a, err := c.call(ctx, method, path, query)
	switch {
	case err != nil:
		return err
	case a.status == http.StatusPreconditionFailed && time.Now().After(held.until):
		r.ledger.refused(m, o)
	case a.status != http.StatusNoContent:
		return violated("D4: the hub answers %d to %s of %s, whose lock lasts until %s: %.200q", a.status, o, m.id(), held.until, a.body)
	default:
		r.ledger.settled(m, o)
	}
	return nil
}
