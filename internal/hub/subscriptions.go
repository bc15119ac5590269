package hub

import (
	"context"

	"github.com/hubward/hubward"
)

// StartSession begins the MQTT session of a connected device. A clean one forgets what was stored; otherwise the
// stored filters are returned, and present says whether there was a session.
//
// Source: spec/device.md 2.6.
func (l *Link) StartSession(ctx context.Context, clean bool) (subs []Subscription, present bool, err error) {
	if clean {
		return nil, false, l.hub.store.DeleteSession(ctx, l.state.name, l.Principal.Device)
	}
	return l.hub.store.Subscriptions(ctx, l.state.name, l.Principal.Device)
}

// SaveSubscriptions stores the filters of a session that outlives its connection, and returns when they are durable. A
// link that has been taken over stores nothing: the session is another's now.
func (l *Link) SaveSubscriptions(ctx context.Context, subs []Subscription) error {
	if l.hub.sessions.live(l.key()) != l {
		return hubward.Errorf(hubward.CodeConnectionClosedOnNewOne, "the device connected again")
	}
	return l.hub.store.SaveSubscriptions(ctx, l.state.name, l.Principal.Device, subs)
}
