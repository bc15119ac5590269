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

// updateReported carries out calls of UpdateReported, in one transaction.
func (l *Link) updateReported(ctx context.Context, requests []twinRequest) {
	hub, at := l.state.ref.Name, l.hub.now().UTC()
	l.hub.observer.DeviceBytes(hub, bytesOf(requests))
	versions := make([]int64, len(requests))
	edits := make([]*ReportedEdit, len(requests))
	runnable := make([]*ReportedEdit, 0, len(requests))
	for i := range requests {
		r := &requests[i]
		if r.bad == nil {
			edits[i], r.bad = l.reportedEdit(r, at, &versions[i])
		}
		if r.bad == nil {
			runnable = append(runnable, edits[i])
		}
	}
	var failed error
	if len(runnable) > 0 {
		if failed = l.hub.store.EditReported(ctx, hub, runnable); failed == nil {
			l.hub.eventsAdded(hub)
		}
	}
	for i := range requests {
		r := &requests[i]
		err := orElse(r.bad, failed)
		if err == nil {
			err = edits[i].Err
		}
		if err != nil {
			versions[i] = 0
		}
		l.hub.observer.TwinUpdated(hub, ByDevice, err == nil, r.size)
		r.update(versions[i], err)
	}
}

// reportedEdit turns a request into an edit that gives the same whenever it runs, and tells the version that it leaves.
func (l *Link) reportedEdit(r *twinRequest, at time.Time, version *int64) (*ReportedEdit, error) {
	guid, err := l.hub.newGUID()
	if err != nil {
		return nil, err
	}
	id := l.Principal.Identity
	event := twinEvent(l.state.ref.Name, guid, id, authorOf(&l.Principal))
	event.at = at
	return &ReportedEdit{ID: id, Edit: func(etag int64, old twindoc.Section) (twindoc.Section, []HubEvent, error) {
		if r.ifVersion != 0 && r.ifVersion != old.Version {
			return old, nil, &hubward.Error{
				Code: hubward.CodePreconditionFailed, Identity: id, Message: "The reported properties have another $version.",
			}
		}
		*version = old.Version
		if r.patch == nil {
			return old, nil, nil
		}
		next, err := old.Merge(r.patch, at)
		if err != nil {
			return old, nil, err
		}
		*version = next.Version
		return next, []HubEvent{reportedEvent(event, etag+next.Version, old, next, r.patch)}, nil
	}}, nil
}
