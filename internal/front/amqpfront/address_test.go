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
	"$cbs":                                  {Family: "$cbs"},
	"/$cbs":                                 {Family: "$cbs"},
	"amqps://hub.example/$cbs":              {Family: "$cbs"},
	"$management":                           {Family: "$management"},
	"/$Management":                          {Family: "$management"},
	"plant/$management":                     {Family: "{eventHub}/$management", EventHub: "plant"},
	"amqps://hub.example/plant/$MANAGEMENT": {Family: "{eventHub}/$management", EventHub: "plant"},

	"messages/events":              {Family: "messages/events/…"},
	"messages/events/":             {Family: "messages/events/…"},
	"/messages/events/$management": {Family: "messages/events/…", Rest: "$management"},
	"amqps://hub.example:5671/messages/events/$management":               {Family: "messages/events/…", Rest: "$management"},
	"amqps://hub/messages/events/ConsumerGroups/%24Default/Partitions/0": {Family: "messages/events/…", Rest: "ConsumerGroups/%24Default/Partitions/0"},
	"/messages/Events/ConsumerGroups/$Default/Partitions/0/":             {Family: "messages/events/…", Rest: "ConsumerGroups/$Default/Partitions/0/"},
	"/messages/operationsMonitoringEvents/*":                             {Family: "messages/operationsMonitoringEvents/…", Rest: "*"},
	"messages/eventsandmore":                                             {Family: "…"},
	"plant":                                                              {Family: "{eventHub}", EventHub: "plant"},
	"/plant":                                                             {Family: "{eventHub}", EventHub: "plant"},
	"plant/Partitions/3":                                                 {Family: "{eventHub}/Partitions/{partition}", EventHub: "plant", Partition: "3"},
	"plant/ConsumerGroups/$Default/Partitions/0":                         {Family: "{eventHub}/ConsumerGroups/{group}/Partitions/{partition}", EventHub: "plant", Group: "$Default", Partition: "0"},
	"/plant/consumergroups/%24Default/partitions/31":                     {Family: "{eventHub}/ConsumerGroups/{group}/Partitions/{partition}", EventHub: "plant", Group: "$Default", Partition: "31"},
	"amqps://hub.example/plant/ConsumerGroups/a b/Partitions/x":          {Family: "{eventHub}/ConsumerGroups/{group}/Partitions/{partition}", EventHub: "plant", Group: "a b", Partition: "x"},
	"sb://hub.example:5671/plant/ConsumerGroups/$default/Partitions/0":   {Family: "{eventHub}/ConsumerGroups/{group}/Partitions/{partition}", EventHub: "plant", Group: "$default", Partition: "0"},
	"plant/ConsumerGroups/$Default":                                      {Family: "…"},
	"plant/ConsumerGroups/$Default/Partitions/0/more":                    {Family: "…"},
	"/devices/d1/messages/events":                                        {Family: "{identity}/messages/events", Identity: hubward.Identity{Device: "d1"}},
	"amqps://hub.example:5671/devices/a%40b%25/messages/deviceBound":     {Family: "{identity}/messages/devicebound", Identity: hubward.Identity{Device: "a@b%"}},
	"/devices/100%/messages/devicebound":                                 {Family: "{identity}/messages/devicebound", Identity: hubward.Identity{Device: "100%"}},
	"/devices/a%2541/twin":                                               {Family: "{identity}/twin", Identity: hubward.Identity{Device: "a%41"}},
	"/devices/d1/twin/":                                                  {Family: "{identity}/twin", Identity: hubward.Identity{Device: "d1"}},
	"/devices/d1/methods/deviceBound":                                    {Family: "{identity}/methods/devicebound", Identity: hubward.Identity{Device: "d1"}},
	"/devices/d1/modules/m1/messages/events":                             {Family: "{identity}/messages/events", Identity: hubward.Identity{Device: "d1", Module: "m1"}},
	"/devices/d1/modules/m1/twin":                                        {Family: "{identity}/twin", Identity: hubward.Identity{Device: "d1", Module: "m1"}},
	"/devices/d1/streams":                                                {Family: "{identity}/streams", Identity: hubward.Identity{Device: "d1"}},
	"/devices/D1/elsewhere":                                              {Family: "…"},
	"/devices/d1":                                                        {Family: "…"},
	"/devices//twin":                                                     {Family: "…"},
	"/messages/deviceBound":                                              {Family: "messages/devicebound"},
	"amqps://hub.example/messages/devicebound":                           {Family: "messages/devicebound"},
	"/messages/serviceBound/feedback":                                    {Family: "messages/serviceBound/feedback"},
	"amqps://hub.example/messages/servicebound/feedback":                 {Family: "messages/serviceBound/feedback"},
	"/messages/serviceBound/FileNotifications":                           {Family: "messages/serviceBound/filenotifications"},
	"/messages/serviceBound":                                             {Family: "…"},
	"":                                                                   {Family: "…"},
	"/":                                                                  {Family: "…"},
	"amqps://hub.example":                                                {Family: "…"},
	"amqps://hub.example/":                                               {Family: "…"},
	"$cbs/more":                                                          {Family: "…"},
	"$unheard-of":                                                        {Family: "…"},
	"a/b/$management":                                                    {Family: "…"},
	"plant/" + strings.Repeat("x", 3000):                                 {Family: "…"},
}

func TestParseAddress(t *testing.T) {
	parse := amqpfront.AddressParser()
	for text, want := range addresses {
		got, _ := parse(text)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.80q (-want +got):\n%s", text, diff)
		}
	}
}

// An id is decoded once, so that what looks encoded afterwards is part of it.
func TestParseAddress_pathIsWhatTokensAreHeldAgainst(t *testing.T) {
	_, path := amqpfront.AddressParser()("amqps://hub.example:5671/devices/a%2Fb/modules/m%2541/twin/")
	if diff := cmp.Diff([]string{"devices", "a/b", "modules", "m%41", "twin"}, path); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseAddress(f *testing.F) {
	parse := amqpfront.AddressParser()
	for text := range addresses {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, path := parse(text)
		if len(path) > len(text)+1 {
			t.Fatalf("%d segments of %d bytes", len(path), len(text))
		}
		for what, filled := range map[string]bool{
			"{identity}": a.Identity.Device != "", "{eventHub}": a.EventHub != "", "…": a.Rest != "",
		} {
			if filled && !strings.Contains(a.Family, what) {
				t.Errorf("%+v: %s is filled in", a, what)
			}
		}
		if strings.Contains(a.Family, "{identity}") && a.Identity.Device == "" || strings.Contains(a.Family, "{eventHub}") && a.EventHub == "" {
			t.Errorf("%+v lacks what its family is about", a)
		}
		if !strings.HasSuffix(text, a.Rest) {
			t.Errorf("rest %q", a.Rest)
		}
	})
}
