package amqpengine_test

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/front/amqpengine/testnode"
)

// FuzzConnection feeds a connection with arbitrary bytes: behind nothing, or behind what opens a connection, a session
// and two links. It must not panic (a panic closes with amqp:internal-error) or hang, and everything must end with it.
func FuzzConnection(f *testing.F) {
	opened := bytes.Join([][]byte{
		[]byte(amqpwire.HeaderAMQP), encode(0, &amqpwire.Open{ContainerID: "c", MaxFrameSize: 512}),
		encode(0, &amqpwire.Begin{IncomingWindow: 10}), encode(0, sending(0, "echo")), encode(0, receiving(1, "echo")),
	}, nil)
	more := transfer(0, 1)
	more.More = true
	for _, frame := range [][]byte{
		encode(0, transfer(0, 1), []byte("payload")...), encode(0, more, []byte("payload")...), encode(0, &amqpwire.Transfer{Aborted: true}),
		encode(0, &amqpwire.Flow{Handle: amqpwire.Some(1), LinkCredit: amqpwire.Some(10), IncomingWindow: 10, Drain: true, Echo: true}),
		encode(0, &amqpwire.Disposition{Role: amqpwire.RoleReceiver, First: 0, Last: amqpwire.Some(1 << 30), State: &amqpwire.Modified{}}),
		encode(0, &amqpwire.Detach{Handle: 1, Error: &amqpwire.Error{Condition: "c"}}), encode(0, &amqpwire.End{}), encode(0, &amqpwire.Close{}),
		encode(1, &amqpwire.Begin{IncomingWindow: 1}), encode(0, sending(2, "queue/a")), encode(0, receiving(3, "queue/a")),
		amqpwire.AppendEmptyFrame(nil),
	} {
		f.Add(true, frame)
	}
	f.Add(false, opened)
	f.Add(false, append([]byte(amqpwire.HeaderSASL), saslFrame(&amqpwire.SASLInit{Mechanism: "PLAIN", InitialResponse: []byte("x")})...))
	f.Fuzz(func(t *testing.T, open bool, data []byte) {
		if bytes.Contains(data, []byte("panic")) {
			return // the node's own
		}
		synctest.Test(t, func(t *testing.T) { feed(t, open, opened, data) })
	})
}

func feed(t *testing.T, open bool, opened, data []byte) {
	n := testnode.New(amqpengine.Options{MaxFrameSize: 4096, MaxPartialBytes: 8192, MaxLinks: 10})
	var answers bytes.Buffer
	talkTo(t, n.Server, func(p *raw) {
		done := make(chan struct{}, 2)
		go func() {
			io.Copy(&answers, p.nc)
			done <- struct{}{}
		}()
		go func() {
			synctest.Wait()
			for _, c := range n.Server.Connections() {
				c.Trace(io.Discard)
			}
			if open {
				p.nc.Write(opened)
			}
			p.nc.Write(data)
			p.nc.Write(encode(0, &amqpwire.Close{})) // an orderly end, if the frames still are in step
			synctest.Wait()
			p.nc.Close()
			done <- struct{}{}
		}()
		<-done
		<-done
	})
	if bytes.Contains(answers.Bytes(), []byte(amqpwire.InternalError)) {
		t.Errorf("panic: %q", answers.Bytes())
	}
}
