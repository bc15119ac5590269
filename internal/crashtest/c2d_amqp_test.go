//go:build crash

package crashtest

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/go-amqp"
)

// openSession logs in with SASL PLAIN.
func openSession(ctx context.Context, address string, roots *x509.CertPool, user, password string) (*amqp.Conn, *amqp.Session, error) {
	nc, err := dialTLS(ctx, address, roots)
	if err != nil {
		return nil, nil, err
	}
	conn, err := amqp.NewConn(ctx, nc, &amqp.ConnOptions{HostName: "localhost", SASLType: amqp.SASLTypePlain(user, password)})
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	session, err := conn.NewSession(ctx, nil)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, session, nil
}

// amqpAnswer is what the hub says of one message, nil when err is about more than that.
func amqpAnswer(err error) *amqp.Error {
	var link *amqp.LinkError
	var session *amqp.SessionError
	var conn *amqp.ConnError
	if errors.As(err, &link) || errors.As(err, &session) || errors.As(err, &conn) {
		return nil
	}
	var answer *amqp.Error
	errors.As(err, &answer)
	return answer
}

// visitAMQP receives on one connection, with a random credit, in the mode in which the hub confirms outcomes or in the
// other one.
func (r *receiver) visitAMQP(ctx context.Context) error {
	token, err := r.token()
	if err != nil {
		return violation{err}
	}
	conn, session, err := openSession(ctx, r.at.amqps, r.roots, r.id+"@sas.localhost", token)
	if err != nil {
		return err
	}
	defer conn.Close()
	mode := amqp.ReceiverSettleModeFirst
	if r.rng.IntN(4) > 0 {
		mode = amqp.ReceiverSettleModeSecond
	}
	link, err := session.NewReceiver(ctx, "/devices/"+r.id+"/messages/devicebound", &amqp.ReceiverOptions{
		Credit: 1 + r.rng.Int32N(8), SettlementMode: &mode,
	})
	if err != nil {
		return err
	}
	for range r.visits() {
		raw, err := link.Receive(ctx, nil)
		if err != nil {
			return err
		}
		d, err := r.amqpDelivery(raw)
		if err != nil {
			return violation{err}
		}
		m, nth, err := r.ledger.deliver(d)
		if err != nil {
			return err
		}
		o := r.decide(m, nth)
		if o == unsettled || !r.work(ctx) {
			return nil // what has come goes back
		}
		r.ledger.settling(m, o)
		if err := r.settleAMQP(ctx, link, raw, o); err != nil {
			if e := amqpAnswer(err); e != nil {
				return violated("D4: the hub does not take %s of %s, whose connection lives: %w", o, m.id(), e)
			}
			return err
		}
		if mode == amqp.ReceiverSettleModeSecond {
			r.ledger.settled(m, o)
		}
	}
	return nil
}

func (r *receiver) amqpDelivery(raw *amqp.Message) (delivery, error) {
	sequence, ok := raw.Annotations["x-opt-sequence-number"].(uint64)
	count, ok2 := raw.Annotations["iothub-deliverycount"].(uint8)
	if !ok || !ok2 || raw.Properties == nil {
		return delivery{}, fmt.Errorf("%s gets a message with the annotations %v", r.id, raw.Annotations)
	}
	id, _ := raw.Properties.MessageID.(string)
	return delivery{
		device: r.id, id: id, body: raw.GetData(), asked: time.Now(), sequence: int64(sequence), count: int(count) - 1,
	}, nil
}

// settleAMQP says an outcome in one of the ways that there are. In mode second it waits for the hub's answer.
func (r *receiver) settleAMQP(ctx context.Context, link *amqp.Receiver, raw *amqp.Message, o outcome) error {
	other := r.rng.IntN(2) == 0
	switch {
	case o == complete:
		return link.AcceptMessage(ctx, raw)
	case o == reject && other:
		return link.ModifyMessage(ctx, raw, &amqp.ModifyMessageOptions{UndeliverableHere: true})
	case o == reject:
		return link.RejectMessage(ctx, raw, nil)
	case other:
		return link.ModifyMessage(ctx, raw, &amqp.ModifyMessageOptions{DeliveryFailed: true})
	}
	return link.ReleaseMessage(ctx, raw)
}
