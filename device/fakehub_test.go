package device_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/mqttwire"
)

const (
	testKey              = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	testConnectionString = "HostName=hub.example;DeviceId=d1;SharedAccessKey=" + testKey
)

// readPacket reads one packet into memory of its own.
func readPacket(in *bufio.Reader) (mqttwire.Header, []byte, error) {
	for want := 2; ; want++ {
		start, err := in.Peek(want)
		if err != nil {
			return mqttwire.Header{}, nil, err
		}
		h, n, err := mqttwire.ParseHeader(start)
		if err != nil {
			return h, nil, err
		}
		if n > 0 {
			in.Discard(n)
			body := make([]byte, h.Length)
			_, err = io.ReadFull(in, body)
			return h, body, err
		}
	}
}

// peer is the hub's end of one connection. A test drives it step by step.
type peer struct {
	t  *testing.T
	nc net.Conn
	in *bufio.Reader
}

func newPeer(t *testing.T, nc net.Conn) *peer {
	return &peer{t: t, nc: nc, in: bufio.NewReader(nc)}
}

// next reads a packet, which must be of that type.
func (p *peer) next(want mqttwire.Type) (mqttwire.Header, []byte) {
	p.t.Helper()
	h, body, err := readPacket(p.in)
	if err != nil {
		p.t.Fatalf("waiting for %v: %v", want, err)
	}
	if h.Type != want {
		p.t.Fatalf("the client sent %v, want %v", h.Type, want)
	}
	return h, body
}

func (p *peer) connect() mqttwire.ConnectPacket {
	p.t.Helper()
	_, body := p.next(mqttwire.Connect)
	packet, err := mqttwire.ParseConnect(body)
	if err != nil {
		p.t.Fatal(err)
	}
	return packet
}

func (p *peer) publish() mqttwire.PublishPacket {
	p.t.Helper()
	h, body := p.next(mqttwire.Publish)
	packet, err := mqttwire.ParsePublish(h.Flags, body)
	if err != nil {
		p.t.Fatal(err)
	}
	return packet
}

func (p *peer) send(b []byte) {
	p.t.Helper()
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) connack(code byte) { p.t.Helper(); p.send(mqttwire.AppendConnack(nil, false, code)) }
func (p *peer) puback(id uint16)  { p.t.Helper(); p.send(mqttwire.AppendPuback(nil, id)) }

// login reads CONNECT and accepts it.
func (p *peer) login() mqttwire.ConnectPacket {
	p.t.Helper()
	packet := p.connect()
	p.connack(mqttwire.Accepted)
	return packet
}

// gone fails unless the client has closed the connection.
func (p *peer) gone() {
	p.t.Helper()
	if h, _, err := readPacket(p.in); err == nil {
		p.t.Fatalf("the client sent %v, want the end of the connection", h.Type)
	}
	p.nc.Close()
}

// pipes is a network of one client: each dial makes a pipe, whose other end the test gets from accept.
type pipes struct {
	t     *testing.T
	peers chan *peer
	cs    string // of the client

	mu    sync.Mutex
	fail  error // when set, dialling fails with it
	times []time.Time
}

func newPipes(t *testing.T) *pipes {
	return &pipes{t: t, peers: make(chan *peer, 16), cs: testConnectionString}
}

func (n *pipes) dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.times = append(n.times, time.Now())
	if n.fail != nil {
		return nil, n.fail
	}
	ours, theirs := net.Pipe()
	n.peers <- newPeer(n.t, theirs)
	return ours, nil
}

func (n *pipes) refuse(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fail = err
}

func (n *pipes) dials() []time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]time.Time(nil), n.times...)
}

// client makes a client on this network.
func (n *pipes) client(opts device.Options) *device.Client {
	n.t.Helper()
	opts.Dial = n.dial
	client, err := device.NewFromConnectionString(n.cs, device.ForPipe(opts))
	if err != nil {
		n.t.Fatal(err)
	}
	return client
}

// connected makes a client, connects it, and returns the hub's end too.
func (n *pipes) connected(opts device.Options) (*device.Client, *peer) {
	n.t.Helper()
	client := n.client(opts)
	result := make(chan error, 1)
	go func() { result <- client.Connect(n.t.Context()) }()
	p := <-n.peers
	p.login()
	if err := <-result; err != nil {
		n.t.Fatal(err)
	}
	return client, p
}

// shut closes the client and sees it leave. It runs inside a synctest bubble.
func (n *pipes) shut(client *device.Client, p *peer) {
	n.t.Helper()
	synctest.Wait() // a client that has not read CONNACK yet would leave without DISCONNECT
	result := make(chan error, 1)
	go func() { result <- client.Close(n.t.Context()) }()
	p.next(mqttwire.Disconnect)
	p.gone()
	if err := <-result; err != nil {
		n.t.Errorf("Close: %v", err)
	}
}

// fakeHub is a hub over TLS on loopback that accepts everybody, confirms everything and issues certificates. The desired interval is 5.
type fakeHub struct {
	listener net.Listener
	issuer   *authority
	roots    *x509.CertPool
	wg       sync.WaitGroup

	mu       sync.Mutex
	closing  bool
	conns    map[net.Conn]bool
	messages []mqttwire.PublishPacket
}

func startFakeHub() (*fakeHub, error) {
	certificate, roots, err := selfSigned()
	if err != nil {
		return nil, err
	}
	issuer, err := newAuthority()
	if err != nil {
		return nil, err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequestClientCert})
	if err != nil {
		return nil, err
	}
	h := &fakeHub{listener: l, issuer: issuer, roots: roots, conns: map[net.Conn]bool{}}
	h.wg.Go(h.accept)
	return h, nil
}

// selfSigned makes a certificate for 127.0.0.1 that is its own authority.
func selfSigned() (tls.Certificate, *x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots, nil
}

func (h *fakeHub) connectionString() string {
	return "HostName=" + h.listener.Addr().String() + ";DeviceId=d1;SharedAccessKey=" + testKey
}

// certificateString is that of a device that logs in by certificate.
func (h *fakeHub) certificateString() string {
	return "HostName=" + h.listener.Addr().String() + ";DeviceId=d1;x509=true"
}

func (h *fakeHub) accept() {
	for {
		nc, err := h.listener.Accept()
		if err != nil {
			return
		}
		h.mu.Lock()
		ok := !h.closing
		if ok {
			h.conns[nc] = true
			h.wg.Go(func() { h.serve(nc) })
		}
		h.mu.Unlock()
		if !ok {
			nc.Close()
		}
	}
}

func (h *fakeHub) serve(nc net.Conn) {
	defer nc.Close()
	in := bufio.NewReader(nc)
	for {
		header, body, err := readPacket(in)
		if err != nil {
			return
		}
		var answer []byte
		switch header.Type {
		case mqttwire.Connect:
			answer = mqttwire.AppendConnack(nil, false, mqttwire.Accepted)
		case mqttwire.Publish:
			packet, err := mqttwire.ParsePublish(header.Flags, body)
			if err != nil {
				return
			}
			if answer = answerTwin(&packet); answer != nil {
				break
			}
			if answer = h.issue(&packet); answer != nil {
				break
			}
			h.mu.Lock()
			h.messages = append(h.messages, packet)
			h.mu.Unlock()
			answer = mqttwire.AppendPuback(nil, packet.ID)
		case mqttwire.Subscribe:
			packet, err := mqttwire.ParseSubscribe(body)
			if err != nil {
				return
			}
			answer = mqttwire.AppendSuback(nil, packet.ID, make([]byte, len(packet.Filters))...)
		case mqttwire.Pingreq:
			answer = mqttwire.AppendPingresp(nil)
		default:
			return
		}
		if _, err := nc.Write(answer); err != nil {
			return
		}
	}
}

// answerTwin answers a request about the twin; nil for what is none.
func answerTwin(p *mqttwire.PublishPacket) []byte {
	path, id, _ := strings.Cut(string(p.Topic), "/?$rid=")
	answer := &mqttwire.PublishPacket{}
	switch path {
	case "$iothub/twin/GET":
		answer.Topic = []byte("$iothub/twin/res/200/?$rid=" + id)
		answer.Payload = []byte(`{"desired":{"interval":5,"$version":3},"reported":{"firmware":"1.1","$version":7}}`)
	case "$iothub/twin/PATCH/properties/reported":
		answer.Topic = []byte("$iothub/twin/res/204/?$rid=" + id + "&$version=8")
	default:
		return nil
	}
	packet, err := mqttwire.AppendPublish(nil, answer)
	if err != nil {
		panic(err) // the id was too long
	}
	return packet
}

// issue answers a request for a certificate, first that it is taken; nil for what is none.
func (h *fakeHub) issue(p *mqttwire.PublishPacket) []byte {
	id, ok := strings.CutPrefix(string(p.Topic), credentialsAsk)
	if !ok {
		return nil
	}
	text, err := h.issuer.issue(p.Payload)
	if err != nil {
		return nil
	}
	var both []byte
	for _, a := range []mqttwire.PublishPacket{
		{Topic: []byte(credentialsAnswer + "202/?$rid=" + id), Payload: []byte(taken)},
		{Topic: []byte(credentialsAnswer + "200/?$rid=" + id), Payload: []byte(text)},
	} {
		if both, err = mqttwire.AppendPublish(both, &a); err != nil {
			return nil
		}
	}
	return both
}

// dropAll closes every connection.
func (h *fakeHub) dropAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for nc := range h.conns {
		nc.Close()
		delete(h.conns, nc)
	}
}

// bodies returns the set of bodies that have arrived.
func (h *fakeHub) bodies() map[string]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	set := map[string]bool{}
	for _, m := range h.messages {
		set[string(bytes.Clone(m.Payload))] = true
	}
	return set
}

func (h *fakeHub) stop() {
	h.mu.Lock()
	h.closing = true
	h.mu.Unlock()
	h.listener.Close()
	h.dropAll()
	h.wg.Wait()
}
