package childhub

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hubward/hubward/sas"
)

// apiVersion is what the REST calls below ask for.
const apiVersion = "2021-04-12"

// maxEventLine bounds one line of the event stream: a message of the greatest size, in base64, with its properties.
const maxEventLine = 1 << 20

// CA returns the path of the certificate authority's PEM file.
func (h *Hub) CA() string { return filepath.Join(h.Data, "tls", "ca.pem") }

// ConnectionString returns one value of the file that serve leaves for scripts, e.g. of HUBWARD_CONNECTION_STRING.
func (h *Hub) ConnectionString(name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(h.Data, "connection-strings.env"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key == name {
			return strings.Trim(value, `"'`), nil
		}
	}
	return "", fmt.Errorf("connection-strings.env has no %s", name)
}

// Roots returns the hub's certificate authority.
func (h *Hub) Roots() (*x509.CertPool, error) {
	pem, err := os.ReadFile(h.CA())
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", h.CA())
	}
	return roots, nil
}

// client returns an HTTPS client that trusts the hub's authority.
func (h *Hub) client() (*http.Client, error) {
	roots, err := h.Roots()
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}, nil
}

// send makes one call with the owner's rights. The caller closes the answer's body.
func (h *Hub) send(ctx context.Context, method, path string, body []byte, ifMatch string) (*http.Response, error) {
	text, err := h.ConnectionString("HUBWARD_CONNECTION_STRING")
	if err != nil {
		return nil, err
	}
	cs, err := sas.ParseConnectionString(text)
	if err != nil {
		return nil, err
	}
	token, err := sas.Sign(cs.HostName, cs.SharedAccessKey, cs.SharedAccessKeyName, time.Now().Add(time.Hour))
	if err != nil {
		return nil, err
	}
	client, err := h.client()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://"+h.HTTPS+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if ifMatch != "" {
		req.Header.Set("If-Match", ifMatch)
	}
	return client.Do(req)
}

// Do makes one REST call and reads its JSON answer into answer unless that is nil. An answer outside 200 to 299 is an
// error with its body.
func (h *Hub) Do(ctx context.Context, method, path string, request any, ifMatch string, answer any) error {
	var body []byte
	if request != nil {
		var err error
		if body, err = json.Marshal(request); err != nil {
			return err
		}
	}
	resp, err := h.send(ctx, method, path+"?api-version="+apiVersion, body, ifMatch)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(resp.Body, maxEventLine))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, got)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(got, answer)
}

// Event is one line of the event stream, as far as the tests look at it.
type Event struct {
	Partition        string            `json:"partition"`
	SequenceNumber   int64             `json:"sequenceNumber"`
	Offset           string            `json:"offset"`
	EnqueuedTime     time.Time         `json:"enqueuedTime"`
	Body             json.RawMessage   `json:"body"`
	Properties       map[string]string `json:"properties"`
	SystemProperties SystemProperties  `json:"systemProperties"`
	Annotations      Annotations       `json:"annotations"`
}

// SystemProperties are those that the tests' devices set.
type SystemProperties struct {
	MessageID       string `json:"messageId"`
	CorrelationID   string `json:"correlationId"`
	ContentType     string `json:"contentType"`
	ContentEncoding string `json:"contentEncoding"`
	MessageSchema   string `json:"messageSchema"`
}

// Annotations are what the hub stamped on an event.
type Annotations struct {
	DeviceID       string `json:"iothub-connection-device-id"`
	ModuleID       string `json:"iothub-connection-module-id"`
	GenerationID   string `json:"iothub-connection-auth-generation-id"`
	AuthMethod     string `json:"iothub-connection-auth-method"`
	HubEnqueued    int64  `json:"iothub-enqueuedtime"` // ms since the epoch
	MessageSource  string `json:"iothub-message-source"`
	SequenceNumber int64  `json:"x-opt-sequence-number"`
	Offset         string `json:"x-opt-offset"`
	EnqueuedTime   int64  `json:"x-opt-enqueued-time"` // ms since the epoch
}

// Events reads the event stream with the query given (from, device, after) until visit says stop or ctx ends.
func (h *Hub) Events(ctx context.Context, query url.Values, visit func(Event) (more bool)) error {
	resp, err := h.send(ctx, http.MethodGet, "/$hubward/events?"+query.Encode(), nil, "")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)) // only for the message
		return fmt.Errorf("read events: %s: %s", resp.Status, text)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 64<<10), maxEventLine)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue // the heartbeat
		}
		var e Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Partition == "" {
			return streamError(ctx, fmt.Errorf("the line %.200q is no event (%v)", lines.Text(), err))
		}
		if !visit(e) {
			return nil
		}
	}
	return streamError(ctx, cmp.Or(lines.Err(), errors.New("the hub ended the stream")))
}

// streamError is ctx's error when that has ended: what it does to the stream is of no interest then.
func streamError(ctx context.Context, err error) error {
	return fmt.Errorf("read events: %w", cmp.Or(ctx.Err(), err))
}
