package restfront

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
)

// chunkSize is how many bytes of lines are gathered before they are written although more events are at hand. A chunk
// is larger by at most one line.
const chunkSize = 32 << 10

// drainWriteTimeout is how long the client of a stream may leave written bytes unread while the process drains.
const drainWriteTimeout = time.Second

// streamEvents follows what a hub's devices, or the hub itself, tell: one JSON event per line, an empty line when nothing else was written for a
// while. The stream lasts until the client leaves, its token is no longer good, the hub or the consumer group is deleted, or
// the process drains.
func streamEvents(c *call) error {
	q, err := eventQuery(c.r.URL.Query())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(c.r.Context())
	s := &stream{call: c, ctx: ctx, principal: c.principal, chunks: make(chan []byte), spare: make(chan []byte, 1)}
	var wg sync.WaitGroup
	wg.Go(func() {
		s.readErr = c.server.hub.ReadEvents(ctx, &s.principal, q, s.visit)
		close(s.chunks)
	})
	wg.Go(s.hurryToDrain)
	err = s.write()
	cancel()
	wg.Wait()
	return err
}

// stream is one event stream: the hub's reader gathers lines into chunks on its own goroutine, the handler's goroutine
// writes them. Two chunks travel between them, so a slow client slows its reader down and costs no more memory.
type stream struct {
	call      *call            // the reader does not touch it
	ctx       context.Context  // of the stream; ends the reader
	principal access.Principal // who opened the stream

	chunks  chan []byte // reader to writer; closed when the reader has ended
	spare   chan []byte // writer to reader: a written chunk, to be used again
	readErr error       // how the reader ended; read it after chunks is closed

	// Touched only by the reader.
	gathered []byte
	greeted  bool // the writer has got a chunk, so the client its header
}

// visit takes one event from the hub, or nil when there are no more for now.
func (s *stream) visit(e *hubward.Event) error {
	if e == nil {
		if len(s.gathered) == 0 && s.greeted {
			return nil
		}
		return s.handOver()
	}
	line, err := appendEvent(s.gathered, e)
	if err != nil {
		return err
	}
	s.gathered = line
	if len(s.gathered) < chunkSize {
		return nil
	}
	return s.handOver()
}

func (s *stream) handOver() error {
	select {
	case s.chunks <- s.gathered:
		s.greeted = true
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
	select {
	case s.gathered = <-s.spare:
	default:
		s.gathered = nil
	}
	return nil
}

// write copies chunks to the client until either side ends. An error is returned only while nothing was written: it
// becomes the answer.
func (s *stream) write() error {
	started, silent := false, true
	beat := time.NewTicker(s.call.server.heartbeat)
	defer beat.Stop()
	for {
		var chunk []byte
		select {
		case next, ok := <-s.chunks:
			if !ok {
				return s.ended(started)
			}
			chunk, silent = next, false
		case <-beat.C:
			if err := s.authenticateAgain(); err != nil && !started {
				return err
			} else if err != nil {
				s.call.log().Debug("event stream ended", "reason", "its token is no longer good", "error", err)
				return nil
			}
			if !silent {
				silent = true
				continue
			}
			chunk = []byte("\n")
		case <-s.call.server.stop.Done():
			if !started {
				return hubward.Errorf(hubward.CodeServiceUnavailable, "the hub is shutting down")
			}
			return nil
		}
		first := !started
		if first {
			s.begin()
			started = true
		}
		if err := s.send(chunk); err != nil {
			s.call.log().Debug("event stream ended", "reason", "the client does not read", "error", err)
			return nil
		}
		if first { // net/http has read the request's body by now, if there was one: what it waits for now is the client's end
			http.NewResponseController(s.call.w).SetReadDeadline(time.Time{})
		}
		s.giveBack(chunk)
	}
}

// authenticateAgain fails when the stream's token would be refused by now, or would permit something else.
func (s *stream) authenticateAgain() error {
	s.call.renew()
	if err := reader(s.call); err != nil {
		return err
	}
	if s.call.principal.Permissions != s.principal.Permissions {
		return unauthorized(errors.New("the policy's permissions were changed"))
	}
	return nil
}

// begin writes the header. The connection is closed after the stream, together with its write deadline.
func (s *stream) begin() {
	s.call.setHeader("Content-Type", "application/x-ndjson")
	s.call.setHeader("Cache-Control", "no-store")
	s.call.setHeader("Connection", "close")
	s.call.w.WriteHeader(http.StatusOK)
}

// send writes a chunk in pieces, each of which the client has to take in time: a large one has its time on a slow line.
func (s *stream) send(chunk []byte) error {
	for piece := range slices.Chunk(chunk, chunkSize) {
		s.setWriteDeadline()
		if _, err := s.call.w.Write(piece); err != nil {
			return err
		}
	}
	return http.NewResponseController(s.call.w).Flush()
}

func (s *stream) setWriteDeadline() {
	rc := http.NewResponseController(s.call.w)
	// Sockets know only the real clock. A writer without deadlines, as in tests, is fine without one.
	rc.SetWriteDeadline(time.Now().Add(s.call.server.streamWriteTimeout))
	select {
	case <-s.call.server.stop.Done(): // hurryToDrain may have been before us
		rc.SetWriteDeadline(time.Now().Add(drainWriteTimeout))
	default:
	}
}

// hurryToDrain shortens the write that may be under way when the process drains: a client that does not read must not decide
// how long that takes.
func (s *stream) hurryToDrain() {
	select {
	case <-s.call.server.stop.Done():
		http.NewResponseController(s.call.w).SetWriteDeadline(time.Now().Add(drainWriteTimeout))
	case <-s.ctx.Done():
	}
}

// giveBack lets the reader use a chunk again, unless one large event has blown it up.
func (s *stream) giveBack(chunk []byte) {
	if cap(chunk) > 4*chunkSize {
		return
	}
	select {
	case s.spare <- chunk[:0]:
	default:
	}
}

// ended says how the stream ends when its reader has. A client of a stream that has begun is told by a last line why it cannot
// go on; of what passes, it finds out when it connects again.
func (s *stream) ended(started bool) error {
	if !started {
		return s.readErr
	}
	left := errors.Is(s.readErr, context.Canceled)
	code, text := describe(s.readErr)
	deleted := code == hubward.CodeNoSuchHub || code == hubward.CodeNoSuchConsumerGroup
	var damage *hub.DamageError
	damaged := errors.As(s.readErr, &damage)
	if s.readErr != nil && !left && !deleted {
		level := slog.LevelError
		if damaged { // the log has told of it
			level = slog.LevelDebug
		}
		s.call.log().Log(s.ctx, level, "event stream ended", "reason", "reading failed", "error", s.readErr)
	}
	if damaged {
		s.sendError(s.call.envelope(code, text))
	}
	return nil
}

// sendError writes a last line.
func (s *stream) sendError(e envelope) {
	line, err := json.Marshal(e)
	if err == nil {
		err = s.send(append(line, '\n'))
	}
	if err != nil {
		s.call.log().Debug("event stream ended", "reason", "the client does not read", "error", err)
	}
}

// eventQuery reads the query parameters of the stream:
//
//	from=earliest|latest|RFC 3339   where to start; latest when absent
//	after=0:12,3:7                  per partition: start after that sequence number, wins over from
//	endpoint=events|hub-events      telemetry, or what the hub itself tells of; events when absent
//	source=NAME                     events with that iothub-message-source only
//	device=ID                       that device's events only
//	consumerGroup=NAME              $Default when absent
func eventQuery(values url.Values) (hub.EventQuery, error) {
	q := hub.EventQuery{
		Endpoint: hub.Endpoint(values.Get("endpoint")), Source: values.Get("source"),
		ConsumerGroup: values.Get("consumerGroup"), DeviceID: values.Get("device"),
	}
	if q.DeviceID != "" {
		if err := hubward.ValidateID(q.DeviceID); err != nil {
			return q, hubward.Errorf(hubward.CodeArgumentInvalid, "device: %.128q is no device id", q.DeviceID)
		}
	}
	var err error
	if q.From, err = parsePosition(values.Get("from")); err != nil {
		return q, err
	}
	q.After, err = parseSequences(values.Get("after"))
	return q, err
}

func parsePosition(text string) (hub.Position, error) {
	switch text {
	case "", "latest":
		return hub.Position{Kind: hub.PositionLatest}, nil
	case "earliest":
		return hub.Position{Kind: hub.PositionEarliest}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return hub.Position{}, hubward.Errorf(hubward.CodeArgumentInvalid, "from: %.40q is not earliest, latest or an RFC 3339 time", text)
	}
	return hub.Position{Kind: hub.PositionTime, Time: t.UTC(), Inclusive: true}, nil
}

// parseSequences reads "partition:sequence number" pairs, joined by commas.
func parseSequences(text string) (map[int]int64, error) {
	if text == "" {
		return nil, nil
	}
	sequences := map[int]int64{}
	for pair := range strings.SplitSeq(text, ",") {
		partitionText, numberText, _ := strings.Cut(pair, ":")
		partition, err := strconv.Atoi(partitionText)
		number, err2 := strconv.ParseInt(numberText, 10, 64)
		if err != nil || err2 != nil || partition < 0 || partition >= hub.MaxPartitions || number < 0 || number == math.MaxInt64 {
			return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "after: %.40q is not PARTITION:NUMBER", pair)
		}
		if _, twice := sequences[partition]; twice {
			return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "after: partition %d stands there twice", partition)
		}
		sequences[partition] = number
	}
	return sequences, nil
}
