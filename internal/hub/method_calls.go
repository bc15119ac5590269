package hub

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math"
	"sync"
	"time"

	"github.com/hubward/hubward"
)

// What a link is handed at once, at most. Both figures are ours: the cloud service meters calls by the second.
const (
	maxCalls     = 1000
	maxCallBytes = 4 << 20
)

// calls are the direct methods that a link was handed and has not answered.
type calls struct {
	mu      sync.Mutex // guards the fields below; a leaf
	taking  bool
	ended   bool
	newest  uint64 // id
	waiting map[uint64]waitingCall
	bytes   int // of the payloads of waiting
}

type waitingCall struct {
	size   int
	answer chan<- methodAnswer // holds one, and gets one at most: who sends has taken the call out of waiting
}

type methodAnswer struct {
	status  int
	payload []byte
	err     error
}

// take returns true when the link takes methods from now on. first says after which id those of its calls begin.
func (c *calls) take(yes bool, first uint64) (begins bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.taking == yes {
		return false
	}
	if yes && c.waiting == nil {
		c.newest, c.waiting = first, make(map[uint64]waitingCall)
	}
	c.taking = yes
	return yes
}

func (c *calls) isTaking() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.taking
}

// begin makes room for a call to id and returns its own id, and where its answer comes.
//
// Errors: CodeDeviceNotOnline; CodeThrottled.
func (c *calls) begin(to hubward.Identity, size int) (id uint64, answer <-chan methodAnswer, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.taking {
		return 0, nil, errNotOnline(to)
	}
	if len(c.waiting) == maxCalls || c.bytes+size > maxCallBytes {
		return 0, nil, &hubward.Error{Code: hubward.CodeThrottled, Identity: to, Message: "The device '" + to.String() + "' has not answered too many calls."}
	}
	c.newest++
	answers := make(chan methodAnswer, 1)
	c.waiting[c.newest] = waitingCall{size, answers}
	c.bytes += size
	return c.newest, answers, nil
}

// remove takes a call out. It returns false when there is none of that id.
func (c *calls) remove(id uint64) (waitingCall, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, ok := c.waiting[id]
	if ok {
		delete(c.waiting, id)
		c.bytes -= w.size
	}
	return w, ok
}

func (c *calls) answer(id uint64, status int, payload []byte) {
	w, ok := c.remove(id)
	switch {
	case !ok:
	case status < math.MinInt32 || status > math.MaxInt32:
		w.answer <- methodAnswer{err: badResponse("its status %d has more than 32 bits", status)}
	case len(payload) > hubward.MaxMethodPayload:
		// How long it is is not said: a front end hands on the beginning of what is longer than it takes.
		w.answer <- methodAnswer{err: badResponse("it has more than %d bytes", hubward.MaxMethodPayload)}
	default:
		w.answer <- methodAnswer{status: status, payload: bytes.Clone(payload)}
	}
}

// end ends all calls. There are none from then on.
func (c *calls) end() {
	c.mu.Lock()
	ended := c.waiting
	c.taking, c.ended, c.waiting, c.bytes = false, true, nil, 0
	c.mu.Unlock()
	for _, w := range ended {
		w.answer <- methodAnswer{err: errConnectionClosed}
	}
}

var errConnectionClosed error = hubward.Errorf(hubward.CodeDeviceConnectionClosed, "The connection of the device ended before it answered.")

func badResponse(format string, args ...any) error {
	return hubward.Errorf(hubward.CodeBadDeviceResponse, "the device's answer: "+format, args...)
}

// firstCall returns where the ids of the link's calls begin: so far from those of other links of the identity that an answer
// which a device gives over the wrong connection meets no call.
func (l *Link) firstCall() uint64 {
	var b [8]byte
	if _, err := io.ReadFull(l.hub.rand, b[:]); err != nil {
		clear(b[:]) // the fence alone has to do
	}
	return binary.LittleEndian.Uint64(b[:]) + l.claim.Fence
}

// callMethod hands a call to the session and waits for the answer.
//
// Errors: CodeDeviceNotOnline; CodeThrottled; CodeDeviceConnectionClosed; CodeGatewayTimeout; CodeBadDeviceResponse; ctx's.
func (l *Link) callMethod(ctx context.Context, c *callMethod) (hubward.MethodResult, error) {
	id, answers, err := l.calls.begin(c.Identity, len(c.Payload))
	if err != nil {
		return hubward.MethodResult{}, err
	}
	defer l.calls.remove(id)
	timeout := time.NewTimer(c.Timeout)
	defer timeout.Stop()
	l.hub.observer.DeviceBytes(c.Hub, len(c.Payload))
	l.session.Deliver(&MethodCall{ID: id, Name: c.Name, Payload: c.Payload})
	select {
	case a := <-answers:
		l.hub.observer.DeviceBytes(c.Hub, len(a.payload))
		return a.result()
	case <-timeout.C:
		return hubward.MethodResult{}, errNoAnswer(c.Identity)
	case <-ctx.Done():
		return hubward.MethodResult{}, ctx.Err()
	}
}

func (a *methodAnswer) result() (hubward.MethodResult, error) {
	if a.err != nil {
		return hubward.MethodResult{}, a.err
	}
	payload, err := canonicalPayload(a.payload)
	if err != nil {
		return hubward.MethodResult{}, badResponse("%s", reasonOf(err).Message)
	}
	return hubward.MethodResult{Status: a.status, Payload: payload}, nil
}

func errNoAnswer(id hubward.Identity) error {
	return &hubward.Error{Code: hubward.CodeGatewayTimeout, Identity: id, Message: "The device '" + id.String() + "' did not answer in time."}
}
