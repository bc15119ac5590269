package amqpfront_test

import (
	"context"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward"
)

func methodsOf(id string) string { return "/devices/" + id + "/methods/devicebound" }

// methodPair is the two links of direct methods, as C opens them: answers are not settled.
type methodPair struct {
	t         *testing.T
	requests  *amqp.Receiver
	responses *amqp.Sender
}

func (p *peer) methodPair(address string) *methodPair {
	p.t.Helper()
	properties := map[string]any{channelKey: "methods:" + address}
	s, err := p.session.NewSender(p.context(), address, &amqp.SenderOptions{Properties: properties})
	if err != nil {
		p.t.Fatal(err)
	}
	r := p.mustRead(address, "", amqp.ReceiverOptions{Properties: properties})
	return &methodPair{p.t, r, s}
}

// next returns the next call.
func (q *methodPair) next() *amqp.Message {
	q.t.Helper()
	return receive(q.t, q.requests)
}

// answer makes the answer to a call as SDKs do.
func answer(call *amqp.Message, status int32, body string) *amqp.Message {
	m := data(body)
	m.Properties = &amqp.MessageProperties{CorrelationID: call.Properties.CorrelationID}
	m.ApplicationProperties = map[string]any{"IoThub-status": status}
	return m
}

func (q *methodPair) answer(call *amqp.Message, status int32, body string) {
	q.t.Helper()
	if err := send(q.t, q.responses, answer(call, status, body)); err != nil {
		q.t.Fatal(err)
	}
}

// invocation is a call of a back end that is under way.
type invocation struct {
	t      *testing.T
	done   chan struct{}
	result hubward.MethodResult
	err    error
}

// invoke calls a method of an identity, and waits for it to connect.
func (f *fixture) invoke(id hubward.Identity, payload string) *invocation {
	return f.begin(id, hubward.MethodCall{Name: "reboot", Payload: []byte(payload), ConnectTimeout: 20 * time.Second})
}

func (f *fixture) begin(id hubward.Identity, call hubward.MethodCall) *invocation {
	i := &invocation{t: f.t, done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	go func() {
		defer cancel()
		defer close(i.done)
		i.result, i.err = f.InvokeMethod(ctx, f.process, id, call)
	}()
	f.t.Cleanup(func() {
		cancel()
		<-i.done
	})
	return i
}

func (i *invocation) want(what string, status int, payload string) {
	i.t.Helper()
	<-i.done
	if i.err != nil || i.result.Status != status || string(i.result.Payload) != payload {
		i.t.Errorf("%s: %d %.40s, %v, want %d %.40s", what, i.result.Status, i.result.Payload, i.err, status, payload)
	}
}

func (i *invocation) wantCode(what string, want hubward.Code) {
	i.t.Helper()
	<-i.done
	if got := hubward.CodeOf(i.err); i.err == nil || got != want {
		i.t.Errorf("%s: %v, want %v", what, i.err, want)
	}
}

// wantNotOnline checks that a method cannot be called now.
func (f *fixture) wantNotOnline(what string, id hubward.Identity) {
	f.t.Helper()
	f.begin(id, hubward.MethodCall{Name: "reboot"}).wantCode(what, hubward.CodeDeviceNotOnline)
}
