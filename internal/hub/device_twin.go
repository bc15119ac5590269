package hub

import "context"

// What a device makes of its twin. The calls are carried out one after the other, and each done is called in that order, on a
// goroutine of the hub's; it must not block. They wait while too many are waiting, or until ctx ends; then, and when the link
// has ended, done is called with an error.

// GetTwin asks for the twin: done gets {"desired":{…},"reported":{…}}, with $version in both.
func (l *Link) GetTwin(ctx context.Context, done func(document []byte, err error)) {
	done(nil, errNotBuilt)
}

// UpdateReported merges a patch into the reported properties. done gets their $version once that is durable. ifVersion is
// the $version that they have to have, 0 for any. patch is copied.
//
// Errors: CodeFormatError, CodeArgumentInvalid naming the property; CodePreconditionFailed.
func (l *Link) UpdateReported(ctx context.Context, patch []byte, ifVersion int64, done func(version int64, err error)) {
	done(0, errNotBuilt)
}

// FollowDesired has the session get a *DesiredChange for each change of the desired properties from now on, in order, each
// after the one before was sent. If the link has got its twin before, it gets what has changed since then. On return the hub
// knows from which version on: no change after that is missed. A second call does nothing.
func (l *Link) FollowDesired(ctx context.Context) error { return errNotBuilt }

// UnfollowDesired ends it.
func (l *Link) UnfollowDesired() {}
