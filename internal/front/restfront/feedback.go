package restfront

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/restwire"
)

// maxFeedbackWait bounds how long a call waits for feedback.
const maxFeedbackWait = 30 * time.Second

// receiveFeedback locks the next feedback message and answers with it, or 204. With wait=SECONDS in the query, which is
// Hubward's own, it waits that long for one.
//
// Source: learn.microsoft.com/rest/api/iothub/service/cloud-to-device-messages.
func receiveFeedback(c *call) error {
	wait, err := feedbackWait(c.r.URL.Query().Get("wait"))
	if err != nil {
		return err
	}
	d, err := c.nextFeedback(wait)
	if err != nil {
		return err
	}
	if d == nil {
		return c.done()
	}
	body, err := hubward.AppendFeedback(nil, d.Feedback)
	if err != nil {
		return hubward.Wrap(hubward.CodeServerError, "restfront.receiveFeedback", err)
	}
	for _, f := range [...]restwire.Field{
		{Name: "ETag", Value: `"` + d.LockToken + `"`},
		{Name: restwire.LockToken, Value: d.LockToken},
		{Name: "iothub-messageid", Value: d.ID},
		{Name: restwire.EnqueuedTime, Value: restwire.FormatTime(d.Enqueued)},
		{Name: restwire.DeliveryCount, Value: strconv.Itoa(d.DeliveryCount)},
		{Name: "Content-Type", Value: hubward.FeedbackType},
		{Name: "Content-Length", Value: strconv.Itoa(len(body))},
	} {
		c.setHeader(f.Name, f.Value)
	}
	c.begin(http.StatusOK, len(body))
	c.w.Write(body) // when the caller does not get it, its lock ends
	return nil
}

func feedbackWait(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 0 || seconds > int(maxFeedbackWait/time.Second) {
		return 0, hubward.Errorf(hubward.CodeArgumentInvalid, "wait: %.20q is not within 0 to %.0f seconds", text, maxFeedbackWait.Seconds())
	}
	return time.Duration(seconds) * time.Second, nil
}

// nextFeedback returns nil when there is none before wait is over or the process drains.
func (c *call) nextFeedback(wait time.Duration) (*hub.NotificationDelivery, error) {
	ctx := c.ctx
	if wait == 0 {
		return c.server.hub.TakeNotification(ctx, &c.principal, hub.NotificationFeedback)
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	defer context.AfterFunc(c.server.stop, cancel)()
	d, err := c.server.hub.WaitNotification(waiting, &c.principal, hub.NotificationFeedback)
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		return nil, nil
	}
	return d, err
}

func completeFeedback(c *call) error { return c.settleFeedback(hub.C2DComplete) }

func abandonFeedback(c *call) error { return c.settleFeedback(hub.C2DAbandon) }

func (c *call) settleFeedback(outcome hub.C2DOutcome) error {
	if err := c.server.hub.SettleNotification(c.ctx, &c.principal, hub.NotificationFeedback, c.params[0], outcome); err != nil {
		return err
	}
	return c.done()
}
