package device

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"runtime/debug"
	"sync"

	"github.com/hubward/hubward"
)

// MethodRequest is a call of a direct method of the device.
type MethodRequest struct {
	Name    string          // a command of a component of a Plug and Play model is "component*command"
	Payload json.RawMessage // any JSON, at most 128 KiB; null when the caller gave none
}

// Decode reads the payload into v, as TwinProperties.Decode does.
func (r *MethodRequest) Decode(v any) error { return decodeJSON(r.Payload, v) }

// MethodHandler carries out a call and returns the answer: a status, by convention 200 for success and otherwise as in HTTP, and
// a payload, any value that encodes to at most 128 KiB of JSON; nil is null, a json.RawMessage is sent as it is.
//
// What fails is answered with {"error": TEXT} and a status of 500: an error that the handler returns, with its text; a
// panic, whose text is only logged; a payload that cannot be sent.
//
// ctx ends with the client, not with the connection: what is begun can come to its end. The answer goes out on the connection
// by which the call came; when that is lost, the caller gets an error from the hub at once, the answer is dropped, and calls that
// wait for their turn are, too.
type MethodHandler func(ctx context.Context, r *MethodRequest) (status int, payload any, err error)

// The statuses that the client itself answers with. 400, 500 and 501 are those of the .NET SDK.
//
// Source: Azure/azure-iot-sdk-csharp iothub/device/src/MethodResponseStatusCode.cs.
const (
	statusBadPayload = 400 // the payload is no JSON
	statusFailed     = 500 // of the handler
	statusNoHandler  = 501 // nobody handles a method of that name
	statusBusy       = 429 // too many calls wait
	statusEnding     = 503 // the client takes no more calls
)

// HandleMethod has a function called with each call of the direct method of that name. The empty name stands for all methods
// that have no handler of their own. A method that nobody handles is answered with status 501, as by the .NET SDK, so
// that the caller does not wait in vain.
//
// The hub takes calls for the device once there is a handler and the client is connected, after a moment; callers bridge that
// moment, and a reconnect, with their connect time-out. HandleMethod may be called at any time, and is best before Connect.
//
// Handlers run on goroutines of the client, up to Options.MaxMethods at once. Calls beyond that wait, at most 1,000 of them
// with 4 MiB of payloads; what is above is answered with status 429. A handler may call everything but Close and Drain; Drain
// waits for the handlers that run, and for their answers to be sent.
//
// Errors: CodeInvalidOperation over HTTPS, which knows no methods, and when the name has a handler already.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-direct-methods.
func (c *Client) HandleMethod(name string, handler MethodHandler) error {
	if err := c.talks(); err != nil {
		return err
	}
	if handler == nil {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "HandleMethod needs a function")
	}
	if !c.methods.handle(name, handler) {
		return hubward.Errorf(hubward.CodeInvalidOperation, "there is a handler of method %q already", name)
	}
	c.nudge()
	return nil
}

const (
	maxWaitingMethods     = 1000    // calls
	maxWaitingMethodBytes = 4 << 20 // of their payloads
)

// methods are the handlers, and the calls that are under way.
type methods struct {
	limit int // of calls that are handled at once

	mu       sync.Mutex // guards the fields below; a leaf
	handlers map[string]MethodHandler
	running  int // goroutines that call handlers
	waiting  []*methodCall
	bytes    int // of payloads that wait
}

// methodCall is a call that has come.
type methodCall struct {
	MethodRequest
	// answer has the answer sent, and written called once that is done or will never be. It is called once.
	answer func(status int, payload []byte, written func())
	// lost reports whether the connection by which the call came has ended: the caller has got an error.
	lost func() bool
}

// handle sets a handler. It reports false when there is one.
func (m *methods) handle(name string, handler MethodHandler) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.handlers[name] != nil {
		return false
	}
	if m.handlers == nil {
		m.handlers = make(map[string]MethodHandler)
	}
	m.handlers[name] = handler
	return true
}

func (m *methods) wanted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.handlers) > 0
}

// handler returns what handles a method, nil when there is nothing.
func (m *methods) handler(name string) MethodHandler {
	m.mu.Lock()
	defer m.mu.Unlock()
	if h := m.handlers[name]; h != nil {
		return h
	}
	return m.handlers[""]
}

// busy reports whether calls are being handled.
func (m *methods) busy() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.running > 0
}

// admit says what becomes of a call that has come: it has a goroutine of its own, or it waits for one, or neither.
func (m *methods) admit(call *methodCall) (begin, wait bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running < m.limit {
		m.running++
		return true, false
	}
	if len(m.waiting) >= maxWaitingMethods || m.bytes+len(call.Payload) > maxWaitingMethodBytes {
		return false, false
	}
	m.waiting = append(m.waiting, call)
	m.bytes += len(call.Payload)
	return false, true
}

// next returns the call that has waited longest; nil when there is none: then the goroutine that asks must end.
func (m *methods) next() *methodCall {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.waiting) == 0 {
		m.running--
		return nil
	}
	call := m.waiting[0]
	m.waiting[0] = nil
	m.waiting = m.waiting[1:]
	m.bytes -= len(call.Payload)
	return call
}

// call takes a call from a connection. It does not wait for the handler.
func (c *Client) call(call *methodCall) {
	if len(call.Payload) == 0 {
		call.Payload = json.RawMessage("null")
	}
	begin, wait := c.methods.admit(call)
	switch {
	case wait:
	case !begin:
		call.answer(statusBusy, failure("too many calls are waiting"), func() {})
	case !c.handlers.start():
		for ; call != nil; call = c.methods.next() {
			call.answer(statusEnding, failure("the client is ending"), func() {})
		}
	default:
		go c.work(call) // ends with c.handlers, which Close and Drain wait for
	}
}

// work handles a call, and then those that wait.
func (c *Client) work(call *methodCall) {
	defer c.handlers.end()
	for ; call != nil; call = c.methods.next() {
		if call.lost() {
			continue // it has waited in vain, and its caller may have tried again
		}
		status, payload := c.carryOut(&call.MethodRequest)
		written := make(chan struct{})
		call.answer(status, payload, func() { close(written) })
		<-written
	}
	c.nudge() // a writer may wait for the end of all
}

// carryOut calls the handler and returns the answer.
func (c *Client) carryOut(r *MethodRequest) (status int, payload []byte) {
	handler := c.methods.handler(r.Name)
	switch {
	case c.taking.Err() != nil:
		return statusEnding, failure("the client is ending")
	case handler == nil:
		return statusNoHandler, failure(fmt.Sprintf("there is no method %q", r.Name))
	case !json.Valid(r.Payload):
		return statusBadPayload, failure("the payload is no JSON")
	}
	status, result, err := c.invoke(handler, r)
	if err == nil {
		payload, err = encodeJSON(result)
	}
	switch {
	case err != nil:
		c.log.Info("device client: a method has failed", "method", r.Name, "reason", err)
		return statusFailed, failure(err.Error())
	case len(payload) > hubward.MaxMethodPayload:
		return statusFailed, failure(fmt.Sprintf("the answer has %d bytes, the limit is %d", len(payload), hubward.MaxMethodPayload))
	case status < math.MinInt32 || status > math.MaxInt32:
		return statusFailed, failure(fmt.Sprintf("the status is %d, which is no number of 32 bits", status))
	}
	return status, payload
}

// invoke calls a handler. Its panic is an error: a caller far away should not be able to end the program.
func (c *Client) invoke(handler MethodHandler, r *MethodRequest) (status int, payload any, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			c.log.Error("device client: the handler of a method panicked", "method", r.Name, "panic", fault, "stack", string(debug.Stack()))
			err = errPanicked
		}
	}()
	return handler(c.life, r)
}

// failure is the payload of an answer that is no success.
func failure(text string) []byte {
	const longest = 1 << 10 // of a text: the rest is for the log
	if len(text) > longest {
		text = text[:longest]
	}
	payload, _ := encodeJSON(map[string]string{"error": text}) // which cannot fail
	return payload
}
