package hub

import (
	"context"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/twindoc"
)

// What a device makes of its twin. The calls are carried out one after the other, and each done is called in that order, on a
// goroutine of the hub's; it must not block. They wait while too many are waiting, or until ctx ends; then, and when the link
// has ended, done is called with an error, perhaps before the call returns.

// GetTwin asks for the twin: done gets {"desired":{…},"reported":{…}}, with $version in both.
func (l *Link) GetTwin(ctx context.Context, done func(document []byte, err error)) {
	l.isActive()
	l.ask(ctx, twinRequest{get: done})
}

// UpdateReported merges a patch into the reported properties. done gets their $version once that is durable. ifVersion is
// the $version that they have to have, 0 for any. A patch without members changes nothing. patch is copied.
//
// Errors: CodeFormatError, CodeArgumentInvalid naming the property; CodePreconditionFailed.
func (l *Link) UpdateReported(ctx context.Context, patch []byte, ifVersion int64, done func(version int64, err error)) {
	l.isActive()
	r := twinRequest{update: done, ifVersion: ifVersion, size: len(patch)}
	r.patch, r.bad = twindoc.ParsePatch(twindoc.Reported, patch)
	l.ask(ctx, r)
}

// getTwin carries out a GetTwin.
func (l *Link) getTwin(ctx context.Context) ([]byte, error) {
	hub := l.state.ref.Name
	r, err := l.hub.store.Twin(ctx, hub, l.Principal.Identity)
	if err != nil {
		l.hub.observer.TwinRead(hub, ByDevice, false, 0)
		return nil, err
	}
	l.twin.got(r.Twin.Desired.Version)
	document := r.Twin.Desired.AppendDocument([]byte(`{"desired":`))
	document = r.Twin.Reported.AppendDocument(append(document, `,"reported":`...))
	document = append(document, '}')
	l.hub.observer.TwinRead(hub, ByDevice, true, len(document))
	return document, nil
}

// reporting is an edit that carries out a call of UpdateReported.
type reporting struct {
	ReportedEdit
	request *twinRequest
	event   hubEvent // without what it tells of
	version int64    // that the edit leaves
}

// updateReported carries out calls of UpdateReported, in one transaction. It reports whether they are on their way to the store:
// then serveOn is called when they have been answered.
func (l *Link) updateReported(ctx context.Context, requests []twinRequest) (onTheWay bool) {
	hub, at := l.state.ref.Name, l.hub.now().UTC()
	l.hub.observer.DeviceBytes(hub, bytesOf(requests))
	all := make([]reporting, len(requests))
	edits := make([]*ReportedEdit, 0, len(requests))
	for i := range requests {
		r := &requests[i]
		if r.bad == nil {
			r.bad = l.prepareReporting(&all[i], r, at)
		}
		if r.bad == nil {
			edits = append(edits, &all[i].ReportedEdit)
		}
	}
	if len(edits) == 0 {
		l.answerReported(requests, all, nil)
		return false
	}
	l.hub.store.EditReported(ctx, hub, edits, func(err error) {
		if err == nil {
			l.hub.eventsAdded(hub)
		}
		l.answerReported(requests, all, err)
		l.serveOn()
	})
	return true
}

func (l *Link) answerReported(requests []twinRequest, all []reporting, failed error) {
	for i := range requests {
		r, version := &requests[i], all[i].version
		err := orElse(r.bad, orElse(failed, all[i].Err))
		if err != nil {
			version = 0
		}
		l.hub.observer.TwinUpdated(l.state.ref.Name, ByDevice, err == nil, r.size)
		r.update(version, err)
	}
}

// prepareReporting turns a request into an edit that gives the same whenever it runs.
func (l *Link) prepareReporting(e *reporting, r *twinRequest, at time.Time) error {
	guid, err := l.hub.newGUID()
	if err != nil {
		return err
	}
	id := l.Principal.Identity
	e.ID, e.Fence, e.Edit, e.request = id, l.claim.Fence, e.edit, r
	e.event = twinEvent(l.state.ref.Name, guid, id, authorOf(&l.Principal))
	e.event.at = at
	return nil
}

func (e *reporting) edit(etag int64, old twindoc.Section) (twindoc.Section, []HubEvent, error) {
	r := e.request
	if r.ifVersion != 0 && r.ifVersion != old.Version {
		return old, nil, &hubward.Error{
			Code: hubward.CodePreconditionFailed, Identity: e.ID, Message: "The reported properties have another $version.",
		}
	}
	e.version = old.Version
	if r.patch == nil {
		return old, nil, nil
	}
	next, err := old.Merge(r.patch, e.event.at)
	if err != nil {
		return old, nil, err
	}
	e.version = next.Version
	return next, []HubEvent{reportedEvent(e.event, etag+next.Version, old, next, r.patch)}, nil
}
