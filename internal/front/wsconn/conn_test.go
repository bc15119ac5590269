package wsconn_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/hubward/hubward/internal/front/wsconn"
)

func TestConn_isOneStream(t *testing.T) {
	_, web := start(t, wsconn.Table{"mqtt": echo})
	c := upgraded(t, web)
	for _, piece := range []string{"a", "", "b", "cd"} {
		c.frame(0x82, piece)
	}
	c.frame(0x02, "e") // a message in three frames, with a ping between them
	c.frame(0x89, "are you there?")
	c.frame(0x00, "")
	c.frame(0x80, "f")
	var got []byte
	pongs := 0
	for len(got) < 6 || pongs == 0 {
		switch first, payload := c.next(); first {
		case 0x82:
			got = append(got, payload...)
		case 0x8a:
			pongs++
			if string(payload) != "are you there?" {
				t.Errorf("pong %q", payload)
			}
		default:
			t.Fatalf("frame %x %q", first, payload)
		}
	}
	if string(got) != "abcdef" {
		t.Errorf("came back as %q", got)
	}
	c.frame(0x88, "\x03\xe8") // close, 1000
	if first, payload := c.next(); first != 0x88 || string(payload) != "\x03\xe8" {
		t.Errorf("answer to close: %x %x", first, payload)
	}
	if _, err := c.r.ReadByte(); err == nil {
		t.Error("the socket is open")
	}
}

func TestConn_oneByteMessages(t *testing.T) {
	_, web := start(t, wsconn.Table{"mqtt": echo})
	ws := dial(t, web, "mqtt")
	nc := websocket.NetConn(t.Context(), ws, websocket.MessageBinary)
	want := bytes.Repeat([]byte("0123456789"), 100)
	go func() {
		for i := range want {
			nc.Write(want[i : i+1])
		}
	}()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v, %d bytes", err, len(got))
	}
	if err := nc.Close(); err != nil {
		t.Error(err)
	}
}

func TestConn_splitsLongWrites(t *testing.T) {
	const size = 200_000
	_, web := start(t, wsconn.Table{"mqtt": func(nc net.Conn) {
		defer nc.Close()
		nc.Write(nil)
		if n, err := nc.Write(make([]byte, size)); n != size || err != nil {
			t.Errorf("Write: %d, %v", n, err)
		}
	}})
	c := upgraded(t, web)
	for left := size; left > 0; {
		first, payload := c.next()
		if first != 0x82 || len(payload) == 0 || len(payload) > 64<<10 {
			t.Fatalf("frame %x of %d bytes", first, len(payload))
		}
		left -= len(payload)
	}
}

// A message may be longer than anything that is kept of it.
func TestConn_takesLongMessages(t *testing.T) {
	_, web := start(t, wsconn.Table{"mqtt": echo})
	ws := dial(t, web, "mqtt")
	nc := websocket.NetConn(t.Context(), ws, websocket.MessageBinary)
	want := bytes.Repeat([]byte("hubward."), 128<<10)
	go nc.Write(want)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, want) {
		t.Error(err)
	}
	nc.Close()
}

func TestConn_refusesText(t *testing.T) {
	ended := make(chan error, 1)
	_, web := start(t, wsconn.Table{"mqtt": func(nc net.Conn) {
		_, err := io.Copy(io.Discard, nc)
		nc.Close()
		ended <- err
	}})
	ws := dial(t, web, "mqtt")
	if err := ws.Write(t.Context(), websocket.MessageText, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	_, _, err := ws.Read(t.Context())
	if websocket.CloseStatus(err) != websocket.StatusUnsupportedData {
		t.Errorf("client: %v", err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "text") {
		t.Errorf("server: %v", err)
	}
}

func TestConn_peerEnds(t *testing.T) {
	read := make(chan error, 1)
	_, web := start(t, wsconn.Table{"mqtt": func(nc net.Conn) {
		_, err := nc.Read(make([]byte, 10))
		_, again := nc.Read(make([]byte, 10))
		if again != err {
			t.Errorf("Read returned %v, then %v", err, again)
		}
		nc.Close()
		read <- err
	}})
	for _, tt := range []struct {
		name string
		end  func(c *raw)
		eof  bool
	}{
		{"normal closure", func(c *raw) { c.frame(0x88, "\x03\xe8bye") }, true},
		{"going away", func(c *raw) { c.frame(0x88, "\x03\xe9") }, true},
		{"no status", func(c *raw) { c.frame(0x88, "") }, true},
		{"internal error", func(c *raw) { c.frame(0x88, "\x03\xf3") }, false},
		{"unmasked close, as paho", func(c *raw) { c.Write([]byte{0x88, 0}) }, false},
		{"reserved bits", func(c *raw) { c.frame(0xc2, "x") }, false},
		{"continuation of nothing", func(c *raw) { c.frame(0x80, "x") }, false},
		{"ping of 126 bytes", func(c *raw) { c.Write([]byte{0x89, 0xfe, 0, 126, 0, 0, 0, 0}) }, false},
		{"socket closed", func(c *raw) { c.Close() }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := upgraded(t, web)
			tt.end(c)
			err := <-read
			if err == nil || errors.Is(err, io.EOF) != tt.eof {
				t.Errorf("Read: %v", err)
			}
		})
	}
}

// This is how front ends drain: the reader is woken, and what is under way still leaves.
func TestConn_readDeadlineLeavesWriting(t *testing.T) {
	_, web := start(t, wsconn.Table{"mqtt": func(nc net.Conn) {
		defer nc.Close()
		woken := make(chan error, 1)
		go func() {
			_, err := nc.Read(make([]byte, 10))
			woken <- err
		}()
		nc.SetReadDeadline(time.Unix(1, 0))
		if err := <-woken; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read: %v", err)
		}
		if _, err := nc.Write([]byte("the last words")); err != nil {
			t.Errorf("Write: %v", err)
		}
	}})
	ws := dial(t, web, "mqtt")
	if _, got, err := ws.Read(t.Context()); err != nil || string(got) != "the last words" {
		t.Errorf("%q, %v", got, err)
	}
	if _, _, err := ws.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Error(err)
	}
}

// Close wakes a reader, and a writer whose peer does not read.
func TestConn_closeWakesEverybody(t *testing.T) {
	errs := make(chan error, 2)
	_, web := start(t, wsconn.Table{"mqtt": func(nc net.Conn) {
		go func() {
			_, err := nc.Read(make([]byte, 10))
			errs <- err
		}()
		go func() {
			var err error
			for err == nil {
				_, err = nc.Write(make([]byte, 64<<10))
			}
			errs <- err
		}()
		nc.(*wsconn.Conn).WaitStuck()
		nc.Close()
		if _, err := nc.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after Close: %v", err)
		}
		if err := nc.SetReadDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("SetReadDeadline after Close: %v", err)
		}
		nc.Close()
	}})
	c := upgraded(t, web)
	for range 2 {
		if err := <-errs; err == nil {
			t.Error("no error")
		}
	}
	c.Close()
}

func TestConn_tellsOfTheSocket(t *testing.T) {
	type facts struct {
		remote, local string
		tls           tls.ConnectionState
	}
	seen := make(chan facts, 1)
	_, web := start(t, wsconn.Table{"mqtt": func(nc net.Conn) {
		state := nc.(interface{ ConnectionState() tls.ConnectionState }).ConnectionState()
		seen <- facts{nc.RemoteAddr().String(), nc.LocalAddr().String(), state}
		nc.Close()
	}})
	c := upgraded(t, web)
	got := <-seen
	if got.remote != c.LocalAddr().String() || got.local != c.RemoteAddr().String() || !got.tls.HandshakeComplete {
		t.Errorf("%+v", got)
	}
	c.next()
}
