package amqpengine_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/front/amqpengine/testnode"
)

// program is a Handler and a Peer made of functions; those that are nil agree.
type program struct {
	connect func(c *amqpengine.Conn)
	login   func(l amqpengine.Login) amqpwire.SASLCode
	open    func(o *amqpwire.Open) *amqpwire.Error
	attach  func(l *amqpengine.Link)
	closed  func(err error)
}

func (p *program) Connect(c *amqpengine.Conn) amqpengine.Peer {
	if p.connect != nil {
		p.connect(c)
	}
	return p
}

func (p *program) Login(l amqpengine.Login) amqpwire.SASLCode {
	if p.login == nil {
		return amqpwire.SASLOK
	}
	return p.login(l)
}

func (p *program) Open(o *amqpwire.Open) *amqpwire.Error {
	if p.open == nil {
		return nil
	}
	return p.open(o)
}

func (p *program) Attach(l *amqpengine.Link) { p.attach(l) }

func (p *program) Closed(err error) {
	if p.closed != nil {
		p.closed(err)
	}
}

// raw is a peer that says exactly what a test wants.
type raw struct {
	t  testing.TB
	nc net.Conn
}

// frame is one frame that a raw peer has read.
type frame struct {
	channel uint16
	code    byte
	body    []byte // behind the descriptor
	whole   []byte
}

// talk runs f as the peer of a server, in a bubble of fake time. The bubble checks that everything ends with the
// connection.
func talk(t *testing.T, h amqpengine.Handler, o amqpengine.Options, f func(p *raw)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		talkTo(t, amqpengine.New(h, o), f)
	})
}

// talkToNode is talk with a test node.
func talkToNode(t *testing.T, f func(p *raw)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		talkTo(t, testnode.New(amqpengine.Options{}).Server, f)
	})
}

func talkTo(t *testing.T, s *amqpengine.Server, f func(p *raw)) {
	ours, theirs := net.Pipe()
	served := make(chan struct{})
	go func() {
		s.ServeConn(theirs)
		close(served)
	}()
	defer func() {
		ours.Close()
		<-served
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	f(&raw{t, ours})
}

func (p *raw) write(b ...[]byte) {
	p.t.Helper()
	if _, err := p.nc.Write(bytes.Join(b, nil)); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

type body interface{ Append([]byte) []byte }

// encode encodes a frame.
func encode(channel uint16, p body, payload ...byte) []byte {
	b := amqpwire.BeginFrame(nil, amqpwire.FrameAMQP, channel)
	return amqpwire.EndFrame(append(p.Append(b), payload...), 0)
}

func (p *raw) send(channel uint16, b body, payload ...byte) {
	p.t.Helper()
	p.write(encode(channel, b, payload...))
}

func (p *raw) read(n int) []byte {
	p.t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(p.nc, b); err != nil {
		p.t.Fatalf("read: %v", err)
	}
	return b
}

// frame reads a frame.
func (p *raw) frame() frame {
	p.t.Helper()
	head := p.read(amqpwire.FrameHeaderSize)
	h, ok, err := amqpwire.ParseFrameHeader(head)
	if !ok || err != nil {
		p.t.Fatalf("frame header %x: %v", head, err)
	}
	whole := append(head, p.read(int(h.Size)-len(head))...)
	f := frame{channel: h.Channel, whole: whole}
	if len(whole) > h.Body {
		r := amqpwire.NewReader(whole[h.Body:])
		f.code = r.Descriptor()
		f.body = r.Rest()
	}
	return f
}

// decoder is a performative that can be read.
type decoder[T any] interface {
	*T
	Decode(r *amqpwire.Reader) error
}

// expect reads a frame that must have this code and decodes it. It returns the payload as well.
func expect[T any, P decoder[T]](p *raw, channel uint16, code byte) (P, []byte) {
	p.t.Helper()
	f := p.frame()
	if f.code != code || f.channel != channel {
		p.t.Fatalf("%s, want code 0x%02x on channel %d", amqpwire.AppendTrace(nil, true, f.whole), code, channel)
	}
	v := P(new(T))
	r := amqpwire.NewReader(f.body)
	if err := v.Decode(r); err != nil {
		p.t.Fatal(err)
	}
	return v, r.Rest()
}

func (p *raw) expectHeader(want string) {
	p.t.Helper()
	if got := string(p.read(amqpwire.HeaderSize)); got != want {
		p.t.Fatalf("header %x, want %x", got, want)
	}
}

// expectEnd expects that the server closes.
func (p *raw) expectEnd() {
	p.t.Helper()
	if rest, err := io.ReadAll(p.nc); err != nil || len(rest) > 0 {
		p.t.Fatalf("%x, %v, want the end", rest, err)
	}
}

// expectSilence expects that nothing comes for some time.
func (p *raw) expectSilence(d time.Duration) {
	p.t.Helper()
	p.nc.SetReadDeadline(time.Now().Add(d))
	defer p.nc.SetReadDeadline(time.Time{})
	b := make([]byte, 1000)
	if n, err := p.nc.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("%s %v, want silence", hex.EncodeToString(b[:n]), err)
	}
}

// open exchanges headers and opens.
func (p *raw) open(o amqpwire.Open) *amqpwire.Open {
	p.t.Helper()
	if o.MaxFrameSize == 0 {
		o.MaxFrameSize = 65536
	}
	o.ContainerID, o.ChannelMax = "raw", 65535
	p.write([]byte(amqpwire.HeaderAMQP), encode(0, &o))
	p.expectHeader(amqpwire.HeaderAMQP)
	answer, _ := expect[amqpwire.Open](p, 0, amqpwire.CodeOpen)
	return answer
}

// begin opens the connection, if it is channel 0, and a session.
func (p *raw) begin(channel uint16, window uint32) *amqpwire.Begin {
	p.t.Helper()
	if channel == 0 {
		p.open(amqpwire.Open{})
	}
	p.send(channel, &amqpwire.Begin{NextOutgoingID: 7, IncomingWindow: window, OutgoingWindow: 2048, HandleMax: 255})
	b, _ := expect[amqpwire.Begin](p, channel, amqpwire.CodeBegin)
	return b
}

// sending is the attach of a link on which the raw peer sends.
func sending(handle uint32, address string) *amqpwire.Attach {
	return &amqpwire.Attach{
		Name: "s-" + address, Handle: handle, Role: amqpwire.RoleSender, SenderSettleMode: amqpwire.SenderMixed,
		ReceiverSettleMode: amqpwire.ReceiverFirst, Source: &amqpwire.Source{}, Target: &amqpwire.Target{Address: address},
		InitialDeliveryCount: amqpwire.Some(0),
	}
}

// receiving is the attach of a link on which the raw peer receives.
func receiving(handle uint32, address string) *amqpwire.Attach {
	return &amqpwire.Attach{
		Name: "r-" + address, Handle: handle, Role: amqpwire.RoleReceiver, SenderSettleMode: amqpwire.SenderMixed,
		ReceiverSettleMode: amqpwire.ReceiverFirst, Source: &amqpwire.Source{Address: address}, Target: &amqpwire.Target{},
	}
}

// attach attaches a link on channel 0 and expects the answer, and the first credit if the raw peer sends.
func (p *raw) attach(a *amqpwire.Attach) *amqpwire.Attach {
	p.t.Helper()
	p.send(0, a)
	answer, _ := expect[amqpwire.Attach](p, 0, amqpwire.CodeAttach)
	if a.Role == amqpwire.RoleSender {
		expect[amqpwire.Flow](p, 0, amqpwire.CodeFlow)
	}
	return answer
}

// credit gives credit on a link of channel 0.
func (p *raw) credit(handle, deliveryCount, credit uint32, f amqpwire.Flow) {
	p.t.Helper()
	f.Handle, f.DeliveryCount, f.LinkCredit = amqpwire.Some(handle), amqpwire.Some(deliveryCount), amqpwire.Some(credit)
	if !f.NextIncomingID.Set {
		f.NextIncomingID = amqpwire.Some(1)
	}
	if f.IncomingWindow == 0 {
		f.IncomingWindow = 2048
	}
	f.NextOutgoingID, f.OutgoingWindow = 7, 2048
	p.send(0, &f)
}

// transfer is the first frame of a delivery.
func transfer(handle, id uint32) *amqpwire.Transfer {
	return &amqpwire.Transfer{
		Handle: handle, DeliveryID: amqpwire.Some(id), DeliveryTag: []byte{byte(id)}, MessageFormat: amqpwire.Some(0),
		ReceiverSettleMode: amqpwire.ReceiverModeUnset,
	}
}
