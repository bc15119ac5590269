package listen

import (
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"
)

// The name is the one that crypto/tls reads, where that reads one.
func FuzzServerName(f *testing.F) {
	for _, config := range []*tls.Config{
		{ServerName: "one.example"}, {ServerName: "a.b", MaxVersion: tls.VersionTLS12}, {ServerName: "127.0.0.1"},
		{ServerName: "x", NextProtos: []string{"http/1.1"}}, {InsecureSkipVerify: true},
	} {
		f.Add(firstRecord(f, config))
	}
	f.Add([]byte{22, 3, 1, 0, 4, 1, 0, 0, 0})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, record []byte) {
		got := serverName(record)
		if len(record) < recordHeader || record[0] != recordHandshake || len(record) != recordHeader+int(record[3])<<8+int(record[4]) {
			return
		}
		if want, ok := serverNameByTLS(record); ok && got != want {
			t.Errorf("%q, crypto/tls reads %q", got, want)
		}
	})
}

// firstRecord is what a client sends first.
func firstRecord(f *testing.F, config *tls.Config) []byte {
	near, far := net.Pipe()
	defer far.Close()
	config.InsecureSkipVerify = true
	go tls.Client(near, config).Handshake()
	record, err := readHello(far, new([recordHeader]byte))
	if err != nil {
		f.Fatal(err)
	}
	return record
}

var errSeen = errors.New("seen")

// serverNameByTLS asks crypto/tls; false when it does not come to read a name.
func serverNameByTLS(record []byte) (name string, ok bool) {
	config := &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		name, ok = hello.ServerName, true
		return nil, errSeen
	}}
	tls.Server(&recorded{b: record}, config).Handshake()
	return name, ok
}

// recorded is a connection on which nothing comes but bytes that are there.
type recorded struct{ b []byte }

func (r *recorded) Read(b []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, net.ErrClosed
	}
	n := copy(b, r.b)
	r.b = r.b[n:]
	return n, nil
}

func (r *recorded) Write(b []byte) (int, error)      { return len(b), nil }
func (r *recorded) Close() error                     { return nil }
func (r *recorded) LocalAddr() net.Addr              { return nil }
func (r *recorded) RemoteAddr() net.Addr             { return nil }
func (r *recorded) SetDeadline(time.Time) error      { return nil }
func (r *recorded) SetReadDeadline(time.Time) error  { return nil }
func (r *recorded) SetWriteDeadline(time.Time) error { return nil }
