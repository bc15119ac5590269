package amqpfront_test

import (
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/amqpfront"
)

func TestHostOf(t *testing.T) {
	for hostname, want := range map[string]string{
		"hub.example": "hub.example", "Hub.Example:5671": "Hub.Example", "localhost/$servicebus/websocket": "localhost",
		"amqps://hub.example:5671/": "hub.example", "[::1]:5671": "::1", "": "", "/": "",
	} {
		if got := amqpfront.HostOf(hostname); got != want {
			t.Errorf("%q: %q, want %q", hostname, got, want)
		}
	}
}

func TestMatchesTrace(t *testing.T) {
	rows := []struct {
		patterns          []string
		remote, container string
		want              bool
	}{
		{nil, "10.0.0.1:5", "abc", false},
		{[]string{"", " "}, "10.0.0.1:5", "abc", false},
		{[]string{"*"}, "10.0.0.1:5", "", true},
		{[]string{"10.0.0.1"}, "10.0.0.1:5", "", true},
		{[]string{"10.0.0.1"}, "10.0.0.11:5", "", false},
		{[]string{"10.0.0"}, "10.0.0.1:5", "", false},
		{[]string{"::1"}, "[::1]:5", "", true},
		{[]string{"0:0::1"}, "[::1]:5", "", true},
		{[]string{"EHConsumer-"}, "10.0.0.1:5", "EHConsumer-1", true},
		{[]string{"EHConsumer-"}, "10.0.0.1:5", "other", false},
		{[]string{"EHConsumer-"}, "10.0.0.1:5", "", false},
	}
	for _, r := range rows {
		if got := amqpfront.MatchesTrace(r.patterns, r.remote, r.container); got != r.want {
			t.Errorf("%q, %s, %q: %v", r.patterns, r.remote, r.container, got)
		}
	}
}

// Conditions are those that SDKs translate; what is unknown is our own fault.
func TestConditionOf(t *testing.T) {
	for code, want := range map[hubward.Code]string{
		hubward.CodeUnauthorizedAccess:  "amqp:unauthorized-access",
		hubward.CodeHubNotFound:         "com.microsoft:iot-hub-not-found-error",
		hubward.CodeDeviceNotFound:      "amqp:not-found",
		hubward.CodeNoSuchConsumerGroup: "amqp:not-found",
		hubward.CodeNoSuchPartition:     "com.microsoft:argument-out-of-range",
		hubward.CodeArgumentInvalid:     "com.microsoft:argument-error",
		hubward.CodeReaderDisplaced:     "amqp:link:stolen",
		hubward.CodeReaderLimit:         "amqp:resource-limit-exceeded",
		hubward.CodeServiceUnavailable:  "com.microsoft:server-busy",
		hubward.CodeServerError:         "amqp:internal-error",
		hubward.Code(123456):            "amqp:internal-error",
	} {
		if got := amqpfront.ConditionOf(code); string(got) != want {
			t.Errorf("%v: %s, want %s", code, got, want)
		}
	}
}
