package mqttfront_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/mqttfront"
)

// Source: mqtt_topic_iothub.py of Azure/azure-iot-sdk-python, mqtt_base.ts of -node, MqttIotHubAdapter.cs of -csharp,
// MqttMessaging.java of -java and iothubtransport_mqtt_common.c of -c.
func TestReadBag_formsOfAllClients(t *testing.T) {
	rows := map[string]hubward.Message{
		"":  {},
		"/": {},
		"%24.mid=ID-0&%24.cid=ID&%24.ct=application%2Fjson&%24.ce=utf-8&runId=ID&windAlert=false": {
			MessageID: "ID-0", CorrelationID: "ID", ContentType: "application/json", ContentEncoding: "utf-8",
			Properties: []hubward.Property{{Name: "runId", Value: "ID"}, {Name: "windAlert", Value: "false"}},
		},
		"$.mid=1&$.cid=2&a=b/":                     {MessageID: "1", CorrelationID: "2", Properties: []hubward.Property{{Name: "a", Value: "b"}}},
		"%24.ct=application/json&%24.ce=utf-8/":    {ContentType: "application/json", ContentEncoding: "utf-8"},
		"?a=b":                                     {Properties: []hubward.Property{{Name: "a", Value: "b"}}},
		"a=1+2&b=x%20y&c=%2B":                      {Properties: []hubward.Property{{Name: "a", Value: "1+2"}, {Name: "b", Value: "x y"}, {Name: "c", Value: "+"}}},
		"null&empty=&eq=a=b":                       {Properties: []hubward.Property{{Name: "null", Null: true}, {Name: "empty"}, {Name: "eq", Value: "a=b"}}},
		"a=1&b=2&a=3":                              {Properties: []hubward.Property{{Name: "a", Value: "3"}, {Name: "b", Value: "2"}}},
		"a=50%&b=%zz&c=%4":                         {Properties: []hubward.Property{{Name: "a", Value: "50%"}, {Name: "b", Value: "%zz"}, {Name: "c", Value: "%4"}}},
		"%24.exp=2021-01-29T16%3A45%3A39.0210000Z": {Expiry: time.Date(2021, 1, 29, 16, 45, 39, 21e6, time.UTC)},
		"%24.exp=never":                            {},
		"%24.exp=1754-08-30T22%3A43%3A41Z":         {},
		"%24.ctime=2021-01-29T16:45:39Z&%24.on=out&%24.ifid=urn:x&%24.sub=thermo&%24.schema=s&%24.diagid=d&%24.diagctx=c&%24.uid=u&%24.to=t": {
			CreationTime: "2021-01-29T16:45:39Z", OutputName: "out", InterfaceID: "urn:x", Subject: "thermo", Schema: "s",
			TraceID: "d", TraceContext: "c", UserID: "u", To: "t",
		},
		"%24.cdid=forged&iothub-connection-device-id=forged&iothub-enqueuedtime=0&iothub-message-source=x&iothub-ack=full&ok=1": {
			Properties: []hubward.Property{{Name: "ok", Value: "1"}},
		},
		"iothub-creation-time-utc=2021-01-29T16:45:39Z&iothub-message-schema=s&%24.ctime=2022-01-29T16:45:39Z": {
			CreationTime: "2022-01-29T16:45:39Z", Schema: "s",
		},
		"grad=%C2%B0C": {Properties: []hubward.Property{{Name: "grad", Value: "°C"}}},
	}
	for bag, want := range rows {
		var got hubward.Message
		if err := mqttfront.ReadBag(&got, []byte(bag)); err != nil {
			t.Errorf("%s: %v", bag, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", bag, diff)
		}
	}
}

func TestReadBag_boundsTheCount(t *testing.T) {
	bag := func(n int) []byte {
		var parts []string
		for i := range n {
			parts = append(parts, fmt.Sprintf("p%d=v", i))
		}
		return []byte(strings.Join(parts, "&"))
	}
	var m hubward.Message
	if err := mqttfront.ReadBag(&m, bag(500)); err != nil || len(m.Properties) != 500 {
		t.Errorf("500 properties: %d, %v", len(m.Properties), err)
	}
	m = hubward.Message{}
	if err := mqttfront.ReadBag(&m, bag(501)); hubward.CodeOf(err) != hubward.CodeFormatError {
		t.Errorf("501 properties: %v", err)
	}
}

func FuzzReadBag(f *testing.F) {
	for _, seed := range []string{"%24.mid=1&a=b", "a&b=&c=d=e", "%", "?x=%C2%B0/", "&&&", "%24.exp=2021-01-29T16:45:39Z"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, bag []byte) {
		if !utf8.Valid(bag) {
			return // the packet codec has refused it
		}
		size := len(bag)
		var m hubward.Message
		if err := mqttfront.ReadBag(&m, bag); err != nil {
			return
		}
		if m.Size() > size {
			t.Fatalf("%d bytes became a message of %d", size, m.Size())
		}
		for i, p := range m.Properties {
			if strings.HasPrefix(p.Name, "$.") || hubward.IsStamped(p.Name) {
				t.Fatalf("property %+v is not the device's to set", p)
			}
			if slices.ContainsFunc(m.Properties[:i], func(other hubward.Property) bool { return other.Name == p.Name }) {
				t.Fatalf("there are two properties %q", p.Name)
			}
		}
	})
}
