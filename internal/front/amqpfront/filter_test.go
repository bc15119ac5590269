package amqpfront_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/internal/hub"
)

// Start positions as the clients write them: .NET and the Azure CLI without quotes, the others with them; older ones call
// the time x-opt-enqueuedtimeutc.
var selectors = map[string]hub.Position{
	"amqp.annotation.x-opt-offset > '-1'":                         {},
	"amqp.annotation.x-opt-offset > -1":                           {},
	"amqp.annotation.x-opt-offset >= '-1'":                        {},
	"amqp.annotation.x-opt-offset > '@latest'":                    {Kind: hub.PositionLatest},
	"amqp.annotation.x-opt-offset > @latest":                      {Kind: hub.PositionLatest},
	"amqp.annotation.x-opt-offset >= '@Latest'":                   {Kind: hub.PositionLatest, Inclusive: true},
	"amqp.annotation.x-opt-offset > '12345'":                      {Kind: hub.PositionOffset, Sequence: 12345},
	"amqp.annotation.x-opt-offset >= '12345'":                     {Kind: hub.PositionOffset, Sequence: 12345, Inclusive: true},
	"AMQP.Annotation.X-Opt-Offset>=12345":                         {Kind: hub.PositionOffset, Sequence: 12345, Inclusive: true},
	"amqp.annotation.x-opt-sequence-number > '5'":                 {Kind: hub.PositionSequence, Sequence: 5},
	"amqp.annotation.x-opt-sequence-number >= \"5\"":              {Kind: hub.PositionSequence, Sequence: 5, Inclusive: true},
	"amqp.annotation.x-opt-sequence-number > '-1'":                {Kind: hub.PositionSequence, Sequence: -1},
	"amqp.annotation.x-opt-enqueued-time > '1552556128291'":       {Kind: hub.PositionTime, Time: time.UnixMilli(1552556128291).UTC()},
	" amqp.annotation.x-opt-enqueuedtimeutc > 1552556128291 ":     {Kind: hub.PositionTime, Time: time.UnixMilli(1552556128291).UTC()},
	"amqp.annotation.x-opt-enqueuedtimeutc >= '0'":                {Kind: hub.PositionTime, Time: time.UnixMilli(0).UTC(), Inclusive: true},
	"amqp.annotation.x-opt-sequence-number > 9223372036854775807": {Kind: hub.PositionSequence, Sequence: 1<<63 - 1},
}

func TestParseSelector(t *testing.T) {
	for text, want := range selectors {
		got, _, err := amqpfront.ParseSelector(text)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", text, err, diff)
		}
	}
}

func TestParseSelector_refuses(t *testing.T) {
	const notImplemented, argument = "amqp:not-implemented", "com.microsoft:argument-error"
	rows := map[string]string{ // condition, or the text of a bad position
		"":                                   notImplemented,
		"amqp.annotation.x-opt-offset":       notImplemented,
		"amqp.annotation.x-opt-offset = '1'": notImplemented,
		"amqp.annotation.x-opt-offset < '1'": notImplemented,
		"amqp.annotation.x-opt-offset >":     notImplemented,
		"amqp.annotation.x-opt-offset > ''":  notImplemented,
		"amqp.annotation.x-opt-offset > '1":  notImplemented,
		"amqp.annotation.x-opt-offset > '1' AND amqp.annotation.x-opt-sequence-number > '2'": notImplemented,
		"amqp.annotation.x-opt-offset > 1 AND true":                                          notImplemented,
		"amqp.annotation.x-opt-partition-key > 'a'":                                          notImplemented,
		"temperature > 30":                                             notImplemented,
		"amqp.annotation. > '1'":                                       notImplemented,
		"amqp.annotation.x-opt-enqueued-time > 'yesterday'":            argument,
		"amqp.annotation.x-opt-enqueued-time > '99999999999999999999'": argument,
		"amqp.annotation.x-opt-offset > '3:1024'":                      "The supplied offset '3:1024' is invalid. The last offset in the system is '41'",
		"amqp.annotation.x-opt-offset > '-2'":                          "The supplied offset '-2' is invalid. The last offset in the system is '41'",
		"amqp.annotation.x-opt-sequence-number > 'x'":                  "The supplied sequence number 'x' is invalid. The last sequence number in the system is '41'",
	}
	for text, want := range rows {
		_, bad, err := amqpfront.ParseSelector(text)
		var wire *amqpwire.Error
		switch {
		case bad != "":
			if bad != want {
				t.Errorf("%s: %s", text, bad)
			}
		case !errors.As(err, &wire) || string(wire.Condition) != want:
			t.Errorf("%s: %v, want %s", text, err, want)
		case want == notImplemented && !strings.Contains(wire.Description, strings.ReplaceAll(text, "'", "'")):
			t.Errorf("%s: the text does not name the expression: %s", text, wire.Description)
		}
	}
}

// Three descriptors go with one key: nobody looks at them.
func TestPositionOf(t *testing.T) {
	const key = "apache.org:selector-filter:string"
	const text = "amqp.annotation.x-opt-offset > '7'"
	seven := hub.Position{Kind: hub.PositionOffset, Sequence: 7}
	rows := map[string]struct {
		filter amqpwire.Map
		want   hub.Position
	}{
		"none":            {nil, hub.Position{}},
		"symbol":          {amqpwire.Map{{Key: amqpwire.Symbol(key), Value: amqpwire.Described{Descriptor: amqpwire.Symbol(key), Value: text}}}, seven},
		"number":          {amqpwire.Map{{Key: amqpwire.Symbol(key), Value: amqpwire.Described{Descriptor: uint64(0x468C00000004), Value: text}}}, seven},
		".NET":            {amqpwire.Map{{Key: amqpwire.Symbol(key), Value: amqpwire.Described{Descriptor: uint64(0x137000000A), Value: text}}}, seven},
		"rhea, proton":    {amqpwire.Map{{Key: amqpwire.Symbol("jms-selector"), Value: amqpwire.Described{Descriptor: uint64(0x468C00000004), Value: text}}}, seven},
		"only described":  {amqpwire.Map{{Key: amqpwire.Symbol("selector"), Value: amqpwire.Described{Descriptor: amqpwire.Symbol(key), Value: text}}}, seven},
		"not described":   {amqpwire.Map{{Key: key, Value: text}}, seven},
		"another case":    {amqpwire.Map{{Key: amqpwire.Symbol(strings.ToUpper(key)), Value: text}}, seven},
		"null":            {amqpwire.Map{{Key: amqpwire.Symbol(key), Value: nil}}, hub.Position{}},
		"null, described": {amqpwire.Map{{Key: amqpwire.Symbol(key), Value: amqpwire.Described{Descriptor: uint64(1)}}}, hub.Position{}},
	}
	for name, r := range rows {
		got, err := amqpfront.PositionOf(r.filter)
		if diff := cmp.Diff(r.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
	for _, filter := range []amqpwire.Map{
		{{Key: amqpwire.Symbol("apache.org:no-local-filter:list"), Value: nil}},
		{{Key: amqpwire.Symbol(key), Value: int32(5)}},
	} {
		var wire *amqpwire.Error
		if _, err := amqpfront.PositionOf(filter); !errors.As(err, &wire) || wire.Condition != amqpwire.NotImplemented {
			t.Errorf("%v: %v", filter, err)
		}
	}
}

func FuzzParseSelector(f *testing.F) {
	for text := range selectors {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		start, bad, err := amqpfront.ParseSelector(text)
		var wire *amqpwire.Error
		switch {
		case err == nil && start.Kind == hub.PositionOffset && start.Sequence < 0:
			t.Errorf("%+v", start)
		case err != nil && bad == "" && !errors.As(err, &wire):
			t.Errorf("an error of another type: %v", err)
		case err != nil && len(err.Error()) > 2000:
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	})
}
