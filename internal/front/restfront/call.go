package restfront

import (
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// callTimeout is how long a call may wait for store, log and cluster, once its body has come. Calls of methods have their own.
const callTimeout = time.Minute

// call is one request on its way through the steps of run. It belongs to the goroutine of its handler.
type call struct {
	server *server
	w      http.ResponseWriter
	r      *http.Request
	ctx    context.Context // of what the call waits for; that of an event stream is r's
	cancel context.CancelFunc
	id     string // 32 hex digits: the tracking id of answers and logs

	of        *route           // set by run: which call it is; nil: none
	path      []string         // set by route: the unescaped segments
	wholePath bool             // set by route: the path was escaped as a whole
	params    []string         // set by route
	hub       string           // set by auth, for the log: the hub that Host names, or that the path names
	principal access.Principal // set by auth: who calls
	nested    bool             // set by handlers: errors that concern the identity have the nested form
}

func (s *server) newCall(w http.ResponseWriter, r *http.Request) *call {
	var id [16]byte
	// A failing source costs the log its correlation, not the client its answer.
	io.ReadFull(s.rand, id[:])
	c := &call{server: s, w: w, r: r, id: hex.EncodeToString(id[:])}
	c.renew()
	c.setHeader("x-ms-request-id", c.requestID())
	if s.version != "" {
		c.setHeader("Server", s.version)
	}
	return c
}

// renew gives the call the time that it may take, from now on.
func (c *call) renew() { c.renewFor(callTimeout) }

// renewFor lets the call go on for d from now. One that has as much left, but for a second, keeps its context.
func (c *call) renewFor(d time.Duration) {
	if c.cancel != nil {
		if ends, _ := c.ctx.Deadline(); time.Until(ends) > d-time.Second {
			return
		}
		c.cancel()
	}
	c.ctx, c.cancel = context.WithTimeout(c.r.Context(), d)
}

// requestID is the client's own id of the request, when it sent a sane one, else ours.
func (c *call) requestID() string {
	for _, name := range []string{"X-Ms-Client-Request-Id", "Request-Id"} {
		if id := c.r.Header.Get(name); isPlainID(id) {
			return id
		}
	}
	return c.id
}

func isPlainID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		b := id[i] | 0x20
		if !(b >= 'a' && b <= 'z' || id[i] >= '0' && id[i] <= '9' || id[i] == '-') {
			return false
		}
	}
	return true
}

// setHeader writes a response header spelt exactly so: C and .NET clients tell cases apart, and Go's own spelling
// would differ.
//
// Source: HttpTransportHandler.cs of Azure/azure-iot-sdk-csharp; Azure/azure-iot-sdk-c
// iothub_client/src/iothubtransporthttp.c.
func (c *call) setHeader(name, value string) {
	c.w.Header()[name] = []string{value}
}

// checkVersion refuses a request whose api-version is missing or malformed. All well-formed ones mean the same.
//
// Source: learn.microsoft.com/rest/api/iothub/common-error-codes; SDKs send 2018-06-30 to 2024-03-31.
func (c *call) checkVersion() error {
	if version, ok := strings.CutPrefix(c.r.URL.RawQuery, "api-version="); ok && isVersion(version) {
		return nil // as nearly all queries look, which need no parsing
	}
	version := c.r.URL.Query().Get("api-version")
	if version == "" {
		return hubward.Errorf(hubward.CodeInvalidProtocolVersion, "the query names no api-version, which looks like 2021-04-12")
	}
	if !isVersion(version) {
		return hubward.Errorf(hubward.CodeInvalidProtocolVersion, "api-version: %.40q does not look like 2021-04-12 or 2020-05-31-preview", version)
	}
	return nil
}

// isVersion matches YYYY-MM-DD[-preview].
func isVersion(v string) bool {
	const digits = "0000-00-00"
	if len(v) != len(digits) && v[min(len(digits), len(v)):] != "-preview" {
		return false
	}
	for i := range len(digits) {
		if digits[i] == '-' && v[i] != '-' || digits[i] == '0' && (v[i] < '0' || v[i] > '9') {
			return false
		}
	}
	return true
}

// log returns the logger with what identifies the request.
func (c *call) log() *slog.Logger {
	return c.server.logger.With("hub", c.hub, "request", c.id)
}
