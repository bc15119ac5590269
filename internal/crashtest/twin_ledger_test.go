//go:build crash

package crashtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/hubward/hubward"
)

// keep is how many writes back a write removes what an earlier one has written, so that documents stay small.
const keep = 30

// twinWrite is one numbered write of a back end, or of a device to its own reported properties. Each of its sections is
// another document than that of any other write, so that one that is lost, or half there, or there twice, shows.
type twinWrite struct {
	device   string
	number   int
	reported bool // a device made it
	replace  bool // PUT, else PATCH
	tags     bool // it has the section; of a back end
	desired  bool

	// Guarded by twinLedger.mu.
	state sendState
	floor int64 // the counter below that of this write, when it was begun: that of the newest one that was answered
	count int64 // its counter, as the answer says: the twin's etag, or $version of the reported properties
}

// section is what the write says of a section, as JSON.
func (w *twinWrite) section() map[string]any {
	s := map[string]any{"n": w.number, fmt.Sprintf("w%d", w.number): map[string]any{"x": w.number}}
	if w.number >= keep && !w.replace {
		s[fmt.Sprintf("w%d", w.number-keep)] = nil
	}
	return s
}

// shownTwin is a twin as some answer has shown it.
type shownTwin struct {
	etag, desired, reported int64  // its counters
	digest                  string // of the sections
}

// twinLedger knows all writes, and what of the twins was ever shown. It is safe for concurrent use.
type twinLedger struct {
	mu       sync.Mutex // guards all fields and those of the writes
	twins    map[string]*twinRecord
	answered chan struct{} // closed with the next acknowledged write; nil: nobody waits
}

// twinRecord is what is known of one twin.
type twinRecord struct {
	backEnds, reports []*twinWrite        // by number
	etag, reported    int64               // the highest counters that acknowledged writes had
	version           int64               // the highest one that an answer had
	byCount           map[string]int      // the number of the write that has a counter
	shown             map[int64]shownTwin // by version of the twin
	told              map[int64]string    // by $version of the desired properties: what the device made of what it was told
}

func newTwinLedger(fleet []*device) *twinLedger {
	l := &twinLedger{twins: map[string]*twinRecord{}}
	for _, d := range fleet {
		l.twins[d.id] = &twinRecord{
			etag: 1, reported: 1, version: 2, byCount: map[string]int{}, shown: map[int64]shownTwin{}, told: map[int64]string{},
		}
	}
	return l
}

// begin makes a write.
func (l *twinLedger) begin(w *twinWrite) *twinWrite {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.twins[w.device]
	w.state = unknown
	if w.reported {
		w.number, w.floor = len(r.reports), r.reported
		r.reports = append(r.reports, w)
	} else {
		w.number, w.floor = len(r.backEnds), r.etag
		r.backEnds = append(r.backEnds, w)
	}
	return w
}

// refused notes that the hub has certainly not stored a write.
func (l *twinLedger) refused(w *twinWrite) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.state = unsent
}

// acknowledged notes that a write is stored, and checks V2 for its counter.
func (l *twinLedger) acknowledged(w *twinWrite, count int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.twins[w.device]
	w.state, w.count = accepted, count
	key, highest := fmt.Sprint(w.reported, count), &r.etag
	if w.reported {
		highest = &r.reported
	}
	if count <= w.floor {
		return violated("V2: write %d of %s got %d, and was begun when there was %d", w.number, w.device, count, w.floor)
	}
	if other, ok := r.byCount[key]; ok {
		return violated("V2: writes %d and %d of %s both got %d", other, w.number, w.device, count)
	}
	r.byCount[key] = w.number
	*highest = max(*highest, count)
	if l.answered != nil {
		close(l.answered)
		l.answered = nil
	}
	return nil
}

// await returns a channel that is closed with the next acknowledged write.
func (l *twinLedger) await() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.answered == nil {
		l.answered = make(chan struct{})
	}
	return l.answered
}

// floor is the version that a twin that is asked for now has at least.
func (l *twinLedger) floor(device string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.twins[device].version, l.twins[device].etag+l.twins[device].reported)
}

// show notes a twin that an answer has shown, and checks V2 for it. floor is what its version has to be at least.
func (l *twinLedger) show(t *hubward.Twin, floor int64) error {
	got, err := answerOf(t)
	if err != nil {
		return violation{err}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.twins[t.DeviceID]
	if t.Version != got.etag+got.reported {
		return violated("V3: the twin of %s has version %d, etag %d and reported properties of %d", t.DeviceID, t.Version, got.etag, got.reported)
	}
	if t.Version < floor {
		return violated("V2: the twin of %s had version %d and has %d", t.DeviceID, floor, t.Version)
	}
	if known, ok := r.shown[t.Version]; ok && known != got {
		return violated("V2: version %d of the twin of %s stands for two documents", t.Version, t.DeviceID)
	}
	r.shown[t.Version] = got
	r.version = max(r.version, t.Version)
	return nil
}

// tell notes what a device has made of what it was told, and checks V2 for it.
func (l *twinLedger) tell(device string, version int64, document map[string]any) error {
	text := canonical(document)
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.twins[device]
	if known, ok := r.told[version]; ok && known != text {
		return violated("V4: %s has desired properties %s of %d, and had %s", device, text, version, known)
	}
	r.told[version] = text
	return nil
}

// answerOf reads a twin.
func answerOf(t *hubward.Twin) (shownTwin, error) {
	etag, err := etagCount(t.ETag)
	if err != nil {
		return shownTwin{}, err
	}
	a := shownTwin{etag: etag, desired: hubward.SectionVersion(t.Properties.Desired), reported: hubward.SectionVersion(t.Properties.Reported)}
	var documents [3]map[string]any
	for i, section := range []json.RawMessage{t.Tags, t.Properties.Desired, t.Properties.Reported} {
		if err := hubward.DecodeSection(section, &documents[i]); err != nil {
			return a, err
		}
	}
	a.digest = digest(documents)
	return a, nil
}

// digest stands for the sections of a twin.
func digest(sections [3]map[string]any) string {
	var b bytes.Buffer
	for _, s := range sections {
		fmt.Fprintln(&b, canonical(s))
	}
	sum := sha256.Sum256(b.Bytes())
	return fmt.Sprintf("%x", sum[:8])
}

// canonical is a document as JSON, with sorted members; that of nil is {}.
func canonical(document map[string]any) string {
	if document == nil {
		return "{}"
	}
	text, err := json.Marshal(document)
	if err != nil {
		panic(err) // it was JSON
	}
	return string(text)
}

// merge applies a JSON merge patch (RFC 7396) to a document, which is not nil.
func merge(document, patch map[string]any) {
	for name, value := range patch {
		inner, isObject := value.(map[string]any)
		switch {
		case value == nil:
			delete(document, name)
		case isObject:
			old, _ := document[name].(map[string]any)
			if old == nil {
				old = map[string]any{}
			}
			merge(old, inner)
			document[name] = old
		default:
			document[name] = value
		}
	}
}
