//go:build unix

package listen

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// hasLeft reports whether the peer of a TCP connection has closed it, as far as it has sent nothing besides. It does not wait.
func hasLeft(nc net.Conn) bool {
	if c, ok := nc.(*limited); ok {
		nc = c.Conn
	}
	socket, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return true
	}
	left := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		left = err == nil && n == 0 || errors.Is(err, unix.ECONNRESET)
	})
	return left || err != nil
}
