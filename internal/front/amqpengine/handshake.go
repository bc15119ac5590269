package amqpengine

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/hubward/hubward/internal/amqpwire"
)

// login runs the connection up to the point where frames of AMQP are read: TLS, protocol headers, log-in. The SDKs for
// Node and .NET leave SASL out, and so does who has a certificate; the others begin with it.
//
// Source: AMQP 1.0 part 2 §2.2, part 5 §5.3.2.
func (c *Conn) login() error {
	if tc, ok := c.nc.(*tls.Conn); ok {
		if err := tc.HandshakeContext(c.ctx); err != nil {
			return err
		}
	}
	c.peer = c.srv.handler.Connect(c)
	if c.peer == nil {
		return errors.New("amqpengine: the handler refused the connection")
	}
	loggedIn := false
	for {
		header, err := c.readHeader()
		if err != nil {
			return err
		}
		switch {
		case string(header) == amqpwire.HeaderAMQP:
			c.sayHeader(amqpwire.HeaderAMQP)
			c.in.amqp = true
			c.in.before = c.rest
			return nil
		case string(header) == amqpwire.HeaderSASL && !loggedIn:
			if err := c.sasl(); err != nil {
				return err
			}
			loggedIn = true
		case loggedIn:
			c.sayHeader(amqpwire.HeaderAMQP)
			return fmt.Errorf("%w: the header behind the log-in is %x", errRefused, header)
		default:
			c.sayHeader(amqpwire.HeaderSASL)
			return fmt.Errorf("%w: unknown protocol header %x", errRefused, header)
		}
	}
}

func (c *Conn) readHeader() ([]byte, error) {
	header, err := c.in.header()
	if t := c.tracer.Load(); t != nil && err == nil {
		t.incoming(header)
	}
	return header, err
}

func (c *Conn) sayHeader(header string) {
	c.say(func(dst []byte) []byte { return append(dst, header...) })
}

// saySASL sends a frame of the log-in.
func (c *Conn) saySASL(p performative) {
	c.say(func(dst []byte) []byte {
		start := len(dst)
		dst = amqpwire.BeginFrame(dst, amqpwire.FrameSASL, 0)
		return amqpwire.EndFrame(p.Append(dst), start)
	})
}

// sasl answers the header of the log-in and logs the peer in. A log-in that fails is told, and then the connection is
// closed.
func (c *Conn) sasl() error {
	c.sayHeader(amqpwire.HeaderSASL)
	offer := &amqpwire.SASLMechanisms{}
	for _, m := range c.srv.o.Mechanisms {
		offer.Mechanisms = append(offer.Mechanisms, amqpwire.Symbol(m))
	}
	c.saySASL(offer)
	init, err := c.readInit()
	if err != nil {
		return err
	}
	code := amqpwire.SASLAuth
	if mechanism := string(init.Mechanism); c.srv.offers(mechanism) {
		code = c.peer.Login(Login{Mechanism: mechanism, Response: init.InitialResponse, Hostname: init.Hostname})
	}
	c.saySASL(&amqpwire.SASLOutcome{Code: code})
	if code != amqpwire.SASLOK {
		return fmt.Errorf("%w: log-in failed with code %d", errRefused, code)
	}
	return nil
}

func (c *Conn) readInit() (*amqpwire.SASLInit, error) {
	h, frame, err := c.in.next(maxLoginFrame)
	if err != nil {
		return nil, err
	}
	if t := c.tracer.Load(); t != nil {
		t.incoming(frame)
	}
	if h.Type != amqpwire.FrameSASL {
		return nil, framingError("a frame of the log-in was expected")
	}
	r := amqpwire.NewReader(frame[h.Body:])
	if code := r.Descriptor(); r.Err() != nil || code != amqpwire.CodeSASLInit {
		return nil, framingError("sasl-init was expected")
	}
	init := &amqpwire.SASLInit{}
	if err := init.Decode(r); err != nil {
		return nil, decodeError("sasl-init", err)
	}
	return init, nil
}
