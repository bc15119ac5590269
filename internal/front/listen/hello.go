package listen

import (
	"errors"
	"net"
)

// Of a TLS record, RFC 8446 5.1.
const (
	recordHeader    = 5
	recordHandshake = 22
	maxRecord       = 1 << 14
)

// firstRead is the room for a ClientHello before its first bytes are there; more is made as they come, not as they are announced.
const firstRead = 512

// errNoHello says that what a client sent first is no handshake. crypto/tls finds the words for it.
var errNoHello = errors.New("what came first is no TLS handshake")

// readHello reads the first record of a connection, which holds the ClientHello, or its beginning. With an error it returns
// what has come. While nothing comes, nothing but header is held for it.
func readHello(nc net.Conn, header *[recordHeader]byte) ([]byte, error) {
	n, err := readFull(nc, header[:])
	if err != nil {
		return header[:n:n], err
	}
	length := int(header[3])<<8 | int(header[4])
	if header[0] != recordHandshake || length > maxRecord {
		return header[:], errNoHello
	}
	record := append(make([]byte, 0, min(recordHeader+length, firstRead)), header[:]...)
	for len(record) < recordHeader+length {
		if len(record) == cap(record) {
			larger := make([]byte, len(record), min(2*cap(record), recordHeader+length))
			copy(larger, record)
			record = larger
		}
		n, err := nc.Read(record[len(record):cap(record)])
		record = record[:len(record)+n]
		if n == 0 && err != nil {
			return record, err
		}
	}
	return record, nil
}

// readFull is io.ReadFull that tells how much has come, whatever the error.
func readFull(nc net.Conn, b []byte) (n int, err error) {
	for n < len(b) {
		m, err := nc.Read(b[n:])
		n += m
		if m == 0 && err != nil {
			return n, err
		}
	}
	return n, nil
}

// serverName returns the name that a ClientHello asks for (RFC 6066 3); empty when there is none, or it is not in the first
// record. It says whose turn it is, and no more: what is wrong with a ClientHello, crypto/tls finds.
func serverName(record []byte) string {
	r := reader{b: record}
	r.skip(recordHeader)
	if r.uint(1) != 1 { // client_hello, RFC 8446 4.1.2
		return ""
	}
	r.skip(3 + 2 + 32)      // length, legacy_version, random
	r.skip(r.uint(1))       // legacy_session_id
	r.skip(r.uint(2))       // cipher_suites
	r.skip(r.uint(1))       // legacy_compression_methods
	r.b = r.take(r.uint(2)) // extensions
	for len(r.b) > 0 {
		kind := r.uint(2)
		if body := r.take(r.uint(2)); kind == 0 {
			return hostName(body)
		}
	}
	return ""
}

// hostName returns the host name of a server_name extension.
func hostName(list []byte) string {
	r := reader{b: list}
	r.b = r.take(r.uint(2))
	for len(r.b) > 0 {
		kind := r.uint(1)
		if name := r.take(r.uint(2)); kind == 0 {
			return string(name)
		}
	}
	return ""
}

// reader reads numbers and vectors. One that is longer than what is left is the end of all.
type reader struct{ b []byte }

func (r *reader) uint(bytes int) (n int) {
	for _, b := range r.take(bytes) {
		n = n<<8 | int(b)
	}
	return n
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.b = nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) skip(n int) { r.take(n) }
