package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/twindoc"
)

// followRetry is how long a store in trouble is left alone.
const followRetry = time.Second

// FollowDesired has the session get a *DesiredChange for each change of the desired properties from now on, in order, each
// after the one before was sent. If the link has got its twin before, it gets what has changed since then. On return the hub
// knows from which version on: no change after that is missed. A second call does nothing. It waits for the link's earlier
// requests.
//
// When more has changed than the store remembers, the whole desired properties come as one change.
func (l *Link) FollowDesired(ctx context.Context) error {
	done := make(chan error, 1)
	l.ask(ctx, twinRequest{follow: done, left: ctx.Err})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// UnfollowDesired ends it.
func (l *Link) UnfollowDesired() {
	l.twin.mu.Lock()
	defer l.twin.mu.Unlock()
	l.twin.unfollowLocked()
}

// follower has a session told of changes of the desired properties. Only one change is on its way at a time; what is to come
// is in the store, so a device that is slow costs nothing. The linkTwin's mutex guards the fields.
//
//	           news                  a change was handed out
//	idle ───────────────▶ reading ───────────────────────────▶ sending
//	  ▲                   │     ▲             news             │
//	  └───────────────────┘     └──────────────────────────────┤
//	  ▲   no change is there                                   │
//	  └────────────────────────────────────────────────────────┘ sent
type follower struct {
	known int64 // the version up to which the session was handed changes
	sent  int64 // the version up to which they were sent: who follows anew goes on from there
	news  bool  // there may be changes behind it
	busy  bool  // it is reading or sending
	over  bool
}

func (t *linkTwin) unfollowLocked() {
	if t.follower != nil {
		t.known = t.follower.sent
		t.follower.over = true
		t.follower = nil
	}
}

// got notes the version that the identity was told in an answer. Who follows is told of what comes after what he knows.
func (t *linkTwin) got(version int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.follower == nil {
		t.known = max(t.known, version)
	}
}

// beginFollowing carries out a FollowDesired. The follower is there before the version is read: who changes it before that is
// read, and who does so later finds the follower.
func (l *Link) beginFollowing(ctx context.Context) error {
	t := &l.twin
	f := &follower{busy: true}
	if !t.install(f) {
		return nil
	}
	desired, _, err := l.hub.store.DesiredProperties(ctx, l.state.ref.Name, l.Principal.Identity)
	t.mu.Lock()
	if err != nil {
		if t.follower == f {
			t.unfollowLocked()
		}
		t.mu.Unlock()
		return err
	}
	if f.known == 0 {
		f.known, f.sent = desired.Version, desired.Version
	}
	f.news = f.news || f.known != desired.Version
	f.busy = false
	start := f.startLocked()
	t.mu.Unlock()
	if start {
		l.hub.background(func(ctx context.Context) { l.follow(ctx, f) })
	}
	return nil
}

// install makes f the link's follower, unless it has one.
func (t *linkTwin) install(f *follower) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.follower != nil {
		return false
	}
	f.known, f.sent, f.over = t.known, t.known, t.ended
	t.follower = f
	return true
}

// startLocked reports whether a goroutine is to look for changes, and counts on it.
func (f *follower) startLocked() bool {
	start := f.news && !f.busy && !f.over
	f.busy = f.busy || start
	return start
}

// desiredNews is called when the desired properties have changed.
func (l *Link) desiredNews() {
	l.twin.mu.Lock()
	f := l.twin.follower
	start := false
	if f != nil {
		f.news = true
		start = f.startLocked()
	}
	l.twin.mu.Unlock()
	if start {
		l.hub.background(func(ctx context.Context) { l.follow(ctx, f) })
	}
}

// follow hands out the next change, if there is one. The one behind it comes when this one was sent.
func (l *Link) follow(ctx context.Context, f *follower) {
	for {
		known, more := l.twin.takeNews(f)
		if !more {
			return
		}
		desired, changes, err := l.hub.store.DesiredProperties(ctx, l.state.ref.Name, l.Principal.Identity)
		if err != nil {
			if !l.followAgain(ctx, f, err) {
				return
			}
			continue
		}
		change, version := nextChange(desired, changes, known)
		if !l.twin.handOut(f, version, version < desired.Version) {
			return
		}
		if change != nil {
			change.Sent = sync.OnceFunc(func() { l.desiredSent(f, version) })
			l.hub.observer.DeviceBytes(l.state.ref.Name, len(change.Patch))
			l.session.Deliver(change)
			return
		}
	}
}

// takeNews returns from which version on there may be changes. Without news it ends the goroutine, which asks.
func (t *linkTwin) takeNews(f *follower) (known int64, more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	more = f.news && !f.over
	f.news, f.busy = false, more
	return f.known, more
}

// handOut notes that the session is told of the changes up to a version, and that there are more. It returns false when the
// session is not to be told any more.
func (t *linkTwin) handOut(f *follower, version int64, more bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.over {
		return false
	}
	f.known = max(f.known, version)
	f.news = f.news || more
	return true
}

func (l *Link) desiredSent(f *follower, version int64) {
	l.twin.mu.Lock()
	f.busy = false
	f.sent = max(f.sent, version)
	start := f.startLocked()
	l.twin.mu.Unlock()
	if start {
		l.hub.background(func(ctx context.Context) { l.follow(ctx, f) })
	}
}

// followAgain waits before the store is asked once more. It returns false when that is of no use.
func (l *Link) followAgain(ctx context.Context, f *follower, err error) bool {
	code := hubward.CodeOf(err)
	gone := code == hubward.CodeDeviceNotFound || code == hubward.CodeModuleNotFound // and so the link will be
	if ctx.Err() != nil || gone {
		return false
	}
	l.hub.logger.Debug("a device waits to be told of its desired properties",
		"hub", l.state.ref.Name, "device", l.Principal.Identity.String(), "error", err)
	l.twin.handOut(f, 0, true) // the news is still to come
	return l.hub.waitFor(ctx, nil, followRetry)
}

// nextChange returns the oldest change of which who knows a version is to be told, nil when there is none, and the version that
// he knows then. Where the changes do not reach back to what he knows, it is all that the desired properties are now, with
// null for what is known to be gone. Changes that leave nothing to tell but the version are passed over: clients do not take
// them.
func nextChange(desired twindoc.Section, changes []DesiredChange, known int64) (*DesiredChange, int64) {
	if desired.Version <= known {
		return nil, known
	}
	for len(changes) > 0 && changes[0].Version <= known {
		changes = changes[1:]
	}
	if len(changes) == 0 || changes[0].Version != known+1 {
		return wholeChange(desired, changes), desired.Version
	}
	for i := range changes {
		if c := &changes[i]; !isNothing(c.Patch) {
			return &DesiredChange{Version: c.Version, Patch: c.Patch}, c.Version
		}
	}
	return nil, desired.Version
}

// wholeChange returns all that the desired properties are, and null for each member that one of the changes has removed; nil
// when there is neither.
func wholeChange(desired twindoc.Section, changes []DesiredChange) *DesiredChange {
	whole := membersOf(desired.Document)
	if whole == nil { // {}
		whole = make(map[string]any)
	}
	for i := range changes {
		addRemoved(whole, membersOf(changes[i].Patch))
	}
	delete(whole, "$version") // that of a change
	if len(whole) == 0 {
		return nil
	}
	var patch bytes.Buffer
	encoder := json.NewEncoder(&patch)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(whole) != nil { // it cannot be: it was decoded
		return nil
	}
	text := bytes.TrimSuffix(bytes.TrimSpace(patch.Bytes()), []byte("}"))
	text = strconv.AppendInt(append(text, `,"$version":`...), desired.Version, 10)
	return &DesiredChange{Version: desired.Version, Patch: append(text, '}')}
}

// membersOf takes an object apart that the hub has written, numbers as they stand there; nil for what is none.
func membersOf(object []byte) map[string]any {
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	var members map[string]any
	if d.Decode(&members) != nil {
		return nil
	}
	return members
}

// addRemoved adds null for what a patch removes and is not there.
func addRemoved(to, patch map[string]any) {
	for name, value := range patch {
		now, there := to[name]
		switch value := value.(type) {
		case nil:
			if !there {
				to[name] = nil
			}
		case map[string]any:
			if object, ok := now.(map[string]any); ok {
				addRemoved(object, value)
			}
		}
	}
}

// isNothing reports whether a change has no patch, also after its way through JSON.
func isNothing(patch []byte) bool { return len(patch) == 0 || string(patch) == "null" }
