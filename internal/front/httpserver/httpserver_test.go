package httpserver_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward/internal/front/httpserver"
)

// pipes is a listener whose connections are pipes.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-p.conns:
		return nc, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// talk runs f as the client of a server of handler, in a bubble of fake time.
func talk(t *testing.T, handler http.HandlerFunc, f func(t *testing.T, c *client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		server := httpserver.New(handler, nil)
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		near, far := net.Pipe()
		l.conns <- far
		f(t, &client{t: t, nc: near, in: bufio.NewReader(near), began: time.Now()})
		near.Close()
		if err := server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

type client struct {
	t     *testing.T
	nc    net.Conn
	in    *bufio.Reader
	began time.Time
}

func (c *client) say(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.nc, text); err != nil {
		c.t.Fatal(err)
	}
}

// trickle says text, n bytes a second, until the server takes no more.
func (c *client) trickle(text string, n int) {
	for len(text) > 0 {
		time.Sleep(time.Second)
		w, err := io.WriteString(c.nc, text[:min(n, len(text))])
		if err != nil {
			return
		}
		text = text[w:]
	}
}

// answer reads the head of an answer and returns its status.
func (c *client) answer() int {
	c.t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatalf("after %v: %v", time.Since(c.began), err)
	}
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// end waits for the end and checks when it comes.
func (c *client) end(after time.Duration) {
	c.t.Helper()
	rest, err := io.ReadAll(c.in)
	if err != nil || len(rest) > 0 && !strings.HasPrefix(string(rest), "HTTP/1.1 400 Bad Request") {
		c.t.Errorf("%q, %v", rest, err)
	}
	c.took(after)
}

func (c *client) took(want time.Duration) {
	c.t.Helper()
	if d := time.Since(c.began); d < want || d > want+time.Second {
		c.t.Errorf("it took %v, want %v", d, want)
	}
}

const head = "HTTP/1.1\r\nHost: hub\r\n"

// reading answers 204, or 408 when the body does not come.
func reading(w http.ResponseWriter, r *http.Request) {
	status := http.StatusNoContent
	if _, err := httpserver.ReadBody(w, r.Body); err != nil {
		status = http.StatusRequestTimeout
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			status = http.StatusBadRequest
		}
	}
	httpserver.Answer(w, 0)
	w.WriteHeader(status)
}

// ignoring answers without a look at the body.
func ignoring(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }

func TestHeader_hasToCome(t *testing.T) {
	for name, say := range map[string]func(c *client){
		"nothing":      func(*client) {},
		"half of it":   func(c *client) { c.say("GET / " + head) },
		"byte by byte": func(c *client) { c.trickle("GET / "+head+"\r\n", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			talk(t, ignoring, func(_ *testing.T, c *client) {
				if name == "byte by byte" {
					go say(c)
				} else {
					say(c)
				}
				c.end(10 * time.Second)
				time.Sleep(time.Second) // for who trickles to notice
			})
		})
	}
}

// A body that is announced and does not come ends the request, whether or not the handler reads it.
func TestBody_hasToCome(t *testing.T) {
	const post = "POST / " + head + "Content-Length: 100000\r\n\r\n"
	const chunked = "POST / " + head + "Transfer-Encoding: chunked\r\n\r\n"
	bodies := map[string]func(c *client){
		"nothing": func(c *client) { c.say(post) },
		"half of it": func(c *client) {
			c.say(post + "half")
		},
		"byte by byte": func(c *client) {
			c.say(post)
			c.trickle(strings.Repeat("x", 100_000), 1)
		},
		"no chunk": func(c *client) { c.say(chunked) },
		"chunks of a byte": func(c *client) {
			c.say(chunked)
			c.trickle(strings.Repeat("1\r\nx\r\n", 10_000), 6)
		},
	}
	for handler, h := range map[int]http.HandlerFunc{http.StatusRequestTimeout: reading, http.StatusUnauthorized: ignoring} {
		for name, say := range bodies {
			t.Run(fmt.Sprint(name, ", ", handler), func(t *testing.T) {
				talk(t, h, func(t *testing.T, c *client) {
					said := make(chan struct{})
					go func() {
						defer close(said)
						say(c)
					}()
					if status := c.answer(); status != handler {
						t.Errorf("status %d", status)
					}
					c.end(30 * time.Second)
					<-said
				})
			})
		}
	}
}

// A body on a slow line has its time, and the connection goes on.
func TestBody_slowLine(t *testing.T) {
	talk(t, reading, func(t *testing.T, c *client) {
		for range 2 {
			c.say("POST / " + head + "Content-Length: 400000\r\n\r\n")
			go c.trickle(strings.Repeat("x", 400_000), 2000) // longer than an answer may take that nobody extends
			if status := c.answer(); status != http.StatusNoContent {
				t.Errorf("status %d", status)
			}
		}
		c.took(400 * time.Second)
		c.in.ReadByte() // until it has been idle for too long
		c.took(520 * time.Second)
	})
}

// What a handler waits for once the body is there does not count as the client's delay.
func TestBody_thenALongWait(t *testing.T) {
	talk(t, func(w http.ResponseWriter, r *http.Request) {
		httpserver.ReadBody(w, r.Body)
		select {
		case <-r.Context().Done():
			t.Error("the request was ended")
		case <-time.After(time.Hour):
		}
		httpserver.Answer(w, 0)
		w.WriteHeader(http.StatusNoContent)
	}, func(t *testing.T, c *client) {
		c.say("POST / " + head + "Content-Length: 4\r\n\r\nbody")
		if status := c.answer(); status != http.StatusNoContent {
			t.Errorf("status %d", status)
		}
	})
}

// An answer has to be read, at 1 KiB a second at least once thirty are over, or within two minutes if nobody says how large it is.
func TestAnswer_hasToBeRead(t *testing.T) {
	const size = 300_000
	for _, tt := range []struct {
		name  string
		sized bool
		rate  int // bytes a second that the client reads
		most  time.Duration
		whole bool
	}{
		{"nothing is read", true, 0, 30*time.Second + size*time.Second/1024, false},
		{"a byte a second", true, 1, 30*time.Second + size*time.Second/1024, false},
		{"slow line", true, 1100, 0, true},
		{"nothing is read, unsized", false, 0, 2 * time.Minute, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var ended chan error
			talk(t, func(w http.ResponseWriter, _ *http.Request) {
				if tt.sized {
					httpserver.Answer(w, size)
				}
				_, err := w.Write(make([]byte, size))
				ended <- err
			}, func(t *testing.T, c *client) {
				ended = make(chan error, 1) // in the bubble
				c.say("GET / " + head + "\r\n")
				if tt.rate > 0 {
					for b := make([]byte, tt.rate); len(ended) == 0; {
						time.Sleep(time.Second)
						if _, err := c.nc.Read(b); err != nil {
							break
						}
					}
				}
				if err := <-ended; (err == nil) != tt.whole {
					t.Errorf("the handler's write: %v", err)
				}
				if !tt.whole {
					c.took(tt.most)
				}
			})
		})
	}
}
