//go:build crash

package crashtest

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hubward/hubward"
)

// Pace of the devices that have a twin.
const (
	maxReports     = 8                     // patches of reported properties that are sent at once
	maxReportPause = 80 * time.Millisecond // between two such bursts
	maxReportRound = 20                    // bursts of a connection
)

// twinConn is a connection on which a device has its twin.
type twinConn interface {
	// get asks for the twin, and report sends patches with their request ids; what comes of them, next tells.
	get(ctx context.Context, rid string) error
	report(ctx context.Context, patches []ridPatch) error
	next(ctx context.Context) (*twinNews, error)
	close()
}

type ridPatch struct {
	rid   string
	patch []byte
}

// twinNews is what the hub says on such a connection: the answer to a request, or a change of the desired properties.
type twinNews struct {
	rid     string // empty: a change
	status  int
	version int64
	body    []byte
}

// twinDevice is a device that reports, and follows its desired properties. It is for one goroutine at a time.
type twinDevice struct {
	*device
	open   func(ctx context.Context) (twinConn, error)
	ledger *twinLedger

	// What it knows on the present connection.
	waiting map[string]*twinWrite // patches that are not answered, by request id
	desired map[string]any        // nil: it has not got its twin yet
	version int64                 // of desired
	early   []*twinNews           // changes that came before the twin
	changes int                   // that it was ever told of
}

// live connects, reports and leaves, again and again, until ctx ends or the hub is gone.
func (d *twinDevice) live(ctx context.Context, life *life) error {
	for pauseFor(ctx, time.Duration(d.rng.Int64N(int64(maxAbsence)))) {
		if err := d.visit(ctx, 1+d.rng.IntN(maxReportRound)); err != nil {
			return life.end(ctx, fmt.Errorf("%s: %w", d.id, err))
		}
	}
	return nil
}

// visit makes some bursts on one connection.
func (d *twinDevice) visit(ctx context.Context, bursts int) error {
	conn, err := d.enter(ctx)
	if err != nil {
		return err
	}
	defer conn.close()
	for range bursts {
		if err := d.burst(ctx, conn); err != nil {
			return err
		}
		if !pauseFor(ctx, time.Duration(d.rng.Int64N(int64(maxReportPause)))) {
			return nil
		}
	}
	return nil
}

// enter connects and gets the twin.
func (d *twinDevice) enter(ctx context.Context) (twinConn, error) {
	conn, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	d.waiting, d.desired, d.early = map[string]*twinWrite{}, nil, nil
	err = conn.get(ctx, "get")
	for err == nil && d.desired == nil {
		err = d.takeNext(ctx, conn)
	}
	if err != nil {
		conn.close()
		return nil, err
	}
	return conn, nil
}

// burst sends patches at once, and takes their answers and what else comes.
func (d *twinDevice) burst(ctx context.Context, conn twinConn) error {
	var patches []ridPatch
	for range 1 + d.rng.IntN(maxReports) {
		w := d.ledger.begin(&twinWrite{device: d.id, reported: true})
		rid := strconv.Itoa(w.number)
		d.waiting[rid] = w
		patches = append(patches, ridPatch{rid, []byte(canonical(w.section()))})
	}
	err := conn.report(ctx, patches)
	for err == nil && len(d.waiting) > 0 {
		err = d.takeNext(ctx, conn)
	}
	return err
}

// followUntil takes what comes until it has the desired properties of a version.
func (d *twinDevice) followUntil(ctx context.Context, conn twinConn, version int64) error {
	for d.version < version {
		if err := d.takeNext(ctx, conn); err != nil {
			return fmt.Errorf("V4: %s has desired properties of %d, and is not told of %d: %w", d.id, d.version, version, err)
		}
	}
	return nil
}

func (d *twinDevice) takeNext(ctx context.Context, conn twinConn) error {
	news, err := conn.next(ctx)
	if err != nil {
		return err
	}
	switch w := d.waiting[news.rid]; {
	case news.rid == "":
		return d.change(news)
	case news.rid == "get":
		return d.got(news)
	case w == nil:
		return violated("an answer to a request %q that nobody made", news.rid)
	case news.status != 204 && news.status != 200:
		return violated("patch %s is refused: %d %s", news.rid, news.status, news.body)
	default:
		delete(d.waiting, news.rid)
		return d.ledger.acknowledged(w, news.version)
	}
}

// got takes the twin.
func (d *twinDevice) got(news *twinNews) error {
	var twin struct{ Desired, Reported json.RawMessage }
	if err := json.Unmarshal(news.body, &twin); err != nil || news.status != 200 {
		return violated("the twin is answered with %d %.200s (%v)", news.status, news.body, err)
	}
	desired := map[string]any{}
	if err := hubward.DecodeSection(twin.Desired, &desired); err != nil {
		return violation{err}
	}
	d.desired, d.version = desired, hubward.SectionVersion(twin.Desired)
	if err := d.ledger.tell(d.id, d.version, d.desired); err != nil {
		return err
	}
	for _, change := range d.early {
		if err := d.change(change); err != nil {
			return err
		}
	}
	return nil
}

// change merges a change; one that is in the twin already is passed over.
func (d *twinDevice) change(news *twinNews) error {
	if d.desired == nil {
		d.early = append(d.early, news)
		return nil
	}
	version := hubward.SectionVersion(news.body)
	if version == 0 || news.version != 0 && news.version != version {
		return violated("V4: a change of version %d says %.200s", news.version, news.body)
	}
	if version <= d.version {
		return nil
	}
	var patch map[string]any
	if err := hubward.DecodeSection(news.body, &patch); err != nil {
		return violation{err}
	}
	merge(d.desired, patch)
	d.version = version
	d.changes++
	return d.ledger.tell(d.id, d.version, d.desired)
}

// readRID takes request id and version out of a topic's bag.
func readRID(topic string) (rid string, version int64) {
	for part := range strings.SplitSeq(topic[strings.Index(topic, "?")+1:], "&") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "$rid":
			rid = value
		case "$version":
			version, _ = strconv.ParseInt(value, 10, 64) // 0 is no version
		}
	}
	return rid, version
}
