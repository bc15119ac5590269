package service

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/restwire"
)

// FeedbackMessage is one message of the hub's feedback queue: what became of up to 64 cloud-to-device messages. It is
// locked, by default for a minute: nobody else gets it until it is completed or abandoned, or the lock ends.
type FeedbackMessage struct {
	Records       []hubward.Feedback
	LockToken     string
	EnqueuedTime  time.Time // whole seconds; zero: the hub did not say
	DeliveryCount int       // earlier deliveries
}

// ReceiveFeedback locks the next feedback message, and returns nil when there is none. Feedback of all senders and
// devices of a hub is in one queue. Needs ServiceConnect.
//
// Errors: CodeUnauthorizedAccess.
func (c *Client) ReceiveFeedback(ctx context.Context) (*FeedbackMessage, error) {
	return c.receiveFeedback(ctx, 0)
}

// receiveFeedback has the hub wait for feedback, in whole seconds. Only Hubward does.
func (c *Client) receiveFeedback(ctx context.Context, wait time.Duration) (*FeedbackMessage, error) {
	r := feedbackRequest(http.MethodGet)
	if wait > 0 {
		r.query = url.Values{"wait": {strconv.Itoa(int(wait / time.Second))}}
	}
	res, err := c.open(ctx, r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNoContent {
		return nil, nil
	}
	m := &FeedbackMessage{LockToken: res.Header.Get(restwire.LockToken)}
	if m.LockToken == "" {
		m.LockToken = strings.Trim(res.Header.Get("ETag"), `"`)
	}
	m.EnqueuedTime, _ = restwire.ParseTime(res.Header.Get(restwire.EnqueuedTime))
	m.DeliveryCount, _ = strconv.Atoi(res.Header.Get(restwire.DeliveryCount)) // none: 0
	return m, c.decode(r, res, &m.Records)
}

// CompleteFeedback ends the lock of a feedback message for good: it was dealt with.
//
// Errors: CodeDeviceMessageLockLost when the lock has ended: the message may come again, or has come to somebody else.
func (c *Client) CompleteFeedback(ctx context.Context, lockToken string) error {
	return c.do(ctx, feedbackRequest(http.MethodDelete, lockToken), nil)
}

// AbandonFeedback gives a feedback message back: it comes again, to this receiver or another one. Errors: as
// CompleteFeedback.
func (c *Client) AbandonFeedback(ctx context.Context, lockToken string) error {
	return c.do(ctx, feedbackRequest(http.MethodPost, lockToken, "abandon"), nil)
}

func feedbackRequest(method string, path ...string) *request {
	return &request{
		op: "service.Feedback", method: method, version: APIVersion,
		path: append([]string{"messages", "serviceBound", "feedback"}, path...),
	}
}

// FeedbackOptions are the settings of Feedback. The zero value works.
type FeedbackOptions struct {
	// OnRetry is told that a call failed and that it is tried again after wait. It runs on the goroutine that iterates.
	// nil: nobody is told.
	OnRetry func(err error, wait time.Duration)
}

// Bounds of Feedback.
const (
	feedbackWait  = 20 * time.Second // how long Hubward waits for feedback before it answers that there is none
	feedbackPause = 2 * time.Second  // at least, between calls that found nothing: the cloud service does not wait
	settleTimeout = 5 * time.Second  // for the last message when ctx has ended
)

// Feedback follows the hub's feedback queue until ctx ends or the loop is left. A message is completed when all of its
// records were given out and the loop asks for more, or is left with its last one; if the loop is left before, it is
// abandoned, and all of its records come again. So a record may come more than once. Calls that fail are tried again.
//
// An error is the last thing that it gives: ctx's; that of the first call; one with a 4xx code of a later one. Needs
// ServiceConnect.
func (c *Client) Feedback(ctx context.Context, o FeedbackOptions) iter.Seq2[*hubward.Feedback, error] {
	return func(yield func(*hubward.Feedback, error) bool) {
		r := &feedbackReader{client: c, options: o, yield: yield}
		if err := r.run(ctx); err != nil && !errors.Is(err, errLeft) {
			yield(nil, err)
		}
	}
}

// feedbackReader is one iteration of Feedback. It belongs to the goroutine that iterates.
type feedbackReader struct {
	client  *Client
	options FeedbackOptions
	yield   func(*hubward.Feedback, error) bool
}

// run receives until something final happens.
func (r *feedbackReader) run(ctx context.Context) error {
	answered, retry := false, time.Duration(0)
	for {
		began, wait := time.Now(), time.Duration(0)
		m, err := r.client.receiveFeedback(ctx, feedbackWait)
		switch {
		case ctx.Err() != nil && m == nil:
			return ctx.Err()
		case err != nil && (!answered || isFinal(err)):
			return err
		case err != nil:
			retry = min(max(2*retry, firstRetry), maxRetry)
			wait = retry
			if r.options.OnRetry != nil {
				r.options.OnRetry(err, wait)
			}
		case m == nil:
			wait = max(0, feedbackPause-time.Since(began))
		default:
			if err := r.give(ctx, m); err != nil {
				return err
			}
		}
		if err == nil {
			answered, retry = true, 0
		}
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// give hands out the records of a message and settles it. Only errLeft ends the iteration: when settling fails, the
// message comes again.
func (r *feedbackReader) give(ctx context.Context, m *FeedbackMessage) error {
	settle, left := r.client.CompleteFeedback, error(nil)
	for i := range m.Records {
		if r.yield(&m.Records[i], nil) {
			continue
		}
		if left = errLeft; i < len(m.Records)-1 {
			settle = r.client.AbandonFeedback
		}
		break
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := settle(ctx, m.LockToken); err != nil && r.options.OnRetry != nil {
		r.options.OnRetry(err, 0)
	}
	return left
}
