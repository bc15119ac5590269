// Package httpserver makes HTTP/1.1 servers whose clients cannot dawdle: at whatever stage of a request a client stops, or
// goes on byte by byte, its connection ends before long. It knows nothing of what is served.
//
// What bounds a request:
//
//	handshake and header   10 s together
//	body                   30 s, and what ReadBody adds as it comes
//	answer                 two minutes from the end of the header, or what Answer gives it
//	until the next one     two minutes
package httpserver

import (
	"io"
	"log"
	"net/http"
	"time"

	"github.com/hubward/hubward/internal/front/minrate"
)

const (
	readHeaderTimeout = 10 * time.Second // the TLS handshake included
	answerTimeout     = 2 * time.Minute
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// New makes a server of handler. errorLog is told of what peers do wrong; nil: the log package's own.
func New(handler http.Handler, errorLog *log.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           bounded(handler),
		Protocols:         protocols,
		ReadHeaderTimeout: readHeaderTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          errorLog,
	}
}

// bounded bounds the time in which a body comes that the handler does not read: net/http reads it, up to 256 KiB, before the
// answer leaves. http.Server.ReadTimeout is no help: it ends the contexts of requests that take longer, event streams above
// all.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != http.NoBody {
			http.NewResponseController(w).SetReadDeadline(time.Now().Add(minrate.Allowed(0)))
		}
		next.ServeHTTP(w, r)
	})
}

// ReadBody reads the body of a request that w answers, within the time that minrate allows for it. The body may be what
// http.MaxBytesReader has made of the request's.
//
// When all of it has come, no deadline is left: what is read then is the client's end, or its next request. When it has not,
// the deadline stays, so that net/http does not wait for the rest.
func ReadBody(w http.ResponseWriter, body io.Reader) ([]byte, error) {
	b := &bodyReader{body: body, controller: http.NewResponseController(w), began: time.Now()}
	all, err := io.ReadAll(b)
	if err == nil {
		b.controller.SetReadDeadline(time.Time{})
	}
	return all, err
}

// bodyReader moves the deadline on as bytes come. Sockets know only the real clock; what has no deadlines, as in tests, goes
// without.
type bodyReader struct {
	body       io.Reader
	controller *http.ResponseController
	began      time.Time
	read       int
}

func (b *bodyReader) Read(p []byte) (int, error) {
	b.controller.SetReadDeadline(b.began.Add(minrate.Allowed(b.read)))
	n, err := b.body.Read(p)
	b.read += n
	return n, err
}

// Answer gives the client of w the time that minrate allows for an answer of so many bytes, from now on.
func Answer(w http.ResponseWriter, size int) {
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(minrate.Allowed(size)))
}
