package c2d

import (
	"cmp"
	"context"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

// Delivery is one message on its way to an identity. It is locked: nobody else gets it until it is settled or the lock
// ends.
type Delivery struct {
	Message       *hubward.Message // with a message id and a To, whether or not its sender gave them
	Sequence      int64            // of the queue, from 1
	Enqueued      time.Time
	DeliveryCount int    // earlier deliveries that were abandoned
	LockToken     string // a GUID, new with each lock
	LockedUntil   time.Time
	Redelivered   bool      // it was handed out before
	Receiver      *Receiver // whose it is; nil: an identity that polls
}

// load reads the contents of locked messages, which are in order. One that was purged meanwhile is left out.
func (q *Queues) load(ctx context.Context, key Key, locked []c2dqueue.Message) ([]*Delivery, error) {
	var deliveries []*Delivery
	var damaged error
	rest := locked
	err := q.o.Store.QueuedContents(ctx, key, locked[0].Sequence, locked[len(locked)-1].Sequence, func(sequence int64, content []byte) {
		for len(rest) > 0 && rest[0].Sequence < sequence {
			rest = rest[1:]
		}
		if len(rest) == 0 || rest[0].Sequence != sequence {
			return
		}
		l := &rest[0]
		m, err := c2dqueue.Decode(content)
		if err != nil {
			damaged = hubward.Wrap(hubward.CodeServerError, "c2d.load", err)
			return
		}
		if m.To == "" {
			m.To = defaultTo(key.Identity)
		}
		deliveries = append(deliveries, &Delivery{
			Message: m, Sequence: sequence, Enqueued: l.Enqueued, DeliveryCount: l.DeliveryCount,
			LockToken: l.Lock.Token, LockedUntil: l.Lock.Until, Redelivered: l.HandedOut,
		})
	})
	return deliveries, cmp.Or(err, damaged)
}

// defaultTo is the To of a message whose sender gave none, spelt as the cloud does.
//
// Source: Azure/azure-iot-cli-extension azext_iot/tests/iothub/core/test_iot_ext_unit.py, sample_c2d_receive.
func defaultTo(id hubward.Identity) string {
	to := "/devices/" + id.Device
	if id.Module != "" {
		to += "/modules/" + id.Module
	}
	return to + "/messages/deviceBound"
}

func (q *Queues) countDelivered(hub string, d *Delivery) {
	q.o.Observer.CloudToDevice(hub, Delivered, 1)
	q.o.Observer.DeviceBytes(hub, d.Message.Size())
}
