package service

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hubward/hubward"
)

// HubEvents is the endpoint of what the hub itself tells of: twin changes, life cycles and connections.
const HubEvents = "hub-events"

// Sources of events, as the annotation iothub-message-source has them. Telemetry comes through the endpoint of the zero value,
// the others through HubEvents.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-non-telemetry-event-schema.
const (
	Telemetry                   = "Telemetry"
	TwinChangeEvents            = "twinChangeEvents"
	DeviceLifecycleEvents       = "deviceLifecycleEvents"
	DeviceConnectionStateEvents = "deviceConnectionStateEvents"
)

// EventsOptions say which events to read. The zero value means: telemetry of all devices, from now on.
type EventsOptions struct {
	Endpoint      string        // empty: telemetry; HubEvents
	Source        string        // events of this source only; empty: all of the endpoint
	Earliest      bool          // start at the oldest event that is kept
	From          time.Time     // start at the first event enqueued at or after it; wins over Earliest
	After         map[int]int64 // per partition number: start after that sequence number; wins over both
	DeviceID      string        // empty: all devices
	ConsumerGroup string        // empty: $Default
	// OnRetry is told that the stream broke and that it is tried again after wait. It runs on the goroutine that
	// iterates. nil: nobody is told.
	OnRetry func(err error, wait time.Duration)
}

// Bounds of an event stream.
const (
	// A message has up to 256 KiB, in which each byte may become six of JSON; its properties come on top.
	maxEventLine = 4 << 20
	// The hub writes something every 15 seconds.
	streamSilence = 45 * time.Second
	firstRetry    = time.Second
	maxRetry      = 30 * time.Second
)

var errSilence = fmt.Errorf("nothing arrived for %s", streamSilence)

// Events follows the hub's telemetry, or what the hub itself tells of, until ctx ends or the loop is left. Events of one device come in order. When the
// connection breaks it connects again and goes on after the last event it gave out, so events are neither lost nor
// repeated while they are retained. Hubward only; against the cloud service, use an Event Hubs client.
//
// An error is the last thing that it gives: ctx's; that of the first connection; one with a 4xx code of a later one,
// e.g. CodeUnauthorizedAccess after the policy's key was replaced; or what the hub itself says when it cannot go on:
// CodeServerError when the stored events are damaged. Needs ServiceConnect.
func (c *Client) Events(ctx context.Context, o EventsOptions) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		r := &eventReader{client: c, options: o, after: maps.Clone(o.After), yield: yield}
		if r.after == nil {
			r.after = map[int]int64{}
		}
		if err := r.run(ctx); err != nil && !errors.Is(err, errLeft) {
			yield(nil, err)
		}
	}
}

// errLeft says that the consumer has left its loop.
var errLeft = errors.New("the loop was left")

// eventReader is one iteration of Events. It belongs to the goroutine that iterates.
type eventReader struct {
	client  *Client
	options EventsOptions
	yield   func(*Event, error) bool

	after     map[int]int64 // where each partition has got to
	connected bool          // at least once
	progress  bool          // something arrived on the current connection
}

// run connects until something final happens.
func (r *eventReader) run(ctx context.Context) error {
	wait := time.Duration(0)
	for {
		r.progress = false
		err := r.follow(ctx)
		if ctx.Err() != nil && !errors.Is(err, errLeft) {
			return ctx.Err()
		}
		if !r.connected || isFinal(err) {
			return err
		}
		if r.progress {
			wait = 0
		} else {
			wait = min(max(2*wait, firstRetry), maxRetry)
		}
		if r.options.OnRetry != nil && err != nil {
			r.options.OnRetry(err, wait)
		}
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// isFinal reports whether connecting again cannot help.
func isFinal(err error) bool {
	var end *endError
	if errors.As(err, &end) {
		return true
	}
	var e *hubward.Error
	if errors.As(err, &e) {
		status := e.Code.HTTPStatus()
		return status/100 == 4 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests
	}
	var unknown x509.UnknownAuthorityError
	var wrongHost x509.HostnameError
	return errors.Is(err, errLeft) || errors.Is(err, errLine) || errors.As(err, &unknown) || errors.As(err, &wrongHost)
}

// errLine is wrapped by the error of a line that is no event.
var errLine = errors.New("service.Events")

// follow reads one connection to its end. A nil error means that the hub ended it.
func (r *eventReader) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(streamSilence, func() { cancel(errSilence) })
	defer watchdog.Stop()
	res, err := r.client.open(ctx, r.request())
	if err != nil {
		return orCause(ctx, err)
	}
	defer res.Body.Close()
	r.started(res)
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxEventLine)
	lines.Split(splitLine)
	for lines.Scan() {
		r.progress = true
		watchdog.Stop() // the consumer may take its time
		if err := r.give(lines.Bytes()); err != nil {
			return err
		}
		watchdog.Reset(streamSilence)
	}
	if err := lines.Err(); err != nil {
		return orCause(ctx, fmt.Errorf("the event stream broke: %w", err))
	}
	return nil
}

// orCause returns the reason why ctx ended if it did, else err.
func orCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// give hands one line to the consumer. Empty lines are the hub's heartbeat.
func (r *eventReader) give(line []byte) error {
	if len(line) == 0 {
		return nil
	}
	if bytes.HasPrefix(line, []byte(errorLine)) {
		return &endError{r.lineError(line)}
	}
	e, err := parseEvent(line)
	if err != nil {
		return fmt.Errorf("%w: %w", errLine, err)
	}
	r.after[e.partition] = e.SequenceNumber
	if !r.yield(e, nil) {
		return errLeft
	}
	return nil
}

// errorLine is what a last line begins with that says why the stream cannot go on: the envelope of an error. Events begin
// otherwise.
const errorLine = `{"Message":"ErrorCode:`

// endError is the error of such a line.
type endError struct{ err error }

func (e *endError) Error() string { return e.err.Error() }
func (e *endError) Unwrap() error { return e.err }

func (r *eventReader) lineError(line []byte) error {
	name, _, text := parseEnvelope(line)
	code, known := hubward.CodeFromName(name)
	if !known {
		code = hubward.CodeServerError
	}
	return &hubward.Error{Code: code, Op: "service.Events", Identity: hubward.Identity{Device: r.options.DeviceID}, Message: text}
}

// started notes where "from now on" began, so that partitions of which nothing has been seen yet do not skip what
// comes in while the connection is down.
func (r *eventReader) started(res *http.Response) {
	if !r.connected && r.options.From.IsZero() && !r.options.Earliest {
		began, err := http.ParseTime(res.Header.Get("Date"))
		if err != nil {
			began = r.client.tokens.now()
		}
		r.options.From = began
	}
	r.connected = true
}

func (r *eventReader) request() *request {
	o := &r.options
	query := url.Values{"from": {"latest"}}
	switch {
	case !o.From.IsZero():
		query.Set("from", o.From.UTC().Format(time.RFC3339Nano))
	case o.Earliest:
		query.Set("from", "earliest")
	}
	for name, value := range map[string]string{
		"endpoint": o.Endpoint, "source": o.Source, "device": o.DeviceID, "consumerGroup": o.ConsumerGroup,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if len(r.after) > 0 {
		var pairs []string
		for _, partition := range slices.Sorted(maps.Keys(r.after)) {
			pairs = append(pairs, strconv.Itoa(partition)+":"+strconv.FormatInt(r.after[partition], 10))
		}
		query.Set("after", strings.Join(pairs, ","))
	}
	return &request{op: "service.Events", device: o.DeviceID, method: http.MethodGet, path: []string{own, "events"}, query: query}
}

// splitLine is bufio.ScanLines, except that a last line without its line feed, which a broken connection leaves, is
// dropped.
func splitLine(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, bytes.TrimSuffix(data[:i], []byte("\r")), nil
	}
	if atEOF && len(data) > 0 {
		return len(data), nil, io.ErrUnexpectedEOF
	}
	return 0, nil, nil
}

// sleep waits for d and reports whether ctx lasted that long.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
