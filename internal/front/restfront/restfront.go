package restfront

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// Options are the settings of a front end. The zero value works.
type Options struct {
	Logger  *slog.Logger     // nil: nothing is logged
	Version string           // the program's version, for the Server response header; empty: not sent
	Now     func() time.Time // nil: time.Now
	Rand    io.Reader        // nil: crypto/rand.Reader; must be safe for concurrent use
	// Observer is told of requests; nil: nobody is.
	Observer Observer
	// LoggedIn is told of each connection on which a request was authenticated, if KeepHeaderNames has made it. It must not
	// block. nil: nobody is told.
	LoggedIn func(net.Conn)
	// Stop, when it ends, ends event streams, which otherwise last until their client leaves and so would hold up
	// http.Server.Shutdown. Other requests are left to finish. nil: streams end with their request context only.
	Stop context.Context
	// Heartbeat is how often a silent event stream gets an empty line and its token is checked again. Zero: 15 s.
	Heartbeat time.Duration
	// StreamWriteTimeout is how long a client may leave written bytes of an event stream unread before the stream is
	// given up. Zero: 30 s.
	StreamWriteTimeout time.Duration
	// MethodDrain is how long calls of methods may go on when Stop has ended: less than the process takes to drain, so that
	// they have an answer. Zero: 5 s.
	MethodDrain time.Duration
}

// Observer is told what happens here; metrics implement it. Its methods must not block.
type Observer interface {
	// Call is told of each call that there is, once, before there are requests. path is a pattern, e.g. "/devices/{}".
	Call(method, path string)
	// Request is told of a request that has ended, and how long it took until the answer began. Method and path are those
	// of the call, empty for what is none.
	Request(method, path string, status int, took time.Duration)
}

// silent is the Observer that tells nobody.
type silent struct{}

func (silent) Call(string, string)                        {}
func (silent) Request(string, string, int, time.Duration) {}

const (
	defaultHeartbeat          = 15 * time.Second
	defaultStreamWriteTimeout = 30 * time.Second
	defaultMethodDrain        = 5 * time.Second
)

// server is the handler. It has no state of its own and is safe for concurrent use.
type server struct {
	hub                *hub.Hub
	logger             *slog.Logger
	version            string
	now                func() time.Time
	rand               io.Reader
	observer           Observer
	loggedIn           func(net.Conn)
	stop               context.Context // the process's; it ends when that drains
	heartbeat          time.Duration
	streamWriteTimeout time.Duration
	methodDrain        time.Duration
	routes             []route
	missing            []feature
}

// New returns the handler of the HTTPS listener.
func New(h *hub.Hub, o Options) http.Handler {
	s := &server{
		hub: h, logger: o.Logger, now: o.Now, rand: o.Rand, observer: o.Observer, loggedIn: o.LoggedIn, stop: o.Stop, heartbeat: o.Heartbeat,
		streamWriteTimeout: o.StreamWriteTimeout, methodDrain: o.MethodDrain, routes: routes(), missing: missing(),
	}
	if o.Version != "" {
		s.version = "hubward/" + o.Version
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.rand == nil {
		s.rand = rand.Reader
	}
	if s.heartbeat == 0 {
		s.heartbeat = defaultHeartbeat
	}
	if s.streamWriteTimeout == 0 {
		s.streamWriteTimeout = defaultStreamWriteTimeout
	}
	if s.methodDrain == 0 {
		s.methodDrain = defaultMethodDrain
	}
	if s.stop == nil {
		s.stop = context.Background()
	}
	if s.observer == nil {
		s.observer = silent{}
	}
	if s.loggedIn == nil {
		s.loggedIn = func(net.Conn) {}
	}
	for i := range s.routes {
		s.observer.Call(s.routes[i].method, s.routes[i].path())
	}
	return s
}

// drains reports whether the process has begun to stop.
func (s *server) drains() bool { return s.stop.Err() != nil }

// ServeHTTP answers one request.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := &answerWriter{ResponseWriter: w, now: s.now}
	c := s.newCall(answer, r)
	defer func() { c.cancel() }() // the last one
	defer c.observe(answer, s.now())
	defer c.recoverBug()
	if err := c.run(); err != nil {
		c.fail(err)
	}
}

// answerWriter remembers how and when the answer began.
type answerWriter struct {
	http.ResponseWriter
	now    func() time.Time
	status int // 0: it has not begun
	begun  time.Time
}

func (w *answerWriter) WriteHeader(status int) {
	w.status, w.begun = status, w.now()
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// observe tells of a request that has ended. One without an answer ended in a panic.
func (c *call) observe(answer *answerWriter, begin time.Time) {
	if answer.status == 0 {
		answer.status, answer.begun = http.StatusInternalServerError, c.server.now()
	}
	method, path := "", ""
	if c.of != nil {
		method, path = c.of.method, c.of.path()
	}
	c.server.observer.Request(method, path, answer.status, answer.begun.Sub(begin))
}

// recoverBug logs a panic with its stack and has net/http close this one connection.
func (c *call) recoverBug() {
	bug := recover()
	if bug == nil {
		return
	}
	if bug != http.ErrAbortHandler {
		c.log().Error("panic", "method", c.r.Method, "path", c.path, "panic", bug, "stack", string(debug.Stack()))
	}
	panic(http.ErrAbortHandler)
}

// run takes the steps that all calls share.
func (c *call) run() error {
	rt, err := c.route()
	if err != nil {
		return err
	}
	c.of = rt
	if !rt.own {
		if err := c.checkVersion(); err != nil {
			return err
		}
	}
	if err = rt.auth(c); err == nil {
		c.loggedIn()
		err = rt.handle(c)
	}
	if !rt.own && hubward.CodeOf(err) == hubward.CodeNoSuchHub {
		return errHubDeleted
	}
	return err
}

func (c *call) loggedIn() {
	if rec, ok := c.r.Context().Value(recorderKey{}).(*recorder); ok {
		c.server.loggedIn(rec)
	}
}

// errHubDeleted ends a call of IoT Hub's whose hub is deleted under it, with what the next call gets, to which the host is
// unknown: 404 would read as an unknown device.
var errHubDeleted = hubward.Errorf(hubward.CodeHubNotFound, "the hub was deleted")
