package restfront_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/cluster/localcluster"
	"github.com/hubward/hubward/internal/eventlog/memlog"
	"github.com/hubward/hubward/internal/front/httpserver"
	"github.com/hubward/hubward/internal/front/restfront"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/store/sqlstore"
	"github.com/hubward/hubward/sas"
)

// fullLog never has room.
type fullLog struct{ hub.EventLog }

func (fullLog) Producer(hub.Partition, func(int, error)) hub.Producer { return fullProducer{} }

type fullProducer struct{}

func (fullProducer) Append(ctx context.Context, _ []byte) error {
	<-ctx.Done()
	return ctx.Err()
}

// onePipe is a listener with one connection.
type onePipe struct {
	nc   chan net.Conn
	done chan struct{}
	once sync.Once
}

func (l *onePipe) Accept() (net.Conn, error) {
	select {
	case nc := <-l.nc:
		return nc, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *onePipe) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *onePipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// slowly runs f as a client of a front end whose hub has no room for telemetry, in a bubble of fake time. header begins a POST
// of telemetry with a body of so many bytes.
func slowly(t *testing.T, f func(t *testing.T, nc net.Conn, header func(length int) string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store, err := sqlstore.Open(t.Context(), sqlstore.Options{Path: sqlstore.Memory})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		log := memlog.Open(memlog.Options{})
		defer log.Close()
		h, err := hub.Open(t.Context(), hub.Options{Store: store, Log: fullLog{log}, Cluster: localcluster.New(localcluster.Options{})})
		if err != nil {
			t.Fatal(err)
		}
		c, err := h.CreateHub(t.Context(), access.Process(access.HubRef{}), hub.NewHub{Name: "plant", HostNames: []string{"hub.example"}})
		if err != nil {
			t.Fatal(err)
		}
		d, err := h.PutDevice(t.Context(), access.Process(access.HubRef{Name: c.Name, Created: c.Created}), hubward.Device{DeviceID: "d1"}, "")
		if err != nil {
			t.Fatal(err)
		}
		token, err := sas.Sign("hub.example/devices/d1", string(d.Authentication.SymmetricKey.PrimaryKey), "", time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		server := httpserver.New(restfront.New(h, restfront.Options{}), nil)
		l := &onePipe{nc: make(chan net.Conn), done: make(chan struct{})}
		served := make(chan error, 1)
		go func() { served <- server.Serve(restfront.KeepHeaderNames(server, l)) }()
		near, far := net.Pipe()
		l.nc <- far
		f(t, near, func(length int) string {
			return fmt.Sprintf("POST /devices/d1/messages/events?api-version=2021-04-12 HTTP/1.1\r\nHost: hub.example\r\n"+
				"Authorization: %s\r\nContent-Length: %d\r\n\r\n", token, length)
		})
		near.Close()
		if err := server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// wantAnswer reads an answer that comes after some time.
func wantAnswer(t *testing.T, nc net.Conn, code hubward.Code, after time.Duration) {
	t.Helper()
	began := time.Now()
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatalf("after %v: %v", time.Since(began), err)
	}
	body, err := io.ReadAll(resp.Body)
	if d := time.Since(began); err != nil || resp.StatusCode != code.HTTPStatus() || d < after || d > after+time.Second {
		t.Errorf("after %v: %s %s, %v; want %v after %v", d, resp.Status, body, err, code, after)
	}
	response{resp, string(body)}.wantError(t, code, "")
}

func TestCall_bodyHasToCome(t *testing.T) {
	for _, part := range []string{"", "half"} {
		slowly(t, func(t *testing.T, nc net.Conn, header func(int) string) {
			io.WriteString(nc, header(1000)+part)
			wantAnswer(t, nc, hubward.CodeRequestTimeout, 30*time.Second)
		})
	}
}

// A call does not wait for ever for a log that is stuck; the time in which its body came does not count.
func TestCall_hasAnEnd(t *testing.T) {
	slowly(t, func(t *testing.T, nc net.Conn, header func(int) string) {
		io.WriteString(nc, header(4)+"body")
		wantAnswer(t, nc, hubward.CodeServiceUnavailable, time.Minute)
	})
	slowly(t, func(t *testing.T, nc net.Conn, header func(int) string) {
		io.WriteString(nc, header(200_000))
		for range 100 {
			time.Sleep(time.Second)
			io.WriteString(nc, strings.Repeat("x", 2000))
		}
		wantAnswer(t, nc, hubward.CodeServiceUnavailable, time.Minute)
	})
}
