package hub

import (
	"context"

	"github.com/hubward/hubward"
)

type callMethod struct {
	Hub      string           `json:"hub"`
	Identity hubward.Identity `json:"identity"`
	Name     string           `json:"name"`
	Payload  []byte           `json:"payload"`
}

type tellDesired struct {
	Hub      string           `json:"hub"`
	Identity hubward.Identity `json:"identity"`
	Patch    []byte           `json:"patch"`
	Version  int64            `json:"version"`
}

// deliverMethod calls a method of a connected identity, on whatever node it is, and waits for its answer until ctx ends.
//
// Errors: CodeDeviceNotOnline; CodeGatewayTimeout when ctx ends first; the cluster's.
func (h *Hub) deliverMethod(ctx context.Context, hub string, id hubward.Identity, name string, payload []byte) (MethodResult, error) {
	owner, err := h.cluster.Owner(ctx, hub, id)
	if err != nil {
		return MethodResult{}, err
	}
	if owner == nil {
		return MethodResult{}, errNotOnline(id)
	}
	call := callMethod{Hub: hub, Identity: id, Name: name, Payload: payload}
	if owner.Node == h.node {
		return h.callHere(ctx, call)
	}
	request, err := encoded(call, nil)
	if err != nil {
		return MethodResult{}, err
	}
	response, err := h.cluster.Call(ctx, owner.Node, subjectMethod, request)
	if ctx.Err() != nil {
		return MethodResult{}, errMethodTimeout(id)
	}
	if err != nil {
		return MethodResult{}, err
	}
	var result MethodResult
	err = decoded(response, func(r MethodResult) error {
		result = r
		return nil
	})
	return result, err
}

func errMethodTimeout(id hubward.Identity) error {
	return &hubward.Error{Code: hubward.CodeGatewayTimeout, Identity: id, Message: "The device '" + id.String() + "' did not answer in time."}
}

// callHere calls a method of an identity that is connected to this node.
func (h *Hub) callHere(ctx context.Context, c callMethod) (MethodResult, error) {
	l := h.links.live(linkKey{c.Hub, c.Identity})
	if l == nil {
		return MethodResult{}, errNotOnline(c.Identity)
	}
	type answer struct {
		result MethodResult
		err    error
	}
	answers := make(chan answer, 1)
	l.session.Deliver(&MethodCall{Name: c.Name, Payload: c.Payload, Respond: func(r MethodResult, err error) {
		select {
		case answers <- answer{r, err}:
		default: // it has answered before
		}
	}})
	select {
	case a := <-answers:
		return a.result, a.err
	case <-ctx.Done():
		return MethodResult{}, errMethodTimeout(c.Identity)
	}
}

func (h *Hub) answerMethod(ctx context.Context, request []byte) (response []byte, err error) {
	err = decoded(request, func(c callMethod) error {
		result, err := h.callHere(ctx, c)
		response, err = encoded(result, err)
		return err
	})
	return response, err
}

// deliverDesired tells a connected identity, on whatever node it is, of a change of its desired properties. Without a
// connection there is nobody to tell.
//
// Errors: the cluster's.
func (h *Hub) deliverDesired(ctx context.Context, hub string, id hubward.Identity, change DesiredChange) error {
	owner, err := h.cluster.Owner(ctx, hub, id)
	if err != nil || owner == nil {
		return err
	}
	t := tellDesired{Hub: hub, Identity: id, Patch: change.Patch, Version: change.Version}
	if owner.Node == h.node {
		return h.handDesired(t)
	}
	return h.tell(ctx, owner.Node, subjectDesired, t)
}

func (h *Hub) handDesired(t tellDesired) error {
	if l := h.links.live(linkKey{t.Hub, t.Identity}); l != nil {
		l.session.Deliver(&DesiredChange{Patch: t.Patch, Version: t.Version})
	}
	return nil
}
