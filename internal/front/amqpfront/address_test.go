package amqpfront_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/amqpfront"
)

// addresses are written as the SDKs for devices, services and Event Hubs write them: a path with or without a slash before
// it, or a whole URI.
var addresses = map[string]amqpfront.Address{
	"$cbs":                                  {Kind: amqpfront.KindCBS},
	"/$cbs":                                 {Kind: amqpfront.KindCBS},
	"amqps://hub.example/$cbs":              {Kind: amqpfront.KindCBS},
	"$management":                           {Kind: amqpfront.KindManagement},
	"/$Management":                          {Kind: amqpfront.KindManagement},
	"plant/$management":                     {Kind: amqpfront.KindManagement, Entity: "plant"},
	"amqps://hub.example/plant/$MANAGEMENT": {Kind: amqpfront.KindManagement, Entity: "plant"},

	"messages/events":              {Kind: amqpfront.KindEvents},
	"messages/events/":             {Kind: amqpfront.KindEvents},
	"/messages/events/$management": {Kind: amqpfront.KindEvents, Rest: "$management"},
	"amqps://hub.example:5671/messages/events/$management":               {Kind: amqpfront.KindEvents, Rest: "$management"},
	"amqps://hub/messages/events/ConsumerGroups/%24Default/Partitions/0": {Kind: amqpfront.KindEvents, Rest: "ConsumerGroups/%24Default/Partitions/0"},
	"/messages/Events/ConsumerGroups/$Default/Partitions/0/":             {Kind: amqpfront.KindEvents, Rest: "ConsumerGroups/$Default/Partitions/0/"},
	"/messages/operationsMonitoringEvents/*":                             {Kind: amqpfront.KindEvents, Rest: "*"},
	"messages/eventsandmore":                                             {},
	"plant":                                                              {Kind: amqpfront.KindEventHub, Entity: "plant"},
	"/plant":                                                             {Kind: amqpfront.KindEventHub, Entity: "plant"},
	"plant/Partitions/3":                                                 {Kind: amqpfront.KindEventHub, Entity: "plant", Partition: "3"},
	"plant/ConsumerGroups/$Default/Partitions/0":                         {Kind: amqpfront.KindPartition, Entity: "plant", Group: "$Default", Partition: "0"},
	"/plant/consumergroups/%24Default/partitions/31":                     {Kind: amqpfront.KindPartition, Entity: "plant", Group: "$Default", Partition: "31"},
	"amqps://hub.example/plant/ConsumerGroups/a b/Partitions/x":          {Kind: amqpfront.KindPartition, Entity: "plant", Group: "a b", Partition: "x"},
	"sb://hub.example:5671/plant/ConsumerGroups/$default/Partitions/0":   {Kind: amqpfront.KindPartition, Entity: "plant", Group: "$default", Partition: "0"},
	"plant/ConsumerGroups/$Default":                                      {},
	"plant/ConsumerGroups/$Default/Partitions/0/more":                    {},
	"/devices/d1/messages/events":                                        {Kind: amqpfront.KindTelemetry, Device: hubward.Identity{Device: "d1"}},
	"amqps://hub.example:5671/devices/a%40b%25/messages/deviceBound":     {Kind: amqpfront.KindDeviceBound, Device: hubward.Identity{Device: "a@b%"}},
	"/devices/100%/messages/devicebound":                                 {Kind: amqpfront.KindDeviceBound, Device: hubward.Identity{Device: "100%"}},
	"/devices/a%2541/twin":                                               {Kind: amqpfront.KindTwin, Device: hubward.Identity{Device: "a%41"}},
	"/devices/d1/twin/":                                                  {Kind: amqpfront.KindTwin, Device: hubward.Identity{Device: "d1"}},
	"/devices/d1/methods/deviceBound":                                    {Kind: amqpfront.KindMethods, Device: hubward.Identity{Device: "d1"}},
	"/devices/d1/modules/m1/messages/events":                             {Kind: amqpfront.KindTelemetry, Device: hubward.Identity{Device: "d1", Module: "m1"}},
	"/devices/d1/modules/m1/twin":                                        {Kind: amqpfront.KindTwin, Device: hubward.Identity{Device: "d1", Module: "m1"}},
	"/devices/d1/streams":                                                {Kind: amqpfront.KindStreams, Device: hubward.Identity{Device: "d1"}},
	"/devices/D1/elsewhere":                                              {},
	"/devices/d1":                                                        {},
	"/devices//twin":                                                     {},
	"/messages/deviceBound":                                              {Kind: amqpfront.KindServiceSend},
	"amqps://hub.example/messages/devicebound":                           {Kind: amqpfront.KindServiceSend},
	"/messages/serviceBound/feedback":                                    {Kind: amqpfront.KindFeedback},
	"amqps://hub.example/messages/servicebound/feedback":                 {Kind: amqpfront.KindFeedback},
	"/messages/serviceBound/FileNotifications":                           {Kind: amqpfront.KindFileNotifications},
	"/messages/serviceBound":                                             {},
	"":                                                                   {},
	"/":                                                                  {},
	"amqps://hub.example":                                                {},
	"amqps://hub.example/":                                               {},
	"$cbs/more":                                                          {},
	"$unheard-of":                                                        {},
	"a/b/$management":                                                    {},
	"plant/" + strings.Repeat("x", 3000):                                 {},
}

func TestParseAddress(t *testing.T) {
	for text, want := range addresses {
		got, _ := amqpfront.ParseAddress(text)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.80q (-want +got):\n%s", text, diff)
		}
	}
}

// An id is decoded once, so that what looks encoded afterwards is part of it.
func TestParseAddress_pathIsWhatGrantsAreHeldAgainst(t *testing.T) {
	_, path := amqpfront.ParseAddress("amqps://hub.example:5671/devices/a%2Fb/modules/m%2541/twin/")
	if diff := cmp.Diff([]string{"devices", "a/b", "modules", "m%41", "twin"}, path); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseAddress(f *testing.F) {
	for text := range addresses {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, path := amqpfront.ParseAddress(text)
		if len(path) > len(text)+1 {
			t.Fatalf("%d segments of %d bytes", len(path), len(text))
		}
		if a.Kind != amqpfront.KindEvents && a.Rest != "" || !strings.HasSuffix(text, a.Rest) {
			t.Errorf("rest %q", a.Rest)
		}
		needsGroup := a.Kind == amqpfront.KindPartition
		if (a.Entity != "") && a.Kind != amqpfront.KindManagement && a.Kind != amqpfront.KindEventHub && !needsGroup {
			t.Errorf("%+v has an entity", a)
		}
		if a.Device.Module != "" && a.Device.Device == "" || a.Device.Device != "" && a.Kind < amqpfront.KindTelemetry {
			t.Errorf("%+v names nobody's module, or a device for nothing", a)
		}
	})
}
