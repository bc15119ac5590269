package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
)

const (
	// simulateIntroduction is how long a simulation waits, before its first message, for the hub to take what it reports.
	simulateIntroduction = 5 * time.Second
	// What a back end may make of the time between messages.
	minSimulateInterval = time.Millisecond
	maxSimulateInterval = 24 * time.Hour
)

// The codes of an acknowledgement that are used here.
//
// Source: learn.microsoft.com/azure/iot/concepts-convention, writable properties.
const (
	ackDone    = 200
	ackInitial = 203 // nobody has set it: it is the device's own
	ackRefused = 400
)

// acknowledgement is how a device of a Plug and Play model reports a property that back ends may write.
//
// Source: learn.microsoft.com/azure/iot/concepts-convention, writable properties.
type acknowledgement struct {
	Value       any    `json:"value"`
	Code        int    `json:"ac"`
	Version     int64  `json:"av"` // of the desired properties
	Description string `json:"ad,omitempty"`
}

// behave has the device answer methods and keep its twin. Over HTTPS there are none.
func (s *simulation) behave(client *device.Client) error {
	if s.overHTTPS() {
		return nil
	}
	return errors.Join(
		client.OnDesired(func(ctx context.Context, d device.DesiredChange) { s.onDesired(ctx, client, d) }),
		client.HandleMethod("setInterval", s.answering(func(ctx context.Context, r *device.MethodRequest) (int, any, error) {
			return s.setInterval(ctx, client, r)
		})),
		client.HandleMethod("reboot", s.answering(func(ctx context.Context, _ *device.MethodRequest) (int, any, error) {
			now := hubward.Time{Time: time.Now()}.String()
			_, err := client.UpdateReported(ctx, map[string]any{"lastReboot": now})
			return 200, map[string]string{"lastReboot": now}, err
		})),
		client.HandleMethod("", s.answering(func(_ context.Context, r *device.MethodRequest) (int, any, error) {
			return 501, map[string]string{"error": fmt.Sprintf("there is no method %q, only reboot and setInterval", r.Name)}, nil
		})),
	)
}

func (s *simulation) overHTTPS() bool { return device.Protocol(s.flags.protocol) == device.HTTPS }

// introduce reports what the device is, before its first message.
func (s *simulation) introduce(ctx context.Context, client *device.Client) {
	if s.overHTTPS() {
		return
	}
	wait, cancel := context.WithTimeout(ctx, simulateIntroduction)
	defer cancel()
	if _, err := client.UpdateReported(wait, map[string]any{"firmware": buildInfo().Version}); err != nil && ctx.Err() == nil {
		s.tell("the hub has not taken what the device reports: %s", oneLine(err.Error()))
	}
}

// onDesired applies the desired interval, and reports what has become of it.
func (s *simulation) onDesired(ctx context.Context, client *device.Client, d device.DesiredChange) {
	s.mu.Lock()
	first := s.desired == 0
	s.desired = d.Version
	s.mu.Unlock()
	var members map[string]json.RawMessage
	if err := d.Decode(&members); err != nil {
		s.tell("desired properties of version %d cannot be read: %v", d.Version, err)
		return
	}
	text, given := members["interval"]
	switch {
	case given && string(text) != "null":
		s.desire(ctx, client, text)
	case given || first: // nobody desires one: it is that of the command line
		s.setPace(s.initial)
		s.acknowledge(ctx, client, ackInitial, "as started")
		if !first {
			s.tell("interval %v, as started: none is desired", s.initial)
		}
	default:
		s.tell("desired properties changed, version %d", d.Version)
	}
}

// desire applies a desired interval.
func (s *simulation) desire(ctx context.Context, client *device.Client, text []byte) {
	interval, err := parseSeconds(text)
	if err != nil {
		s.acknowledge(ctx, client, ackRefused, err.Error())
		return
	}
	s.setPace(interval)
	s.acknowledge(ctx, client, ackDone, "desired")
}

// setInterval is the method of that name: its payload is a number of seconds, or an object with such an "interval".
func (s *simulation) setInterval(ctx context.Context, client *device.Client, r *device.MethodRequest) (int, any, error) {
	text := []byte(r.Payload)
	var object struct{ Interval json.RawMessage }
	if json.Unmarshal(text, &object) == nil && object.Interval != nil {
		text = object.Interval
	}
	interval, err := parseSeconds(text)
	if err != nil {
		return 400, map[string]string{"error": err.Error()}, nil
	}
	s.setPace(interval)
	s.acknowledge(ctx, client, ackDone, "set by a method")
	return 200, map[string]float64{"interval": interval.Seconds()}, nil
}

// parseSeconds reads a number of seconds.
func parseSeconds(text []byte) (time.Duration, error) {
	var seconds *float64
	if err := json.Unmarshal(text, &seconds); err != nil || seconds == nil {
		return 0, errors.New("the interval has to be a number of seconds")
	}
	if *seconds < minSimulateInterval.Seconds() || *seconds > maxSimulateInterval.Seconds() {
		return 0, fmt.Errorf("the interval has to be %v to %v seconds", minSimulateInterval.Seconds(), maxSimulateInterval.Seconds())
	}
	return time.Duration(*seconds * float64(time.Second)), nil
}

// acknowledge reports the interval as it is, and why.
func (s *simulation) acknowledge(ctx context.Context, client *device.Client, code int, why string) {
	s.mu.Lock()
	interval, version := s.interval, s.desired
	s.mu.Unlock()
	if code == ackInitial {
		version = 0
	}
	ack := acknowledgement{Value: interval.Seconds(), Code: code, Version: version, Description: why}
	_, err := client.UpdateReported(ctx, map[string]any{"interval": ack})
	switch {
	case err == nil && code == ackInitial: // of no news
	case err == nil:
		s.tell("interval %v, acknowledged with %d (%s)", interval, code, why)
	case ctx.Err() == nil && client.Err() == nil:
		s.tell("interval %v, not reported: %s", interval, oneLine(err.Error()))
	}
}

// answering prints a line for each call.
func (s *simulation) answering(handle device.MethodHandler) device.MethodHandler {
	return func(ctx context.Context, r *device.MethodRequest) (int, any, error) {
		status, payload, err := handle(ctx, r)
		if err != nil {
			s.tell("method %s: 500, %s", r.Name, oneLine(err.Error()))
		} else {
			s.tell("method %s: %d", r.Name, status)
		}
		return status, payload, err
	}
}

// tell prints a line on standard error.
func (s *simulation) tell(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.env.Stderr, "%shubward: %s\n", s.clearLine(), fmt.Sprintf(format, args...))
}

// setPace changes the time between messages.
func (s *simulation) setPace(interval time.Duration) {
	s.mu.Lock()
	changed := s.interval != interval
	s.interval = interval
	s.mu.Unlock()
	if !changed {
		return
	}
	select {
	case s.repaced <- struct{}{}:
	default: // the sender will see it
	}
}

// pace is the time between messages.
func (s *simulation) pace() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.interval
}

// await waits until the next message is due, and reports false when there is none: ctx or the client has ended.
func (s *simulation) await(ctx context.Context, client *device.Client, due *time.Timer) bool {
	for s.pace() > 0 {
		select {
		case <-due.C:
			due.Reset(s.pace())
			return true
		case <-s.repaced:
			due.Reset(s.pace())
		case <-ctx.Done():
			return false
		case <-client.Done():
			return false
		}
	}
	return ctx.Err() == nil
}
