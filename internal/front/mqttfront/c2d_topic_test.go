package mqttfront_test

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/mqttfront"
)

const (
	deviceboundPrefix = "devices/d1/messages/devicebound/"
	toD1              = "%24.to=%2Fdevices%2Fd1%2Fmessages%2FdeviceBound"
)

// The SDKs set limits to a bag: .NET fails without one, and on an expiry of another form; Java loses what stands before the
// first "%24"; Python, Node and .NET cut it at a "/".
//
// Source: MqttIotHubAdapter.cs of Azure/azure-iot-sdk-csharp, Mqtt.java of -java, mqtt_topic_iothub.py of -python, mqtt.ts of
// -node.
func TestDeviceboundTopic(t *testing.T) {
	rows := map[string]struct {
		m    hubward.Message
		want string // TO stands for the To that every message has
	}{
		"nothing set": {hubward.Message{}, "TO"},
		"everything": {hubward.Message{
			MessageID: "1", CorrelationID: "2", UserID: "3", ContentType: "application/json", ContentEncoding: "utf-8",
			Expiry: time.Date(2021, 1, 29, 16, 45, 39, 21e6, time.FixedZone("", 3600)), CreationTime: "2021-01-29T14:45:39Z", Ack: hubward.AckFull,
			Properties: []hubward.Property{{Name: "a", Value: "b"}},
		}, "%24.exp=2021-01-29T15%3A45%3A39.0210000Z&%24.cid=2&%24.mid=1&TO&%24.uid=3&%24.ct=application%2Fjson&%24.ce=utf-8" +
			"&%24.ctime=2021-01-29T14%3A45%3A39.0000000Z&iothub-ack=full&a=b"},
		"a creation time that is none": {hubward.Message{CreationTime: "yesterday"}, "TO"},
		"null and empty":               {hubward.Message{Properties: []hubward.Property{{Name: "n", Value: "x", Null: true}, {Name: "e"}}}, "TO&n&e="},
		"a null one alone":             {hubward.Message{Properties: []hubward.Property{{Name: "n", Null: true}}}, "TO&n"},
		"what the hub keeps to itself": {hubward.Message{Properties: []hubward.Property{
			{Name: "$.mid", Value: "forged"}, {Name: "iothub-ack", Value: "loud"}, {Name: "$x", Value: "1"}}}, "TO&%24x=1"},
		"no ASCII":   {hubward.Message{Properties: []hubward.Property{{Name: "grad", Value: "°C\u0000"}}}, "TO&grad=%C2%B0C%00"},
		"ampersands": {hubward.Message{Properties: []hubward.Property{{Name: "a&", Value: "&"}}}, "TO&a%26=%26"},
	}
	for name, row := range rows {
		row.m.To = "/devices/d1/messages/deviceBound"
		want := deviceboundPrefix + strings.Replace(row.want, "TO", toD1, 1)
		if got := string(mqttfront.DeviceboundTopic("d1", &row.m)); got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

// What was sent, and the topic that came of it in the cloud, as somebody published it; the device has another id here.
func TestDeviceboundTopic_ofTheCloud(t *testing.T) {
	const id = "2c2db32a-9c41-4073-baa4-db584e021573"
	rows := map[string]struct {
		m     hubward.Message
		topic string
	}{
		// Azure-Samples/IoTMQTTSample, README: az iot device c2d-message send --data "hello world"; also
		// learn.microsoft.com/azure/iot/tutorial-use-mqtt.
		"az": {
			hubward.Message{MessageID: id, To: "/devices/d1/messages/devicebound", ContentEncoding: "utf-8", Ack: hubward.AckNone},
			"%24.mid=" + id + "&%24.to=%2Fdevices%2Fd1%2Fmessages%2Fdevicebound&%24.ce=utf-8&iothub-ack=none",
		},
		// Azure/azure-sdk-for-c sdk/tests/iot/hub/test_az_iot_hub_client_c2d.c, decoded there
		"an ack": {
			hubward.Message{MessageID: id, To: "/devices/d1/messages/deviceBound", Ack: hubward.AckFull},
			"%24.mid=" + id + "&%24.to=%2Fdevices%2Fd1%2Fmessages%2FdeviceBound&iothub-ack=full",
		},
		// nanoframework/nanoFramework.Azure.Devices, CloudToDeviceMessage.cs
		"most": {
			hubward.Message{
				CorrelationID: "aaaaa", MessageID: "idgenrated", To: "/devices/d1/messages/devicebound", ContentType: "aaaaa", ContentEncoding: "utf-8",
				Ack: hubward.AckPositive, Properties: []hubward.Property{{Name: "prop2", Value: " "}, {Name: "prop3", Value: "42"}, {Name: "prop4", Value: "something"}},
			},
			"%24.cid=aaaaa&%24.mid=idgenrated&%24.to=%2Fdevices%2Fd1%2Fmessages%2Fdevicebound&%24.ct=aaaaa&%24.ce=utf-8&iothub-ack=positive" +
				"&prop2=%20&prop3=42&prop4=something",
		},
		// Azure/azure-iot-sdk-python azure-iot-device/tests/unit/iothub/pipeline/test_mqtt_topic_iothub.py, all system properties
		"an expiry": {
			hubward.Message{
				Expiry: time.Date(3237, 7, 19, 23, 6, 40, 0, time.UTC), CorrelationID: "fake_corid", MessageID: id, To: "/devices/d1/messages/devicebound",
				ContentType: "fake_content_type", ContentEncoding: "utf-8",
			},
			"%24.exp=3237-07-19T23%3A06%3A40.0000000Z&%24.cid=fake_corid&%24.mid=" + id +
				"&%24.to=%2Fdevices%2Fd1%2Fmessages%2Fdevicebound&%24.ct=fake_content_type&%24.ce=utf-8",
		},
	}
	for name, row := range rows {
		if got, want := string(mqttfront.DeviceboundTopic("d1", &row.m)), deviceboundPrefix+row.topic; got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

// Every character of ASCII is either unreserved or encoded, in names as in values.
func TestDeviceboundTopic_reservedCharacters(t *testing.T) {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	for c := rune(1); c < 0x80; c++ {
		want := string(c)
		if !strings.ContainsRune(unreserved, c) {
			want = fmt.Sprintf("%%%02X", c)
		}
		m := hubward.Message{To: "/devices/d1/messages/deviceBound", Properties: []hubward.Property{{Name: "n" + string(c), Value: string(c)}}}
		if got := string(mqttfront.DeviceboundTopic("d1", &m)); got != deviceboundPrefix+toD1+"&n"+want+"="+want {
			t.Errorf("%q becomes %s", c, got)
		}
	}
}

// An id stands raw in the topic and encoded in the bag.
func TestDeviceboundTopic_deviceID(t *testing.T) {
	const want = "devices/a+#%?/messages/devicebound/%24.to=%2Fdevices%2Fa%2B%23%25%3F%2Fmessages%2FdeviceBound"
	if got := string(mqttfront.DeviceboundTopic("a+#%?", &hubward.Message{To: "/devices/a+#%?/messages/deviceBound"})); got != want {
		t.Errorf("got %s", got)
	}
}

// safeBag is what all SDKs read alike: a system property first, and all but unreserved characters escaped.
var safeBag = regexp.MustCompile(`^%24\.[a-z]+=[A-Za-z0-9\-._~%]+(&[A-Za-z0-9\-._~%]*(=[A-Za-z0-9\-._~%]*)?)*$`)

func FuzzDeviceboundTopic(f *testing.F) {
	f.Add("m1", "name", "value", false)
	f.Add("a b", "&=/", "50% +°", false)
	f.Add("", "null", "", true)
	f.Fuzz(func(t *testing.T, id, name, value string, null bool) {
		in := hubward.Message{MessageID: id, To: "/devices/d1/messages/deviceBound", ContentType: value, Properties: []hubward.Property{{Name: name, Value: value, Null: null}}}
		topic := string(mqttfront.DeviceboundTopic("d1", &in))
		bag, ok := strings.CutPrefix(topic, deviceboundPrefix)
		if !ok || !safeBag.MatchString(bag) {
			t.Fatalf("topic %s", topic)
		}
		if !utf8.ValidString(id) || !utf8.ValidString(name) || !utf8.ValidString(value) || name == "" || strings.HasPrefix(name, "$.") || strings.HasPrefix(name, "iothub-") {
			return // no text, or not a property of the application: nothing to compare
		}
		if null {
			in.Properties[0].Value = ""
		}
		// A second implementation reads it back, and ours does.
		var parts []string
		for part := range strings.SplitSeq(bag, "&") {
			decoded, err := url.PathUnescape(part)
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, decoded)
		}
		last := name + "=" + value
		if null {
			last = name
		}
		if parts[len(parts)-1] != last {
			t.Errorf("%q ends with %q, want %q", parts, parts[len(parts)-1], last)
		}
		var out hubward.Message
		if err := mqttfront.ReadBag(&out, []byte(bag)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(in, out); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}
