package mqttwire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hubward/hubward/internal/mqttwire"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// golden are packets byte by byte, written by hand from the standard and after what was observed with azure-iot-device
// 1.18.4 for Node and 2.14.0 for Python, and amenzhinsky/iothub 0.9.
var golden = []struct {
	name   string
	hex    string
	packet any
}{
	{"connect", "10 1f 0004 4d515454 04 c0 00b4 0002 6431 0009 6c6f63616c2f64312f 0004 746f6b65",
		mqttwire.ConnectPacket{Protocol: "MQTT", Level: 4, KeepAlive: 180 * time.Second, ClientID: "d1",
			HasUser: true, HasPassword: true, User: "local/d1/", Password: []byte("toke")}},
	{"connect, clean session, bare", "10 0e 0004 4d515454 04 02 001e 0002 6431",
		mqttwire.ConnectPacket{Protocol: "MQTT", Level: 4, CleanSession: true, KeepAlive: 30 * time.Second, ClientID: "d1"}},
	{"connect with will", "10 14 0004 4d515454 04 2c ffff 0001 64 0001 74 0002 0001",
		mqttwire.ConnectPacket{Protocol: "MQTT", Level: 4, KeepAlive: 65535 * time.Second, ClientID: "d",
			Will: &mqttwire.Will{Topic: "t", Payload: []byte{0, 1}, QoS: 1, Retain: true}}},
	{"connect, empty password", "10 11 0004 4d515454 04 c0 0000 0001 64 0000 0000",
		mqttwire.ConnectPacket{Protocol: "MQTT", Level: 4, ClientID: "d", HasUser: true, HasPassword: true}},
	{"connack", "20 02 01 00", mqttwire.ConnackPacket{SessionPresent: true}},
	{"connack refused", "20 02 00 05", mqttwire.ConnackPacket{Code: mqttwire.RefusedNotAuthorized}},
	{"publish QoS 0", "30 05 0001 61 6869", mqttwire.PublishPacket{Topic: []byte("a"), Payload: []byte("hi")}},
	{"publish QoS 1", "32 05 0001 61 000a", mqttwire.PublishPacket{QoS: 1, Topic: []byte("a"), ID: 10}},
	{"publish QoS 1 again", "3b 06 0001 61 000a 21",
		mqttwire.PublishPacket{Dup: true, Retain: true, QoS: 1, Topic: []byte("a"), ID: 10, Payload: []byte("!")}},
	{"publish QoS 2", "34 05 0001 61 ffff", mqttwire.PublishPacket{QoS: 2, Topic: []byte("a"), ID: 65535}},
	{"publish with wildcards of a device id", "30 05 0003 612b23", mqttwire.PublishPacket{Topic: []byte("a+#")}},
	{"puback", "40 02 000a", idPacket{mqttwire.Puback, 10}},
	{"pubrec", "50 02 000a", idPacket{mqttwire.Pubrec, 10}},
	{"pubrel", "62 02 000a", idPacket{mqttwire.Pubrel, 10}},
	{"pubcomp", "70 02 000a", idPacket{mqttwire.Pubcomp, 10}},
	{"subscribe", "82 0c 0001 0001 61 01 0003 622f23 00",
		mqttwire.SubscribePacket{ID: 1, Filters: []mqttwire.Filter{{Topic: "a", QoS: 1}, {Topic: "b/#"}}}},
	{"suback", "90 05 0001 01 00 80", mqttwire.SubackPacket{ID: 1, Codes: []byte{1, 0, 0x80}}},
	{"unsubscribe", "a2 08 0002 0001 61 0001 62", mqttwire.UnsubscribePacket{ID: 2, Topics: []string{"a", "b"}}},
	{"unsuback", "b0 02 0002", idPacket{mqttwire.Unsuback, 2}},
	{"pingreq", "c0 00", emptyPacket{mqttwire.Pingreq}},
	{"pingresp", "d0 00", emptyPacket{mqttwire.Pingresp}},
	{"disconnect", "e0 00", emptyPacket{mqttwire.Disconnect}},
}

func TestGoldenPackets(t *testing.T) {
	for _, row := range golden {
		t.Run(row.name, func(t *testing.T) {
			wire := unhex(t, row.hex)
			got, rest, err := parse(wire)
			if err != nil || len(rest) != 0 {
				t.Fatalf("parse: %v, %d bytes left", err, len(rest))
			}
			if diff := cmp.Diff(row.packet, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("parsed packet (-want +got):\n%s", diff)
			}
			b, ok, err := encode(got)
			if err != nil {
				t.Fatalf("encode: %v", err)
			}
			if ok && !bytes.Equal(b, wire) {
				t.Errorf("encoded % x, want % x", b, wire)
			}
		})
	}
}

func TestAppendConnackV5(t *testing.T) {
	got := mqttwire.AppendConnackV5([]byte{1}, mqttwire.ReasonUnsupportedVersion)
	if want := unhex(t, "01 20 03 00 84 00"); !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
}

func TestAppendConnack_refusalHasNoSession(t *testing.T) {
	got := mqttwire.AppendConnack(nil, true, mqttwire.RefusedUnavailable)
	if want := unhex(t, "20 02 00 03"); !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
}

func TestParseHeader_needsMoreBytes(t *testing.T) {
	for _, text := range []string{"", "30", "30 80", "30 80 80 80", "10"} {
		if _, n, err := mqttwire.ParseHeader(unhex(t, text)); n != 0 || err != nil {
			t.Errorf("%q: n = %d, err = %v; want 0, nil", text, n, err)
		}
	}
}

func TestParseHeader_lengths(t *testing.T) {
	rows := []struct {
		hex       string
		length, n int
	}{
		{"30 00", 0, 2},
		{"30 7f", 127, 2},
		{"30 80 01", 128, 3},
		{"30 ff 7f", 16383, 3},
		{"30 80 80 01", 16384, 4},
		{"30 ff ff 7f", 2097151, 4},
		{"30 80 80 80 01", 2097152, 5},
		{"30 ff ff ff 7f", mqttwire.MaxLength, 5},
		{"30 05 ff ff", 5, 2}, // what follows is not looked at
	}
	for _, row := range rows {
		h, n, err := mqttwire.ParseHeader(unhex(t, row.hex))
		if err != nil || n != row.n || h.Length != row.length || h.Type != mqttwire.Publish {
			t.Errorf("%s: %+v, n = %d, err = %v", row.hex, h, n, err)
		}
	}
}

func TestParseConnect_otherLevels(t *testing.T) {
	rows := []struct {
		name, hex, protocol string
		level               byte
	}{
		{"MQTT 5", "0004 4d515454 05 02 003c 05 1100000e10 0002 6431", "MQTT", 5},
		{"MQTT 3.1", "0006 4d5149736470 03 02 003c 0002 6431", "MQIsdp", 3},
		{"nothing behind the level", "0004 4d515454 05", "MQTT", 5},
	}
	for _, row := range rows {
		p, err := mqttwire.ParseConnect(unhex(t, row.hex))
		if err != nil || p.Level != row.level || p.Protocol != row.protocol {
			t.Errorf("%s: %+v, %v", row.name, p, err)
		}
	}
}

func TestParseConnect_copies(t *testing.T) {
	body := unhex(t, "0004 4d515454 04 c4 0000 0001 64 0001 74 0001 77 0001 75 0001 70")
	p, err := mqttwire.ParseConnect(body)
	if err != nil {
		t.Fatal(err)
	}
	for i := range body {
		body[i] = 'X'
	}
	if p.ClientID+p.Will.Topic+string(p.Will.Payload)+p.User+string(p.Password) != "dtwup" {
		t.Errorf("the packet changed with the buffer: %+v", p)
	}
}

func TestParsePublish_aliases(t *testing.T) {
	body := []byte{0, 1, 'a', 'p'}
	p, err := mqttwire.ParsePublish(0, body)
	if err != nil {
		t.Fatal(err)
	}
	if &p.Topic[0] != &body[2] || &p.Payload[0] != &body[3] {
		t.Error("topic and payload do not alias the body")
	}
	if cap(p.Topic) != 1 {
		t.Error("appending to the topic would overwrite what follows it")
	}
}

func TestMalformedPackets(t *testing.T) {
	const head = "0004 4d515454 04" // of a CONNECT
	rows := []struct{ name, hex, want string }{
		{"type 0", "00 00", "packet type 0: the packet type is reserved"},
		{"type 15", "f0 00", "packet type 15: the packet type is reserved"},
		{"type 0, one byte", "00", "reserved"},
		{"fifth length byte", "30 80 80 80 80 01", "PUBLISH: the remaining length has more than four bytes"},
		{"connect flags", "11 00", "CONNECT: wrong flags"},
		{"connack flags", "21 02 0000", "wrong flags"},
		{"puback flags", "42 02 0001", "wrong flags"},
		{"pubrel flags", "60 02 0001", "wrong flags"},
		{"subscribe flags", "80 00", "SUBSCRIBE: wrong flags"},
		{"subscribe flags 3", "83 00", "SUBSCRIBE: wrong flags"},
		{"unsubscribe flags", "a0 00", "wrong flags"},
		{"pingreq flags", "c1 00", "wrong flags"},
		{"disconnect flags", "e8 00", "wrong flags"},
		{"publish QoS 3", "36 05 0001 61 0001", "QoS is 3"},
		{"publish DUP at QoS 0", "38 03 0001 61", "DUP is set at QoS 0"},
		{"puback too long", "40 03 000100", "PUBACK: wrong remaining length"},
		{"puback empty", "40 00", "wrong remaining length"},
		{"unsuback too short", "b0 01 00", "wrong remaining length"},
		{"pingreq with a body", "c0 01 00", "PINGREQ: wrong remaining length"},
		{"disconnect with a body", "e0 01 00", "wrong remaining length"},

		{"connect empty", "10 00", "too short"},
		{"connect without level", "10 06 0004 4d515454", "too short"},
		{"connect without flags", "10 07" + head, "too short"},
		{"connect without keep-alive", "10 09" + head + "02 00", "too short"},
		{"connect without client id", "10 0a" + head + "02 0000", "too short"},
		{"connect other protocol", "10 0d 0004 4d515458 04 02 0000 0001 64", "protocol is not MQTT"},
		{"connect other protocol, other level", "10 07 0004 68747470 05", "protocol is not MQTT"},
		{"connect MQIsdp at level 4", "10 09 0006 4d5149736470 04", "protocol is not MQTT"},
		{"connect reserved flag", "10 0d" + head + "03 0000 0001 64", "reserved connect flag"},
		{"connect will QoS without will", "10 0d" + head + "08 0000 0001 64", "without a will"},
		{"connect will retain without will", "10 0d" + head + "20 0000 0001 64", "without a will"},
		{"connect will QoS 3", "10 12" + head + "1c 0000 0001 64 0001 74 0000", "will QoS is 3"},
		{"connect password without user", "10 0f" + head + "40 0000 0001 64 0000", "password without a user name"},
		{"connect client id too long", "10 0d" + head + "02 0000 0002 64", "longer than the packet"},
		{"connect client id not UTF-8", "10 0d" + head + "02 0000 0001 ff", "not UTF-8"},
		{"connect client id with a surrogate", "10 0f" + head + "02 0000 0003 eda080", "not UTF-8"},
		{"connect client id with NUL", "10 0d" + head + "02 0000 0001 00", "U+0000"},
		{"connect will without topic", "10 11" + head + "04 0000 0001 64 0000 0000", "topic is empty"},
		{"connect will topic NUL", "10 12" + head + "04 0000 0001 64 0001 00 0000", "U+0000"},
		{"connect user NUL", "10 10" + head + "80 0000 0001 64 0001 00", "U+0000"},
		{"connect user missing", "10 0d" + head + "80 0000 0001 64", "too short"},
		{"connect password missing", "10 0f" + head + "c0 0000 0001 64 0000", "too short"},
		{"connect bytes left over", "10 0e" + head + "02 0000 0001 64 00", "left over"},

		{"connack too short", "20 01 00", "too short"},
		{"connack too long", "20 03 00 00 00", "left over"},
		{"connack flags byte", "20 02 02 00", "reserved acknowledge flags"},
		{"connack refusal with session", "20 02 01 05", "refusal with session present"},

		{"publish empty", "30 00", "too short"},
		{"publish topic too long", "30 03 0002 61", "longer than the packet"},
		{"publish topic empty", "30 02 0000", "topic is empty"},
		{"publish topic not UTF-8", "30 03 0001 c3", "not UTF-8"},
		{"publish topic NUL", "30 04 0002 6100", "U+0000"},
		{"publish QoS 1 without id", "32 03 0001 61", "too short"},
		{"publish QoS 1 id 0", "32 05 0001 61 0000", "identifier is 0"},
		{"publish QoS 2 id 0", "34 05 0001 61 0000", "identifier is 0"},
		{"puback id 0", "40 02 0000", "identifier is 0"},

		{"subscribe empty", "82 00", "too short"},
		{"subscribe id 0", "82 06 0000 0001 61 00", "identifier is 0"},
		{"subscribe without filter", "82 02 0001", "too short"},
		{"subscribe filter empty", "82 05 0001 0000 00", "topic is empty"},
		{"subscribe without QoS", "82 05 0001 0001 61", "too short"},
		{"subscribe QoS 3", "82 06 0001 0001 61 03", "above 2"},
		{"subscribe QoS reserved bits", "82 06 0001 0001 61 81", "above 2"},
		{"subscribe filter not UTF-8", "82 06 0001 0001 80 00", "not UTF-8"},
		{"subscribe second filter cut", "82 07 0001 0001 61 01 00", "too short"},
		{"suback without codes", "90 02 0001", "no return code"},
		{"suback id 0", "90 03 0000 00", "identifier is 0"},
		{"suback code reserved", "90 03 0001 03", "reserved"},
		{"unsubscribe without topic", "a2 02 0001", "too short"},
		{"unsubscribe topic empty", "a2 04 0001 0000", "topic is empty"},
		{"unsubscribe id 0", "a2 05 0000 0001 61", "identifier is 0"},
		{"unsubscribe NUL", "a2 05 0001 0001 00", "U+0000"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			packet, _, err := parse(unhex(t, row.hex))
			var wire *mqttwire.Error
			if !errors.As(err, &wire) {
				t.Fatalf("packet %+v, error %v; want an *Error", packet, err)
			}
			if !strings.Contains(err.Error(), row.want) {
				t.Errorf("error %q does not say %q", err, row.want)
			}
		})
	}
}

func TestAppend_refusesWhatCannotBeWritten(t *testing.T) {
	long := strings.Repeat("a", 1<<16)
	fits := long[1:]
	connect := func(p mqttwire.ConnectPacket) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return mqttwire.AppendConnect(b, &p) }
	}
	publish := func(p mqttwire.PublishPacket) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return mqttwire.AppendPublish(b, &p) }
	}
	subscribe := func(p mqttwire.SubscribePacket) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return mqttwire.AppendSubscribe(b, &p) }
	}
	unsubscribe := func(p mqttwire.UnsubscribePacket) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return mqttwire.AppendUnsubscribe(b, &p) }
	}
	rows := []struct {
		name   string
		write  func([]byte) ([]byte, error)
		refuse bool
	}{
		{"client id of 65535 bytes", connect(mqttwire.ConnectPacket{ClientID: fits}), false},
		{"client id of 65536 bytes", connect(mqttwire.ConnectPacket{ClientID: long}), true},
		{"user name of 65536 bytes", connect(mqttwire.ConnectPacket{HasUser: true, User: long}), true},
		{"password of 65536 bytes", connect(mqttwire.ConnectPacket{HasUser: true, HasPassword: true, Password: []byte(long)}), true},
		{"password without user name", connect(mqttwire.ConnectPacket{HasPassword: true}), true},
		{"client id with NUL", connect(mqttwire.ConnectPacket{ClientID: "a\x00"}), true},
		{"keep-alive 65535 s", connect(mqttwire.ConnectPacket{KeepAlive: 65535 * time.Second}), false},
		{"keep-alive 65535.1 s", connect(mqttwire.ConnectPacket{KeepAlive: 65535*time.Second + 1e8}), true},
		{"keep-alive for ever", connect(mqttwire.ConnectPacket{KeepAlive: 1<<63 - 1}), true},
		{"keep-alive negative", connect(mqttwire.ConnectPacket{KeepAlive: -time.Second}), true},
		{"will without topic", connect(mqttwire.ConnectPacket{Will: &mqttwire.Will{}}), true},
		{"will QoS 3", connect(mqttwire.ConnectPacket{Will: &mqttwire.Will{Topic: "t", QoS: 3}}), true},
		{"will topic not UTF-8", connect(mqttwire.ConnectPacket{Will: &mqttwire.Will{Topic: "\xff"}}), true},
		{"will payload of 65536 bytes", connect(mqttwire.ConnectPacket{Will: &mqttwire.Will{Topic: "t", Payload: []byte(long)}}), true},
		{"topic of 65535 bytes", publish(mqttwire.PublishPacket{Topic: []byte(fits)}), false},
		{"topic of 65536 bytes", publish(mqttwire.PublishPacket{Topic: []byte(long)}), true},
		{"topic empty", publish(mqttwire.PublishPacket{}), true},
		{"topic not UTF-8", publish(mqttwire.PublishPacket{Topic: []byte{0xff}}), true},
		{"QoS 3", publish(mqttwire.PublishPacket{Topic: []byte("a"), QoS: 3, ID: 1}), true},
		{"QoS 1 without id", publish(mqttwire.PublishPacket{Topic: []byte("a"), QoS: 1}), true},
		{"QoS 0 with id", publish(mqttwire.PublishPacket{Topic: []byte("a"), ID: 1}), true},
		{"DUP at QoS 0", publish(mqttwire.PublishPacket{Topic: []byte("a"), Dup: true}), true},
		{"subscribe without filter", subscribe(mqttwire.SubscribePacket{ID: 1}), true},
		{"subscribe id 0", subscribe(mqttwire.SubscribePacket{Filters: []mqttwire.Filter{{Topic: "a"}}}), true},
		{"subscribe QoS 3", subscribe(mqttwire.SubscribePacket{ID: 1, Filters: []mqttwire.Filter{{Topic: "a", QoS: 3}}}), true},
		{"subscribe empty filter", subscribe(mqttwire.SubscribePacket{ID: 1, Filters: []mqttwire.Filter{{}}}), true},
		{"subscribe long filter", subscribe(mqttwire.SubscribePacket{ID: 1, Filters: []mqttwire.Filter{{Topic: long}}}), true},
		{"unsubscribe without topic", unsubscribe(mqttwire.UnsubscribePacket{ID: 1}), true},
		{"unsubscribe empty topic", unsubscribe(mqttwire.UnsubscribePacket{ID: 1, Topics: []string{""}}), true},
	}
	for _, row := range rows {
		b, err := row.write([]byte{7})
		if refused := err != nil; refused != row.refuse {
			t.Errorf("%s: error %v", row.name, err)
		}
		if err != nil && !bytes.Equal(b, []byte{7}) {
			t.Errorf("%s: dst changed although it failed", row.name)
		}
	}
}

func TestAppendConnect_roundsKeepAliveUp(t *testing.T) {
	b, err := mqttwire.AppendConnect(nil, &mqttwire.ConnectPacket{KeepAlive: 1500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := parse(b)
	if err != nil || p.(mqttwire.ConnectPacket).KeepAlive != 2*time.Second {
		t.Errorf("packet %+v, error %v", p, err)
	}
}

func TestHotPath_doesNotAllocate(t *testing.T) {
	wire, err := mqttwire.AppendPublish(nil, &mqttwire.PublishPacket{
		QoS: 1, ID: 7, Topic: []byte("devices/d1/messages/events/%24.ct=application%2Fjson"), Payload: make([]byte, 256)})
	if err != nil {
		t.Fatal(err)
	}
	ack := make([]byte, 0, 64)
	allocs := testing.AllocsPerRun(100, func() {
		h, n, err := mqttwire.ParseHeader(wire)
		if err != nil {
			t.Fatal(err)
		}
		p, err := mqttwire.ParsePublish(h.Flags, wire[n:n+h.Length])
		if err != nil {
			t.Fatal(err)
		}
		ack = mqttwire.AppendPuback(ack[:0], p.ID)
	})
	if allocs != 0 {
		t.Errorf("%v allocations per message, want 0", allocs)
	}
}
