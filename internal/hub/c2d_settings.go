package hub

import (
	"cmp"
	"time"

	"github.com/hubward/hubward"
)

// C2DSettings are a hub's settings of cloud-to-device messages and their feedback. Zero members mean their defaults; in
// the Config of a hub none is zero.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-c2d, configuration options.
type C2DSettings struct {
	DefaultTTL               time.Duration // of a message without an expiry: 1 min to 2 d; 1 h
	MaxDeliveryCount         int           // 1 to 100; 10
	FeedbackTTL              time.Duration // 1 min to 2 d; 1 h
	FeedbackLock             time.Duration // 5 to 300 s; 60 s
	FeedbackMaxDeliveryCount int           // 1 to 100; 10
}

var defaultC2DSettings = C2DSettings{
	DefaultTTL: time.Hour, MaxDeliveryCount: 10,
	FeedbackTTL: time.Hour, FeedbackLock: time.Minute, FeedbackMaxDeliveryCount: 10,
}

// or returns s with its zero members replaced by those of other.
func (s C2DSettings) or(other C2DSettings) C2DSettings {
	return C2DSettings{
		DefaultTTL:               cmp.Or(s.DefaultTTL, other.DefaultTTL),
		MaxDeliveryCount:         cmp.Or(s.MaxDeliveryCount, other.MaxDeliveryCount),
		FeedbackTTL:              cmp.Or(s.FeedbackTTL, other.FeedbackTTL),
		FeedbackLock:             cmp.Or(s.FeedbackLock, other.FeedbackLock),
		FeedbackMaxDeliveryCount: cmp.Or(s.FeedbackMaxDeliveryCount, other.FeedbackMaxDeliveryCount),
	}
}

// check names the member that is out of its range, as the cloud's management API would.
func (s C2DSettings) check() error {
	for _, d := range []struct {
		name          string
		value, lo, hi time.Duration
	}{
		{"cloudToDevice.defaultTtl", s.DefaultTTL, time.Minute, maxC2DTTL},
		{"cloudToDevice.feedback.ttl", s.FeedbackTTL, time.Minute, maxC2DTTL},
		{"cloudToDevice.feedback.lockDuration", s.FeedbackLock, minC2DLock, maxC2DLock},
	} {
		if d.value < d.lo || d.value > d.hi {
			return hubward.Errorf(hubward.CodeArgumentInvalid, "%s: %s is not within %s to %s", d.name, d.value, d.lo, d.hi)
		}
	}
	for _, n := range []struct {
		name  string
		value int
	}{
		{"cloudToDevice.maxDeliveryCount", s.MaxDeliveryCount},
		{"cloudToDevice.feedback.maxDeliveryCount", s.FeedbackMaxDeliveryCount},
	} {
		if n.value < 1 || n.value > 100 {
			return hubward.Errorf(hubward.CodeArgumentInvalid, "%s: %d is not within 1 to 100", n.name, n.value)
		}
	}
	return nil
}
