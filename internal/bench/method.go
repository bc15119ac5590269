package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hubward/hubward/internal/mqttwire"
)

// MethodOptions are the options of calls of direct methods.
type MethodOptions struct {
	Options
	InFlight int // calls under way at a time, over all devices
	// Invoke calls the method of a device with a payload, and returns the payload of the answer. It is safe for concurrent use.
	Invoke func(ctx context.Context, d Device, payload []byte) ([]byte, error)
}

// MethodName is the method that RunMethod calls.
const MethodName = "echo"

// MaxInFlight bounds MethodOptions.InFlight.
const MaxInFlight = 10_000

// RunMethod has each device answer calls with their payload, of Size bytes, makes so many of them at a time, and measures them:
// Result counts calls in place of messages. It looks at each answer, whether it is that of its call. Options.Window is not used.
func RunMethod(ctx context.Context, o MethodOptions) (*Result, error) {
	o.Window, o.QoS = 1, 1
	if err := o.checkCalls(); err != nil {
		return nil, err
	}
	conns, err := connect(ctx, &o.Options)
	if err != nil {
		return nil, err
	}
	ctx, fail := context.WithCancelCause(ctx)
	var answering sync.WaitGroup
	defer answering.Wait()
	defer closeAll(conns)
	defer fail(nil)
	if err := each(ctx, conns, func(c *conn) error { return c.subscribe(methodCalls + "#") }); err != nil {
		return nil, err
	}
	for _, c := range conns {
		answering.Go(func() {
			if err := answerMethods(c); ctx.Err() == nil {
				fail(fmt.Errorf("device %s: %w", c.device.ID, err))
			}
		})
	}
	return measureWork(ctx, &o.Options, o.workers())
}

func (o *MethodOptions) checkCalls() error {
	if o.InFlight < 1 || o.InFlight > MaxInFlight {
		return fmt.Errorf("bench: 1 to %d calls are in flight, not %d", MaxInFlight, o.InFlight)
	}
	return o.check()
}

// workers call the devices in turn.
func (o *MethodOptions) workers() []*worker {
	call := o.callInTurn()
	workers := make([]*worker, o.InFlight)
	for i := range workers {
		workers[i] = newWorker(call)
	}
	return workers
}

// Topics of direct methods.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub, responding to a direct method.
const (
	methodCalls   = "$iothub/methods/POST/"
	methodAnswers = "$iothub/methods/res/200/?$rid="
)

// answerMethods answers each call with its payload, until the connection ends. Answers leave when nothing more is there to read.
func answerMethods(c *conn) error {
	var out []byte
	for {
		h, body, err := c.read()
		if err != nil {
			return err
		}
		if h.Type != mqttwire.Publish {
			continue
		}
		p, err := mqttwire.ParsePublish(h.Flags, body)
		if err != nil {
			return err
		}
		_, rid, ok := bytes.Cut(p.Topic, []byte("/?$rid="))
		if !ok || !bytes.HasPrefix(p.Topic, []byte(methodCalls)) {
			return errors.New("the hub sent what is no call of a method")
		}
		out, err = mqttwire.AppendPublish(out, &mqttwire.PublishPacket{Topic: append([]byte(methodAnswers), rid...), Payload: p.Payload})
		if err != nil {
			return err
		}
		if c.in.Buffered() > 0 {
			continue
		}
		if _, err := c.nc.Write(out); err != nil {
			return err
		}
		out = out[:0]
	}
}

// callInTurn returns what calls the devices in turn.
func (o *MethodOptions) callInTurn() func(context.Context) error {
	var next atomic.Int64
	return func(ctx context.Context) error {
		n := next.Add(1)
		payload := newBody(o.RunID, o.Size).number(n)
		device := o.Devices[int(n)%len(o.Devices)]
		answer, err := o.Invoke(ctx, device, payload)
		if err == nil && !bytes.Equal(answer, payload) {
			err = fmt.Errorf("device %s was asked %s, and answered %s", device.ID, payload, answer)
		}
		return err
	}
}
