package device

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/hubward/hubward"
)

// Twin is the state that the device shares with its back ends, as the device sees it. What it has of the tags, and when
// each property was written, only back ends see.
type Twin struct {
	Desired  TwinProperties // the back ends write them
	Reported TwinProperties // the device writes them
}

// TwinProperties are the desired or the reported properties of a twin.
type TwinProperties struct {
	JSON    json.RawMessage // an object, without $version; numbers are as they were written
	Version int64           // $version: 1 for what nobody has written, and one more with each write
}

// Decode reads the properties into v, as json.Unmarshal does, except that a number in an any becomes a json.Number, so that none
// loses digits.
func (p TwinProperties) Decode(v any) error { return decodeJSON(p.JSON, v) }

// Twin gets the twin from the hub. When the connection is lost before the answer comes, it asks again on the next one, as
// long as ctx lives; a hub that never answers is waited for as long.
//
// Errors: CodeInvalidOperation over HTTPS, which knows no twins, and before Connect; the code that the hub answers with, such
// as CodeThrottled; ctx.Err(); once the client has ended, the error of Err, or one that wraps net.ErrClosed.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-device-twins.
func (c *Client) Twin(ctx context.Context) (*Twin, error) {
	a, err := c.callTwin(ctx, nil)
	if err != nil {
		return nil, err
	}
	return readTwin(a.body)
}

// UpdateReported merges a patch into the reported properties and returns their new $version when the hub has stored it, 0 if
// the hub does not tell. Members of the patch replace those of their name, objects are merged, and null deletes: that is a JSON
// merge patch (RFC 7396).
//
// patch is any value that encodes to a JSON object: a map, a struct (mind omitempty: a member with a zero value is written, a
// nil one deletes), or a json.RawMessage, which is sent as it is. Properties of a component of a Plug and Play model are an
// object with the marker "__t":
//
//	client.UpdateReported(ctx, map[string]any{"thermostat1": map[string]any{"__t": "c", "maxTempSinceLastReboot": 38.7}})
//
// Calls are sent in their order. When the connection is lost before the answer comes, the patch is sent again on the next one,
// as long as ctx lives: the result is the same, but $version may have grown twice.
//
// Errors: CodeArgumentInvalid for what is no object, and what the hub refuses; CodeMessageTooLarge when the names
// and values of the patch alone are larger than the 32 KiB that all reported properties may have, or its text than 256 KiB: then
// nothing was sent. ctx.Err(): the patch may still reach the hub. Otherwise they are those of Twin.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-device-twins; learn.microsoft.com/azure/iot/concepts-convention.
func (c *Client) UpdateReported(ctx context.Context, patch any) (version int64, err error) {
	text, err := reportedPatch(patch)
	if err != nil {
		return 0, err
	}
	a, err := c.callTwin(ctx, text)
	return a.version, err
}

// maxTwinCalls bounds the requests about the twin that are not answered; who comes then waits.
const maxTwinCalls = 64

// twinCall is a request about the twin that is not answered.
type twinCall struct {
	id     string          // of the request, on whatever connection
	patch  []byte          // of the reported properties; nil: to get the twin
	answer chan twinAnswer // holds one
}

// twinAnswer is what the hub says to one.
type twinAnswer struct {
	body    []byte // of the twin
	version int64  // of the reported properties, after a patch
	err     error
}

// twinCalls are the requests about the twin that are not answered, over the client's connections.
type twinCalls struct {
	slots chan struct{} // holds one token per call

	mu    sync.Mutex // guards the fields below; a leaf
	used  bool       // there ever was a call: connections make ready for the next one at once
	calls []*twinCall
	sent  int // calls[:sent] have been sent on the present connection
}

// callTwin makes a request and waits for the answer. patch is nil for the twin itself.
func (c *Client) callTwin(ctx context.Context, patch []byte) (twinAnswer, error) {
	if err := c.talks(); err != nil {
		return twinAnswer{}, err
	}
	switch up, err := c.running(); {
	case err != nil:
		return twinAnswer{}, err
	case !up:
		return twinAnswer{}, errNotConnected()
	}
	t := &c.twin
	select {
	case t.slots <- struct{}{}:
	case <-ctx.Done():
		return twinAnswer{}, ctx.Err()
	case <-c.done:
		_, err := c.running()
		return twinAnswer{}, err
	}
	defer func() { <-t.slots }()
	if err := ctx.Err(); err != nil {
		return twinAnswer{}, err
	}
	call := &twinCall{id: rand.Text(), patch: patch, answer: make(chan twinAnswer, 1)}
	t.push(call)
	defer t.drop(call)
	c.nudge()
	select {
	case a := <-call.answer:
		return a, a.err
	case <-ctx.Done():
		return twinAnswer{}, ctx.Err()
	case <-c.done:
		_, err := c.running()
		return twinAnswer{}, err
	}
}

// talks returns an error for a protocol in which the hub cannot talk to the device.
func (c *Client) talks() error {
	if c.opts.Protocol == HTTPS {
		return hubward.Errorf(hubward.CodeInvalidOperation, "twins and direct methods need MQTT or AMQP, HTTPS has none: see Options.Protocol")
	}
	return nil
}

func (t *twinCalls) push(call *twinCall) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used = true
	t.calls = append(t.calls, call)
}

// drop forgets a call; one that was sent may still be answered, which then means nothing.
func (t *twinCalls) drop(call *twinCall) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.calls, call); i >= 0 {
		t.removeLocked(i)
	}
}

func (t *twinCalls) removeLocked(i int) {
	t.calls = slices.Delete(t.calls, i, i+1)
	if i < t.sent {
		t.sent--
	}
}

// next returns the oldest call that is not sent, and counts it as sent; nil when there is none.
func (t *twinCalls) next() *twinCall {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sent == len(t.calls) {
		return nil
	}
	t.sent++
	return t.calls[t.sent-1]
}

// settle gives the answer to the call with that id, if it was sent and somebody waits for it.
func (t *twinCalls) settle(id string, a twinAnswer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, call := range t.calls[:t.sent] {
		if call.id == id {
			t.removeLocked(i)
			call.answer <- a
			return
		}
	}
}

// rewind prepares for a new connection: nothing is sent on it yet.
func (t *twinCalls) rewind() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent = 0
}

// fail gives all calls an error, because the hub takes none.
func (t *twinCalls) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, call := range t.calls {
		call.answer <- twinAnswer{err: err}
	}
	t.calls, t.sent = nil, 0
}

func (t *twinCalls) wasUsed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.used
}

// pending reports whether there are calls that were sent and not answered.
func (t *twinCalls) pending() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sent > 0
}

// readTwin reads what the hub answers to a request for the twin.
func readTwin(body []byte) (*Twin, error) {
	var sections struct{ Desired, Reported json.RawMessage }
	if err := json.Unmarshal(body, &sections); err != nil {
		return nil, fmt.Errorf("device: the hub's answer is no twin: %w", err)
	}
	var t Twin
	for _, s := range []struct {
		text json.RawMessage
		into *TwinProperties
	}{{sections.Desired, &t.Desired}, {sections.Reported, &t.Reported}} {
		var err error
		if *s.into, err = readProperties(s.text); err != nil {
			return nil, err
		}
	}
	return &t, nil
}

// readProperties takes $version out of a section of the twin, or of a change of it, and $metadata, which is not for devices.
func readProperties(text []byte) (TwinProperties, error) {
	var members map[string]json.RawMessage
	var p TwinProperties
	if err := json.Unmarshal(text, &members); err != nil {
		return p, fmt.Errorf("device: what the hub sent are no properties: %w", err)
	}
	if err := json.Unmarshal(members["$version"], &p.Version); err != nil {
		return p, fmt.Errorf("device: properties from the hub have no $version: %w", err)
	}
	delete(members, "$version")
	delete(members, "$metadata")
	var err error
	p.JSON, err = encodeJSON(members)
	return p, err
}

// refusedTwinCall returns the error for an answer that is no success. Its code is the one in the body, where there is one, else
// the status times 1000.
func refusedTwinCall(status int, body []byte) error {
	var e struct {
		ErrorCode int    `json:"errorCode"`
		Message   string `json:"message"`
	}
	json.Unmarshal(body, &e) // a body of another form is an error without a text
	code := hubward.Code(e.ErrorCode)
	if code.HTTPStatus() != status {
		code = codeOfStatus(status)
	}
	if e.Message == "" {
		e.Message = fmt.Sprintf("the hub answered with status %d", status)
	}
	return &hubward.Error{Code: code, Message: e.Message}
}

func codeOfStatus(status int) hubward.Code {
	switch status {
	case 400:
		return hubward.CodeArgumentInvalid
	case 401:
		return hubward.CodeUnauthorizedAccess
	case 404:
		return hubward.CodeDeviceNotFound
	case 412:
		return hubward.CodePreconditionFailed
	case 413:
		return hubward.CodeMessageTooLarge
	case 429:
		return hubward.CodeThrottled
	case 500:
		return hubward.CodeServerError
	case 503:
		return hubward.CodeServiceUnavailable
	}
	return hubward.Code(status * 1000)
}
