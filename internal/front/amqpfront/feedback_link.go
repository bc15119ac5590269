package amqpfront

import (
	"context"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
)

// attachFeedback serves a link on which a back end hears what became of its messages.
func attachFeedback(c *conn, l *amqpengine.Link, _ *address) *amqpwire.Error {
	f := &feedbackLink{conn: c, link: l}
	l.AcceptSender(amqpengine.SenderOptions{Run: f.run, Closed: func() { c.forget(l) }})
	return nil
}

// attachFileNotifications serves a link on which a back end hears of files that devices have uploaded. There are none yet.
func attachFileNotifications(c *conn, l *amqpengine.Link, _ *address) *amqpwire.Error {
	acceptWaiting(l, func() { c.forget(l) })
	return nil
}

// feedbackLink hands out feedback messages; all links of a hub compete.
type feedbackLink struct {
	conn *conn
	link *amqpengine.Link
}

// run sends a message for each credit, as there are some, until the link ends.
func (f *feedbackLink) run(ctx context.Context, s *amqpengine.Sender) *amqpwire.Error {
	for {
		err := f.step(ctx, s)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			e := deviceError(err)
			f.conn.logger.Error("feedback link ended", "hub", f.conn.hub.Name, "error", err, "tracking", f.conn.server.track(e))
			return e
		}
	}
}

func (f *feedbackLink) step(ctx context.Context, s *amqpengine.Sender) error {
	if _, err := s.Wait(ctx); err != nil {
		return err
	}
	c := f.conn
	p := c.principalOf(f.link)
	b, err := c.server.hub.WaitNotification(ctx, p, hub.NotificationFeedback)
	if hubward.CodeOf(err) == hubward.CodeUnauthorizedAccess && c.principalOf(f.link) != p {
		return nil // its token has ended, and was put again while it waited
	}
	if err != nil {
		return err
	}
	if !ready(s) { // the peer has taken its credit back: somebody else may have this one
		f.giveBack(b.LockToken)
		return nil
	}
	payload, err := encodeFeedback(b, c.hub.Name)
	if err != nil {
		f.giveBack(b.LockToken)
		return hubward.Wrap(hubward.CodeServerError, "amqpfront.feedback", err)
	}
	n, err := s.Send(ctx, amqpengine.Outgoing{
		Payload: payload, Tag: guidTag(b.LockToken),
		OnOutcome: func(state amqpwire.DeliveryState, answer amqpengine.Answer) { f.outcome(b.LockToken, state, answer) },
	})
	if n == 0 {
		f.giveBack(b.LockToken)
	}
	return err
}

// ready reports whether a message can be sent now.
func ready(s *amqpengine.Sender) bool {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := s.Wait(ctx)
	return err == nil
}

// outcome is called with what the back end makes of a message; the end of the link gives it back.
func (f *feedbackLink) outcome(token string, state amqpwire.DeliveryState, answer amqpengine.Answer) {
	outcome, ok := c2dOutcome(state)
	if !ok {
		f.giveBack(token)
		return
	}
	f.settle(f.conn.principalOf(f.link), token, outcome, func(err error) { answer.Settle(f.conn.confirmation(state, err)) })
}

// giveBack unlocks a message that the peer has not settled. That is our doing, and needs no principal of the peer's: it may
// have ended, and the link with it.
func (f *feedbackLink) giveBack(token string) {
	f.settle(access.Process(f.conn.hub), token, hub.C2DReturn, func(error) {})
}

func (f *feedbackLink) settle(p *access.Principal, token string, outcome hub.C2DOutcome, done func(error)) {
	c := f.conn
	c.workers.do(token, func() {
		ctx, cancel := c.server.storing()
		defer cancel()
		done(c.server.hub.SettleNotification(ctx, p, hub.NotificationFeedback, token, outcome))
	})
}

// encodeFeedback encodes a feedback message as the SDKs read it: .NET wants the tag of 16 bytes, the user id and
// iothub-enqueuedtime.
//
// Source: Azure/azure-iot-sdk-csharp iothub/service/src/AmqpFeedbackReceiver.cs.
func encodeFeedback(b *hub.NotificationDelivery, hubName string) ([]byte, error) {
	body, err := hubward.AppendFeedback(nil, b.Feedback)
	if err != nil {
		return nil, err
	}
	m := amqpwire.Message{
		Annotations: amqpwire.Map{
			{Key: amqpwire.Symbol("iothub-enqueuedtime"), Value: b.Enqueued},
			{Key: amqpwire.Symbol("iothub-deliverycount"), Value: uint8(min(b.DeliveryCount+1, 255))},
		},
		Properties: &amqpwire.Properties{MessageID: b.ID, UserID: []byte(hubName), ContentType: hubward.FeedbackType},
		Data:       [][]byte{body},
	}
	return m.Append(nil)
}
