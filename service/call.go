package service

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/restwire"
)

// maxAnswer bounds the body of an answer, in bytes: a list of 1,000 identities is about 1 MiB.
const maxAnswer = 32 << 20

// request is one call of the hub.
type request struct {
	op      string // for errors, e.g. "service.Device"
	device  string // for errors
	module  string // of the device, for errors
	method  string
	path    []string // unescaped segments
	query   url.Values
	version string           // api-version; empty for calls of Hubward's own
	ifMatch string           // "" no header, "*" or a bare etag
	header  http.Header      // more of them; nil: none
	body    any              // nil: none; marshalled to JSON
	message *hubward.Message // goes out as header lines and body; not together with body
	accept  []int            // further statuses that are a success, besides 2xx
	patient bool             // the answer may take as long as the context lasts
}

// refuse is the error of a request that is not sent, since something in it is wrong.
func (r *request) refuse(format string, args ...any) error {
	err := hubward.Errorf(hubward.CodeArgumentInvalid, format, args...)
	err.Op, err.Identity = r.op, hubward.Identity{Device: r.device, Module: r.module}
	return err
}

// open sends a request and returns its response when its status is a success, else the hub's error. The caller closes
// the body.
func (c *Client) open(ctx context.Context, r *request) (*http.Response, error) {
	req, err := c.build(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.op, err)
	}
	client := c.http
	if r.patient {
		client = c.patient
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.op, explain(c.host, err))
	}
	if res.StatusCode/100 == 2 || slices.Contains(r.accept, res.StatusCode) {
		return res, nil
	}
	defer res.Body.Close()
	return nil, suspectClock(answerError(r, res), res, c.tokens.now())
}

// do sends a request and decodes the JSON of its answer into out, unless out is nil.
func (c *Client) do(ctx context.Context, r *request, out any) error {
	res, err := c.open(ctx, r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		return nil
	}
	return c.decode(r, res, out)
}

// decode reads the JSON of an answer into out.
func (c *Client) decode(r *request, res *http.Response, out any) error {
	body, err := readBounded(res.Body, maxAnswer)
	if err != nil {
		return fmt.Errorf("%s: %w", r.op, explain(c.host, err))
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("%s: the answer of %s is not what a hub sends: %w", r.op, c.host, err)
	}
	return nil
}

func (c *Client) build(ctx context.Context, r *request) (*http.Request, error) {
	if slices.Contains(r.path, "") {
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "an id or a name is empty")
	}
	var body io.Reader
	if r.body != nil {
		text, err := marshal(r.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	} else if r.message != nil {
		body = bytes.NewReader(r.message.Body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.url(r), body)
	if err != nil {
		return nil, err
	}
	token, err := c.tokens.current()
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, r.header)
	req.Header.Set("Authorization", token)
	req.Header.Set("User-Agent", c.agent)
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	if r.ifMatch != "" {
		req.Header.Set("If-Match", `"`+r.ifMatch+`"`)
	}
	return req, setMessage(req, r.message)
}

// marshal is json.Marshal without escapes for HTML, which would make up to six bytes of one.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// setMessage writes the properties of m, if there is one, into the header: spelt as they are, which Set would not do.
func setMessage(req *http.Request, m *hubward.Message) error {
	if m == nil {
		return nil
	}
	if err := restwire.Check(m); err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	for _, f := range restwire.Fields(m) {
		req.Header[f.Name] = append(req.Header[f.Name], f.Value)
	}
	return nil
}

// url joins the parts, with each segment escaped by itself: an id may hold ? # and %.
func (c *Client) url(r *request) string {
	var b strings.Builder
	b.WriteString("https://" + c.host)
	for _, segment := range r.path {
		b.WriteString("/" + url.PathEscape(segment))
	}
	query := url.Values{}
	for name, values := range r.query {
		query[name] = values
	}
	if r.version != "" {
		query.Set("api-version", r.version)
	}
	if len(query) > 0 {
		b.WriteString("?" + query.Encode())
	}
	return b.String()
}

// readBounded reads all of r, but no more than limit bytes.
func readBounded(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = hubward.Errorf(hubward.CodeServerError, "the answer is larger than %d bytes", limit)
	}
	return body, err
}
