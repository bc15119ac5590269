//go:build unix

package listen_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/front/listen"
)

func TestHasLeft(t *testing.T) {
	client, server := tcpPair(t)
	if listen.HasLeft(server) {
		t.Error("a client that is there and has sent nothing has left")
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	client.(*net.TCPConn).CloseWrite()
	server.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(server, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(make([]byte, 1)); err != io.EOF { // waits until the end is there
		t.Fatal(err)
	}
	if !listen.HasLeft(server) {
		t.Error("a client that has left is there")
	}
	server.Close()
	if !listen.HasLeft(server) {
		t.Error("a connection that is closed is there")
	}
}
