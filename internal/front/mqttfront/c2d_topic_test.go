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
		want string
	}{
		"nothing set":    {hubward.Message{}, ""},
		"captured order": {hubward.Message{MessageID: "m1", Properties: []hubward.Property{{Name: "a", Value: "b"}}}, "&%24.mid=m1&a=b"},
		"everything": {hubward.Message{
			MessageID: "1", CorrelationID: "2", UserID: "3", To: "ignored", ContentType: "application/json", ContentEncoding: "utf-8",
			Expiry: time.Date(2021, 1, 29, 16, 45, 39, 21e6, time.FixedZone("", 3600)), CreationTime: "2021-01-29T14:45:39Z", Ack: hubward.AckFull,
		}, "&%24.mid=1&%24.cid=2&%24.uid=3&%24.ct=application%2Fjson&%24.ce=utf-8&%24.exp=2021-01-29T15%3A45%3A39.0210000Z" +
			"&%24.ctime=2021-01-29T14%3A45%3A39.0000000Z&iothub-ack=full"},
		"no ack":                       {hubward.Message{Ack: hubward.AckNone}, ""},
		"a creation time that is none": {hubward.Message{CreationTime: "yesterday"}, ""},
		"null and empty":               {hubward.Message{Properties: []hubward.Property{{Name: "n", Value: "x", Null: true}, {Name: "e"}}}, "&n&e="},
		"what the hub keeps to itself": {hubward.Message{Properties: []hubward.Property{
			{Name: "$.mid", Value: "forged"}, {Name: "iothub-ack", Value: "loud"}, {Name: "$x", Value: "1"}}}, "&%24x=1"},
		"no ASCII": {hubward.Message{Properties: []hubward.Property{{Name: "grad", Value: "°C\u0000"}}}, "&grad=%C2%B0C%00"},
	}
	for name, row := range rows {
		if got, want := string(mqttfront.DeviceboundTopic("d1", &row.m)), deviceboundPrefix+toD1+row.want; got != want {
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
		m := hubward.Message{Properties: []hubward.Property{{Name: "n" + string(c), Value: string(c)}}}
		if got := string(mqttfront.DeviceboundTopic("d1", &m)); got != deviceboundPrefix+toD1+"&n"+want+"="+want {
			t.Errorf("%q becomes %s", c, got)
		}
	}
}

// An id stands raw in the topic and encoded in the bag.
func TestDeviceboundTopic_deviceID(t *testing.T) {
	const want = "devices/a+#%?/messages/devicebound/%24.to=%2Fdevices%2Fa%2B%23%25%3F%2Fmessages%2FdeviceBound"
	if got := string(mqttfront.DeviceboundTopic("a+#%?", &hubward.Message{})); got != want {
		t.Errorf("got %s", got)
	}
}

// safeBag is what all SDKs read alike: "%24.to" first, and all but unreserved characters escaped.
var safeBag = regexp.MustCompile(`^%24\.to=[A-Za-z0-9\-._~%]+(&[A-Za-z0-9\-._~%]*(=[A-Za-z0-9\-._~%]*)?)*$`)

func FuzzDeviceboundTopic(f *testing.F) {
	f.Add("m1", "name", "value", false)
	f.Add("a b", "&=/", "50% +°", false)
	f.Add("", "null", "", true)
	f.Fuzz(func(t *testing.T, id, name, value string, null bool) {
		in := hubward.Message{MessageID: id, ContentType: value, Properties: []hubward.Property{{Name: name, Value: value, Null: null}}}
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
		in.To = "/devices/d1/messages/deviceBound"
		if diff := cmp.Diff(in, out); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}
