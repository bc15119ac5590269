package amqpfront

import (
	"context"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/hub"
)

// feedbackType is the content type of feedback. The .NET SDK takes no other.
//
// Source: spec/amqp.md 6.2.
const feedbackType = "application/vnd.microsoft.iothub.feedback.json"

// attachFeedback serves a link on which a back end hears what became of its messages.
func attachFeedback(c *conn, l *amqpengine.Link, _ *address) *amqpwire.Error {
	f := &feedbackLink{conn: c, link: l}
	l.AcceptSender(amqpengine.SenderOptions{Run: f.run, Closed: func() { c.forget(l) }})
	return nil
}

// attachFileNotifications serves a link on which a back end hears of files that devices have uploaded. There are none yet.
func attachFileNotifications(c *conn, l *amqpengine.Link, _ *address) *amqpwire.Error {
	l.AcceptSender(amqpengine.SenderOptions{Closed: func() { c.forget(l) }})
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
			f.conn.logger.Error("feedback link ended", "hub", f.conn.hub, "error", err, "tracking", f.conn.server.track(e))
			return e
		}
	}
}

func (f *feedbackLink) step(ctx context.Context, s *amqpengine.Sender) error {
	if _, err := s.Wait(ctx); err != nil {
		return err
	}
	b, err := f.conn.server.hub.WaitFeedback(ctx, f.conn.hub)
	if err != nil {
		return err
	}
	if !ready(s) { // the peer has taken its credit back: somebody else may have this one
		f.settle(b.LockToken, hub.C2DReturn, nil)
		return nil
	}
	payload, err := encodeFeedback(b, f.conn.hub)
	if err != nil {
		f.settle(b.LockToken, hub.C2DReturn, nil)
		return hubward.Wrap(hubward.CodeServerError, "amqpfront.feedback", err)
	}
	n, err := s.Send(ctx, amqpengine.Outgoing{
		Payload: payload, Tag: guidTag(b.LockToken),
		OnOutcome: func(state amqpwire.DeliveryState, answer amqpengine.Answer) { f.outcome(b.LockToken, state, answer) },
	})
	if n == 0 {
		f.settle(b.LockToken, hub.C2DReturn, nil)
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
		outcome = hub.C2DReturn
	}
	f.settle(token, outcome, func(err error) { answer.Settle(f.conn.confirmation(state, err)) })
}

func (f *feedbackLink) settle(token string, outcome hub.C2DOutcome, done func(error)) {
	c := f.conn
	c.lanes.do(token, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(f.link.Context()), storeTimeout)
		defer cancel()
		err := c.server.hub.SettleFeedback(ctx, c.hub, token, outcome)
		if done != nil {
			done(err)
		}
	})
}

// encodeFeedback encodes a feedback message as the SDKs read it.
//
// Source: spec/amqp.md 6.2.
func encodeFeedback(b *hub.FeedbackBatch, hubName string) ([]byte, error) {
	m := amqpwire.Message{
		Annotations: amqpwire.Map{
			{Key: amqpwire.Symbol("iothub-enqueuedtime"), Value: b.Enqueued},
			{Key: amqpwire.Symbol("iothub-deliverycount"), Value: uint8(min(b.Count+1, 255))},
		},
		Properties: &amqpwire.Properties{MessageID: b.ID, UserID: []byte(hubName), ContentType: feedbackType},
		Data:       [][]byte{b.Body},
	}
	return m.Append(nil)
}
