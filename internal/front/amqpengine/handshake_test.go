package amqpengine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
)

func TestHeader_answeredInKind(t *testing.T) {
	rows := map[string]struct{ header, answer string }{
		"TLS":     {amqpwire.HeaderTLS, amqpwire.HeaderSASL},
		"version": {"AMQP\x00\x00\x09\x01", amqpwire.HeaderSASL},
		"HTTP":    {"GET / HT", amqpwire.HeaderSASL},
	}
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			talk(t, &program{}, amqpengine.Options{}, func(p *raw) {
				p.write([]byte(r.header))
				p.expectHeader(r.answer)
				p.expectEnd()
			})
		})
	}
}

// saslFrame encodes a frame of the log-in.
func saslFrame(b body) []byte {
	return amqpwire.EndFrame(b.Append(amqpwire.BeginFrame(nil, amqpwire.FrameSASL, 0)), 0)
}

func TestSASL(t *testing.T) {
	var got amqpengine.Login
	h := &program{login: func(l amqpengine.Login) amqpwire.SASLCode {
		got = l
		got.Response = []byte(string(l.Response))
		if string(l.Response) == "wrong" {
			return amqpwire.SASLAuth
		}
		return amqpwire.SASLOK
	}}
	rows := map[string]struct {
		init amqpwire.SASLInit
		code amqpwire.SASLCode
	}{
		"MSSBCBS":   {amqpwire.SASLInit{Mechanism: "MSSBCBS"}, amqpwire.SASLOK},
		"PLAIN":     {amqpwire.SASLInit{Mechanism: "PLAIN", InitialResponse: []byte("right"), Hostname: "h"}, amqpwire.SASLOK},
		"ANONYMOUS": {amqpwire.SASLInit{Mechanism: "ANONYMOUS", InitialResponse: []byte{}}, amqpwire.SASLOK},
		"EXTERNAL":  {amqpwire.SASLInit{Mechanism: "EXTERNAL"}, amqpwire.SASLOK},
		"wrong":     {amqpwire.SASLInit{Mechanism: "PLAIN", InitialResponse: []byte("wrong")}, amqpwire.SASLAuth},
		"unknown":   {amqpwire.SASLInit{Mechanism: "GSSAPI"}, amqpwire.SASLAuth},
	}
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			talk(t, h, amqpengine.Options{}, func(p *raw) {
				p.write([]byte(amqpwire.HeaderSASL))
				p.expectHeader(amqpwire.HeaderSASL)
				offer, _ := expect[amqpwire.SASLMechanisms](p, 0, amqpwire.CodeSASLMechanisms)
				if len(offer.Mechanisms) != 4 || offer.Mechanisms[0] != "MSSBCBS" {
					t.Errorf("offer: %v", offer.Mechanisms)
				}
				p.write(saslFrame(&r.init))
				outcome, _ := expect[amqpwire.SASLOutcome](p, 0, amqpwire.CodeSASLOutcome)
				if outcome.Code != r.code {
					t.Errorf("code %d, want %d", outcome.Code, r.code)
				}
				if r.code != amqpwire.SASLOK {
					p.expectEnd()
					return
				}
				if got.Mechanism != name || string(got.Response) != string(r.init.InitialResponse) || got.Hostname != r.init.Hostname {
					t.Errorf("%+v", got)
				}
				p.open(amqpwire.Open{})
			})
		})
	}
}

func TestSASL_malformed(t *testing.T) {
	rows := map[string][]byte{
		"a frame of AMQP":       encode(0, &amqpwire.Open{}),
		"another performative":  saslFrame(&amqpwire.SASLOutcome{}),
		"no list":               []byte("\x00\x00\x00\x0c\x02\x01\x00\x00\x00\x53\x41\x40"),
		"larger than any token": saslFrame(&amqpwire.SASLInit{Mechanism: "PLAIN", InitialResponse: make([]byte, 9000)})[:100],
	}
	for name, frame := range rows {
		t.Run(name, func(t *testing.T) {
			talk(t, &program{}, amqpengine.Options{}, func(p *raw) {
				p.write([]byte(amqpwire.HeaderSASL))
				p.expectHeader(amqpwire.HeaderSASL)
				expect[amqpwire.SASLMechanisms](p, 0, amqpwire.CodeSASLMechanisms)
				p.write(frame)
				p.expectEnd()
			})
		})
	}
}

func TestSASL_pipelined(t *testing.T) {
	talkToNode(t, func(p *raw) {
		p.write([]byte(amqpwire.HeaderSASL), saslFrame(&amqpwire.SASLInit{Mechanism: "ANONYMOUS"}),
			[]byte(amqpwire.HeaderAMQP), encode(0, &amqpwire.Open{MaxFrameSize: 512, ContainerID: "c"}),
			encode(1, &amqpwire.Begin{IncomingWindow: 1}), encode(1, sending(3, "queue/a")))
		p.expectHeader(amqpwire.HeaderSASL)
		expect[amqpwire.SASLMechanisms](p, 0, amqpwire.CodeSASLMechanisms)
		expect[amqpwire.SASLOutcome](p, 0, amqpwire.CodeSASLOutcome)
		p.expectHeader(amqpwire.HeaderAMQP)
		expect[amqpwire.Open](p, 0, amqpwire.CodeOpen)
		b, _ := expect[amqpwire.Begin](p, 1, amqpwire.CodeBegin)
		if b.RemoteChannel != amqpwire.Some(1) || b.HandleMax == 0 {
			t.Errorf("%+v", b)
		}
		expect[amqpwire.Attach](p, 1, amqpwire.CodeAttach)
		expect[amqpwire.Flow](p, 1, amqpwire.CodeFlow)
	})
}

func TestOpen(t *testing.T) {
	talk(t, &program{}, amqpengine.Options{ContainerID: "gateway"}, func(p *raw) {
		o := p.open(amqpwire.Open{IdleTimeout: time.Minute})
		if o.ContainerID != "gateway" || o.MaxFrameSize != 65536 || o.ChannelMax != 8191 || o.IdleTimeout != 240*time.Second {
			t.Errorf("%+v", o)
		}
		p.send(0, &amqpwire.Close{})
		if c, _ := expect[amqpwire.Close](p, 0, amqpwire.CodeClose); c.Error != nil {
			t.Error(c.Error)
		}
		p.expectEnd()
	})
}

func TestOpen_refusedBehindTheAnswer(t *testing.T) {
	var reason error
	h := &program{
		open:   func(*amqpwire.Open) *amqpwire.Error { return &amqpwire.Error{Condition: amqpwire.NotAllowed} },
		closed: func(err error) { reason = err },
	}
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.open(amqpwire.Open{})
		p.expectClose(amqpwire.NotAllowed)
		p.send(0, &amqpwire.Close{})
		p.expectEnd()
	})
	if reason == nil || reason.Error() != string(amqpwire.NotAllowed) {
		t.Errorf("closed with %v", reason)
	}
}

// expectClose expects a close with a condition.
func (p *raw) expectClose(condition amqpwire.Symbol) {
	p.t.Helper()
	c, _ := expect[amqpwire.Close](p, 0, amqpwire.CodeClose)
	if c.Error == nil || c.Error.Condition != condition {
		p.t.Errorf("%v, want %s", c.Error, condition)
	}
}

func TestMalformedFrames_closeTheConnection(t *testing.T) {
	begin := encode(0, &amqpwire.Begin{IncomingWindow: 1})
	rows := map[string]struct {
		frame     string
		condition amqpwire.Symbol
	}{
		"size below the header":    {"\x00\x00\x00\x07\x02\x00\x00\x00", amqpwire.FramingError},
		"body before the header":   {"\x00\x00\x00\x08\x01\x00\x00\x00", amqpwire.FramingError},
		"larger than the maximum":  {"\x00\x01\x00\x01\x02\x00\x00\x00", amqpwire.FramingError},
		"a frame of the log-in":    {string(saslFrame(&amqpwire.SASLInit{})), amqpwire.FramingError},
		"no descriptor":            {"\x00\x00\x00\x09\x02\x00\x00\x00\x40", amqpwire.DecodeError},
		"an unknown descriptor":    {"\x00\x00\x00\x0c\x02\x00\x00\x00\x00\x53\x77\x45", amqpwire.DecodeError},
		"no list":                  {"\x00\x00\x00\x0c\x02\x00\x00\x00\x00\x53\x11\x40", amqpwire.DecodeError},
		"a field of a wrong type":  {"\x00\x00\x00\x0f\x02\x00\x00\x00\x00\x53\x12\xc0\x02\x01\x41", amqpwire.DecodeError},
		"a second open":            {string(encode(0, &amqpwire.Open{MaxFrameSize: 512})), amqpwire.IllegalState},
		"a channel above the max":  {string(encode(8192, &amqpwire.Begin{})), amqpwire.FramingError},
		"a channel without begin":  {string(encode(3, &amqpwire.Flow{})), amqpwire.IllegalState},
		"a second begin":           {string(begin) + string(begin), amqpwire.IllegalState},
		"a handle above the max":   {string(begin) + string(encode(0, sending(1<<20, "a"))), amqpwire.FramingError},
		"a protocol header inside": {amqpwire.HeaderAMQP, amqpwire.FramingError},
	}
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			talkToNode(t, func(p *raw) {
				p.open(amqpwire.Open{})
				p.write([]byte(r.frame))
				if strings.HasPrefix(r.frame, string(begin)) {
					expect[amqpwire.Begin](p, 0, amqpwire.CodeBegin)
				}
				p.expectClose(r.condition)
				p.expectEnd() // though the peer does not answer
			})
		})
	}
}

func TestFirstFrame_mustBeOpen(t *testing.T) {
	rows := map[string]struct {
		frame     []byte
		condition amqpwire.Symbol
	}{
		"begin":                    {encode(0, &amqpwire.Begin{}), amqpwire.IllegalState},
		"close":                    {encode(0, &amqpwire.Close{}), amqpwire.IllegalState},
		"garbage":                  {[]byte("garbage!"), amqpwire.FramingError},
		"max-frame-size too small": {encode(0, &amqpwire.Open{MaxFrameSize: 511}), amqpwire.InvalidField},
	}
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			talk(t, &program{}, amqpengine.Options{}, func(p *raw) {
				p.write([]byte(amqpwire.HeaderAMQP))
				p.expectHeader(amqpwire.HeaderAMQP)
				p.write(r.frame)
				expect[amqpwire.Open](p, 0, amqpwire.CodeOpen)
				p.expectClose(r.condition)
				p.expectEnd()
			})
		})
	}
}
