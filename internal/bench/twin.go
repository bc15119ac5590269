package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/hubward/hubward/internal/mqttwire"
)

// Bounds of Options.Size of a twin: one member and the number that changes; what a section may have.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-device-twins, device twin size.
const (
	MinTwinSize = 64
	MaxTwinSize = 32 << 10
)

// RunTwin has each device change one number of its reported properties, which have Size bytes by the arithmetic of the limits,
// again and again, and measures it: an answer says that a patch is durable. Options.QoS is 1.
func RunTwin(ctx context.Context, o Options) (*Result, error) {
	if o.Size < MinTwinSize || o.Size > MaxTwinSize {
		return nil, fmt.Errorf("bench: reported properties have %d to %d bytes, not %d", MinTwinSize, MaxTwinSize, o.Size)
	}
	return run(ctx, &o, func(Device) exchange { return &reported{size: o.Size} })
}

// RunRows measures updates of single rows, as many rows as there are devices and with Window of them under way at a time for each:
// what a store does by itself. update writes one row, durably; rows are numbered from 0, and a document has Size bytes as for
// RunTwin.
func RunRows(ctx context.Context, o Options, update func(ctx context.Context, row int, document []byte) error) (*Result, error) {
	o.QoS = 1
	if err := o.check(); err != nil {
		return nil, err
	}
	var number atomic.Int64
	document := TwinOf(o.Size, 0)[len(`{"n":0`):]
	var workers []*worker
	for row := range o.Devices {
		for range o.Window {
			workers = append(workers, newWorker(func(ctx context.Context) error {
				text := strconv.AppendInt([]byte(`{"n":`), number.Add(1), 10)
				return update(ctx, row, append(text, document...))
			}))
		}
	}
	return measureWork(ctx, &o, workers)
}

// reported is an exchange of patches of reported properties.
type reported struct {
	size  int
	patch []byte
}

// Topics of twins.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub, updating reported properties.
const (
	twinAnswers = "$iothub/twin/res/"
	patchTopic  = "$iothub/twin/PATCH/properties/reported/?$rid="
)

// prepare subscribes to answers, and fills the properties.
func (r *reported) prepare(c *conn) error {
	if err := c.subscribe(twinAnswers + "#"); err != nil {
		return err
	}
	packet, err := appendPatch(nil, 1, fillOf(r.size))
	if err != nil {
		return err
	}
	h, body, err := c.ask(packet)
	if err == nil {
		_, _, err = r.answered(h, body)
	}
	return err
}

func (r *reported) appendRequest(dst []byte, number int64, id uint16) ([]byte, error) {
	r.patch = append(strconv.AppendInt(append(r.patch[:0], `{"n":`...), number+1, 10), '}')
	return appendPatch(dst, id, r.patch)
}

// appendPatch appends a patch, at QoS 0: its answer is the confirmation, and a PUBACK besides would tell nothing more.
func appendPatch(dst []byte, id uint16, patch []byte) ([]byte, error) {
	return mqttwire.AppendPublish(dst, &mqttwire.PublishPacket{Topic: strconv.AppendUint([]byte(patchTopic), uint64(id), 10), Payload: patch})
}

var errNoAnswer = errors.New("the hub sent what is no answer to a patch")

// answered reads $iothub/twin/res/204/?$rid=ID&$version=N.
func (r *reported) answered(h mqttwire.Header, body []byte) (id uint16, ok bool, err error) {
	if h.Type != mqttwire.Publish {
		return 0, false, nil
	}
	p, err := mqttwire.ParsePublish(h.Flags, body)
	if err != nil {
		return 0, false, err
	}
	rest, isAnswer := bytes.CutPrefix(p.Topic, []byte(twinAnswers))
	status, query, _ := bytes.Cut(rest, []byte("/?$rid="))
	if !isAnswer {
		return 0, false, errNoAnswer
	}
	if string(status) != "204" {
		return 0, false, fmt.Errorf("the hub answered a patch with status %s: %s", status, p.Payload)
	}
	rid, _, _ := bytes.Cut(query, []byte("&"))
	n, err := strconv.ParseUint(string(rid), 10, 16)
	if err != nil {
		return 0, false, errNoAnswer
	}
	return uint16(n), true, nil
}

// chunk is how much of the arithmetic of limits one member of TwinOf takes.
const chunk = 256

// fillOf returns a patch that makes a twin that TwinOf made, of any size, one of this size.
func fillOf(size int) []byte {
	patch := TwinOf(size, 0)
	patch = patch[:len(patch)-1]
	for i := bytes.Count(patch, []byte(`"p`)); i <= MaxTwinSize/chunk; i++ {
		patch = fmt.Appendf(patch, `,"p%04d":null`, i)
	}
	return append(patch, '}')
}

// TwinOf returns a JSON object of a size by the arithmetic of the limits: members of text, and one, n, that is a number, which
// counts for eight bytes.
func TwinOf(size int, n int64) []byte {
	b := strconv.AppendInt([]byte(`{"n":`), n, 10)
	for i, left := 0, size-len("n")-8; left > 0; i++ {
		name := fmt.Sprintf("p%04d", i)
		part := min(left, chunk)
		if left-part < len(name) { // the last one takes the rest
			part = left
		}
		b = fmt.Appendf(b, `,"%s":"%s"`, name, bytes.Repeat([]byte("x"), max(0, part-len(name))))
		left -= part
	}
	return append(b, '}')
}
