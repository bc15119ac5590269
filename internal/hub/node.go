package hub

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/c2d"
)

// What nodes tell each other. A request is the JSON of the type named beside it.
const (
	subjectClose        = "close"         // closeLink
	subjectMethod       = "method"        // callMethod; the answer is a methodResponse
	subjectMethodCancel = "method.cancel" // callName
	subjectMethodTaken  = "method.taken"  // identityNews: it takes methods
	subjectDesired      = "desired"       // c2d.Key: whose desired properties have changed
	subjectVisible      = "c2d.visible"   // c2d.Key
	subjectReaderEnter  = "reader.enter"  // enterReader
	subjectReaderLeave  = "reader.leave"  // leaveReader
	subjectReaderAlive  = "reader.alive"  // leaveReader; the answer is true or false
	subjectReaderEnd    = "reader.end"    // endReader
)

// What nodes announce to all.
const (
	subjectDue           = "c2d.due"        // time.Time
	subjectFeedback      = "feedback"       // feedbackNews
	subjectNotification  = "notification"   // hubNews
	subjectHubs          = "hubs"           // nothing: look at the configurations
	subjectOutbox        = "outbox"         // hubNews
	subjectMethodAwaited = "method.awaited" // awaitMethods
	subjectScopes        = "scopes"         // nothing: look at the links that Edge hubs have made for others
)

// reason is why something ended, as it travels.
type reason struct {
	Code    hubward.Code `json:"code"`
	Message string       `json:"message"`
}

func reasonOf(err error) reason {
	r := reason{Code: hubward.CodeOf(err)}
	var e *hubward.Error
	if errors.As(err, &e) {
		r.Message = e.Message
	}
	return r
}

func (r reason) err() error { return hubward.Errorf(r.Code, "%s", r.Message) }

// hubNews says which hub there is something new of.
type hubNews struct {
	Hub string `json:"hub"`
}

// identityNews says which identity there is something new of.
type identityNews struct {
	Hub      string           `json:"hub"`
	Identity hubward.Identity `json:"identity"`
}

type closeLink struct {
	Hub      string           `json:"hub"`
	Identity hubward.Identity `json:"identity"`
	Fence    uint64           `json:"fence"`
	Reason   reason           `json:"reason"`
}

// node is the Hub as other nodes call it. It implements Handler.
type node struct{ *Hub }

// Call answers a request of another node.
func (n node) Call(ctx context.Context, subject string, request []byte) ([]byte, error) {
	switch subject {
	case subjectClose:
		return nil, decoded(request, func(c closeLink) error {
			n.links.close(linkKey{c.Hub, c.Identity}, c.Fence, c.Reason.err())
			return nil
		})
	case subjectVisible:
		return nil, decoded(request, func(k c2d.Key) error {
			n.queues.Wake(k)
			return nil
		})
	case subjectMethod:
		return n.answerMethod(ctx, request)
	case subjectMethodCancel:
		return nil, decoded(request, n.callsForOthers.cancel)
	case subjectMethodTaken:
		return nil, decoded(request, n.wakeMethodWaiters)
	case subjectDesired:
		return nil, decoded(request, func(k c2d.Key) error {
			n.wakeDesired(k)
			return nil
		})
	case subjectReaderEnter:
		return nil, decoded(request, func(r enterReader) error { return n.registerReader(ctx, r) })
	case subjectReaderLeave:
		return nil, decoded(request, n.unregisterReader)
	case subjectReaderAlive:
		var alive bool
		err := decoded(request, func(r leaveReader) error {
			alive = n.isReading(r)
			return nil
		})
		return encoded(alive, err)
	case subjectReaderEnd:
		return nil, decoded(request, n.endRemotely)
	}
	return nil, hubward.Errorf(hubward.CodeInvalidOperation, "this node does not know the call %.40q", subject)
}

// Announced is told what a node has announced. Subjects of later versions are passed over.
func (n node) Announced(subject string, message []byte) {
	var err error
	switch subject {
	case subjectDue:
		err = decoded(message, func(at time.Time) error {
			n.sweepTimer.Set(at)
			return nil
		})
	case subjectFeedback:
		err = decoded(message, n.countFeedback)
	case subjectNotification:
		err = decoded(message, n.wakeNotificationWaiters)
	case subjectHubs:
		wake(n.reload)
	case subjectScopes:
		wake(n.actorsDue)
	case subjectMethodAwaited:
		err = decoded(message, n.methodAwaited)
	case subjectOutbox:
		err = decoded(message, func(news hubNews) error {
			n.outbox.add(news.Hub)
			return nil
		})
	}
	if err != nil {
		n.logger.Error("an announcement of another node could not be read", "subject", subject, "error", err)
	}
}

// decoded reads JSON and passes it on.
func decoded[T any](text []byte, f func(T) error) error {
	var v T
	if err := json.Unmarshal(text, &v); err != nil {
		return hubward.Wrap(hubward.CodeDeserializationError, "hub.decoded", err)
	}
	return f(v)
}

func encoded(v any, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, hubward.Wrap(hubward.CodeServerError, "hub.encoded", err)
	}
	return text, nil
}

// tell calls a node whose answer is only that it was told.
func (h *Hub) tell(ctx context.Context, to, subject string, request any) error {
	text, err := encoded(request, nil)
	if err != nil {
		return err
	}
	_, err = h.cluster.Call(ctx, to, subject, text)
	return err
}

// announce tells all nodes. That it may fail is the reason why everybody also looks for himself.
func (h *Hub) announce(subject string, message any) {
	var text []byte
	var err error
	if message != nil {
		text, err = encoded(message, nil)
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), tellTimeout)
		defer cancel()
		err = h.cluster.Announce(ctx, subject, text)
	}
	if err != nil {
		h.logger.Warn("the other nodes were not told of something", "subject", subject, "error", err)
	}
}
