package bench

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"time"

	"github.com/hubward/hubward/internal/mqttwire"
)

// ServeFloor answers CONNECT, PUBLISH and PINGREQ over TLS on l, and keeps nothing, until ctx ends: the floor of what a
// Go server spends per message on sockets, decryption and parsing; and per connection, on a handshake. It believes every client.
// Without a certificate it makes one that nobody trusts.
func ServeFloor(ctx context.Context, l net.Listener, certificate *tls.Certificate) error {
	certificate, err := orThrowAway(certificate)
	if err != nil {
		return err
	}
	l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*certificate}})
	var conns sync.WaitGroup
	defer conns.Wait()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		nc, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		conns.Go(func() {
			stop := context.AfterFunc(ctx, func() { nc.Close() })
			defer stop()
			defer nc.Close()
			answerFloor(nc)
		})
	}
}

// orThrowAway returns certificate, or one that nobody trusts when there is none.
func orThrowAway(certificate *tls.Certificate) (*tls.Certificate, error) {
	if certificate != nil {
		return certificate, nil
	}
	made, err := throwAwayCertificate()
	return &made, err
}

// throwAwayCertificate makes a certificate that nobody will trust.
func throwAwayCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// answerFloor answers one client until it goes. Answers leave when nothing more is there to read.
func answerFloor(nc net.Conn) error {
	in := bufio.NewReaderSize(nc, 4096)
	packet := make([]byte, 4096)
	var out []byte
	for {
		h, body, err := readFloor(in, &packet)
		if err != nil {
			return err
		}
		switch h.Type {
		case mqttwire.Connect:
			out = mqttwire.AppendConnack(out, false, mqttwire.Accepted)
		case mqttwire.Publish:
			p, err := mqttwire.ParsePublish(h.Flags, body)
			if err != nil {
				return err
			}
			if p.QoS == 1 {
				out = mqttwire.AppendPuback(out, p.ID)
			}
		case mqttwire.Pingreq:
			out = mqttwire.AppendPingresp(out)
		case mqttwire.Disconnect:
			return nil
		}
		if in.Buffered() == 0 && len(out) > 0 {
			if _, err := nc.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
}

// maxFloorPacket bounds what a client can make the floor server keep.
const maxFloorPacket = 1 << 20

func readFloor(in *bufio.Reader, packet *[]byte) (mqttwire.Header, []byte, error) {
	var head [5]byte
	for n := 1; ; n++ {
		b, err := in.ReadByte()
		if err != nil {
			return mqttwire.Header{}, nil, err
		}
		head[n-1] = b
		h, used, err := mqttwire.ParseHeader(head[:n])
		if err != nil {
			return h, nil, err
		}
		if used == 0 {
			continue
		}
		if h.Length > maxFloorPacket {
			return h, nil, errors.New("bench: the packet is too large")
		}
		if h.Length > len(*packet) {
			*packet = make([]byte, h.Length)
		}
		_, err = io.ReadFull(in, (*packet)[:h.Length])
		return h, (*packet)[:h.Length], err
	}
}
