package amqpfront_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/sas"
)

func putTokenMessage(token string) *amqp.Message {
	return &amqp.Message{
		ApplicationProperties: map[string]any{"operation": "put-token", "type": "servicebus.windows.net:sastoken", "name": host},
		Value:                 token,
	}
}

// The correlation id of the answer has the type of the message id: Java and pyamqp send and want a uuid, uamqp a ulong, the
// others a string or nothing.
func TestPutToken_answersInTheTypeOfTheId(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	q := f.dial(f.listen(), amqp.ConnOptions{}).pair("$cbs", "")
	for _, id := range []any{"text", amqp.UUID{1, 2, 3}, uint64(0), uint64(7), uint64(1 << 40), nil} {
		m := putTokenMessage(f.token("service", host, time.Hour))
		m.Properties = &amqp.MessageProperties{MessageID: id}
		got := q.call(m)
		if got.Properties != nil && got.Properties.CorrelationID != id || got.Properties == nil && id != nil {
			t.Errorf("message id %T %v: answer %+v", id, id, got.Properties)
		}
		if code, ok := got.ApplicationProperties["status-code"].(int32); !ok || code != 200 {
			t.Errorf("status-code %T %v", got.ApplicationProperties["status-code"], got.ApplicationProperties["status-code"])
		}
		if text, ok := got.ApplicationProperties["status-description"].(string); !ok || text == "" {
			t.Errorf("status-description %v", got.ApplicationProperties["status-description"])
		}
		if got.Value != nil || len(got.Data) > 0 {
			t.Errorf("body %v, %v", got.Value, got.Data)
		}
	}
}

// Success has two codes: Rust's client for Event Hubs takes 202 alone, Node's and Java's for devices take 200 alone. The name
// of the token tells whose it is.
func TestPutToken_codeOfSuccess(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	q := f.dial(f.listen(), amqp.ConnOptions{}).pair("$cbs", "")
	for name, want := range map[any]int32{
		host: 200, host + "/devices/d1": 200, host + "%2Fdevices%2Fd1": 200, "https://" + host: 200, "": 200, nil: 200, int32(1): 200,
		"sb:" + host: 200, "sb/://x": 200,
		"amqps://" + host + "/plant/ConsumerGroups/$Default/Partitions/0": 202, "sb://" + host + "/plant": 202, "amqp://" + host: 202,
		"AMQPS://" + host + "/plant/$management": 202, amqp.Symbol("sb://" + host): 202,
	} {
		m := putTokenMessage(f.token("service", host, time.Hour))
		m.ApplicationProperties["name"] = name
		if got := q.call(m).ApplicationProperties; got["status-code"] != want || got["status-description"] == "" {
			t.Errorf("%v: %v, want %d", name, got, want)
		}
	}
	m := putTokenMessage(f.token("service", "other.example", time.Hour))
	m.ApplicationProperties["name"] = "sb://" + host
	if got := q.call(m).ApplicationProperties; got["status-code"] != int32(401) {
		t.Errorf("a bad one: %v", got)
	}
}

// Clients write texts as strings, symbols and binaries, and the token as value or data.
func TestPutToken_takesAnySpelling(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	q := f.dial(f.listen(), amqp.ConnOptions{}).pair("$cbs", "")
	token := f.token("service", host, time.Hour)
	properties := map[string]any{
		"operation": []byte("put-token"), "type": []byte("servicebus.windows.net:sastoken"), "name": []byte("elsewhere.example"),
		"expiration": "2030-01-01T00:00:00Z", "server-timeout": uint32(60000),
	}
	rows := map[string]*amqp.Message{
		"binary":            {ApplicationProperties: properties, Value: token},
		"data":              {ApplicationProperties: properties, Data: [][]byte{[]byte(token)}},
		"no type":           {ApplicationProperties: map[string]any{"operation": "put-token"}, Value: token},
		"jwt for a type":    {ApplicationProperties: map[string]any{"operation": "put-token", "type": "jwt"}, Value: token},
		"the hub's type":    {ApplicationProperties: map[string]any{"operation": "PUT-TOKEN", "type": "azure-devices.net:sastoken"}, Value: token},
		"time as timestamp": {ApplicationProperties: map[string]any{"operation": "put-token", "expiration": time.Now()}, Value: token},
	}
	for name, m := range rows {
		if got := q.call(m); got.ApplicationProperties["status-code"] != int32(200) {
			t.Errorf("%s: %v", name, got.ApplicationProperties)
		}
	}
}

// textToken signs as Event Hubs clients do: with the text of the key.
func textToken(t *testing.T, resource, policy, key string, life time.Duration) string {
	t.Helper()
	sr, se := url.QueryEscape(resource), fmt.Sprint(time.Now().Add(life).Unix())
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%s\n%s", sr, se)
	return "SharedAccessSignature sr=" + sr + "&sig=" + url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil))) + "&se=" + se + "&skn=" + policy
}

func TestPutToken_statuses(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createHub("other", "other.example")
	d, err := f.PutDevice(t.Context(), f.process, hubward.Device{DeviceID: "d1"}, "")
	if err != nil {
		t.Fatal(err)
	}
	deviceToken := func(id string) string {
		text, err := sas.Sign(host+"/devices/"+id, string(d.Authentication.SymmetricKey.PrimaryKey), "", time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	key := f.policyKey("iothubowner")
	rows := map[string]struct {
		token string
		code  int32
	}{
		"decoded key":          {f.token("iothubowner", host, time.Hour), 200},
		"text key":             {textToken(t, "sb://"+host+"/plant/ConsumerGroups/$Default/Partitions/0", "iothubowner", key, time.Hour), 200},
		"text key, lower case": {textToken(t, "amqps://"+host+"/plant/consumergroups/$default/partitions/0", "iothubowner", key, time.Hour), 200},
		"a device":             {deviceToken("d1"), 200},
		"expired":              {f.token("iothubowner", host, -time.Minute), 401},
		"wrong key":            {textToken(t, host, "iothubowner", "guess", time.Hour), 401},
		"unknown policy":       {textToken(t, host, "nobody", key, time.Hour), 401},
		"another hub":          {f.token("iothubowner", "other.example", time.Hour), 401},
		"unknown device":       {deviceToken("d2"), 404},
		"jwt":                  {"eyJhbGciOi.J9.x", 401},
		"bearer":               {"Bearer eyJhbGciOi.J9.x", 401},
		"malformed":            {"SharedAccessSignature sr=a&sig=b", 400},
		"empty":                {"", 400},
	}
	p := f.dial(f.listen(), amqp.ConnOptions{})
	for name, r := range rows {
		if code, text := p.putToken(r.token); code != r.code || text == "" {
			t.Errorf("%s: %d %s, want %d", name, code, text, r.code)
		}
	}
}

func TestCBS_otherOperations(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	q := f.dial(f.listen(), amqp.ConnOptions{}).pair("$cbs", "")
	for operation, want := range map[string]int32{"delete-token": 501, "explode": 400} {
		got := q.call(&amqp.Message{ApplicationProperties: map[string]any{"operation": operation}})
		if got.ApplicationProperties["status-code"] != want {
			t.Errorf("%s: %v", operation, got.ApplicationProperties)
		}
	}
	if got := q.call(&amqp.Message{Value: "no properties at all"}); got.ApplicationProperties["status-code"] != int32(400) {
		t.Errorf("no properties: %v", got.ApplicationProperties)
	}
}

// Several pairs in one session, replies to each by its address; and by order, where the addresses are all the same.
func TestCBS_repliesFindTheirWay(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.dial(f.listen(), amqp.ConnOptions{})
	a, b := p.pair("$cbs", "reply-a"), p.pair("$cbs", "reply-b")
	m := putTokenMessage(f.token("service", host, time.Hour))
	m.Properties = &amqp.MessageProperties{MessageID: "1", ReplyTo: amqpText("reply-b")}
	if err := a.sender.Send(p.context(), m, nil); err != nil { // asked on one link, answered to the other's address
		t.Fatal(err)
	}
	if got := b.next(); got.Properties.CorrelationID != "1" {
		t.Errorf("%+v", got.Properties)
	}
	same := []*pair{p.pair("$cbs", "$cbs"), p.pair("$cbs", "$cbs")}
	for i, q := range same {
		m := putTokenMessage(f.token("service", host, time.Hour))
		m.Properties = &amqp.MessageProperties{MessageID: uint64(i)}
		if got := q.call(m); got.Properties.CorrelationID != uint64(i) {
			t.Errorf("pair %d got %+v", i, got.Properties)
		}
	}
}

func amqpText(s string) *string { return &s }

// A token may come before the link for the reply is attached, and before that has credit
// (Azure/azure-iot-sdk-c#288).
func TestCBS_holdsRepliesUntilTheyCanLeave(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.dial(f.listen(), amqp.ConnOptions{})
	sender, err := p.session.NewSender(p.context(), "$cbs", nil)
	if err != nil {
		t.Fatal(err)
	}
	m := putTokenMessage(f.token("service", host, time.Hour))
	m.Properties = &amqp.MessageProperties{MessageID: uint64(5)}
	if err := sender.Send(p.context(), m, nil); err != nil {
		t.Fatal(err)
	}
	receiver, err := p.session.NewReceiver(p.context(), "$cbs", &amqp.ReceiverOptions{Credit: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := receiver.IssueCredit(1); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, receiver); got.Properties.CorrelationID != uint64(5) || got.ApplicationProperties["status-code"] != int32(200) {
		t.Errorf("%+v %v", got.Properties, got.ApplicationProperties)
	}
}

// A receiver in another session takes the reply when there is none in the session of the request.
func TestCBS_repliesAcrossSessions(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.dial(f.listen(), amqp.ConnOptions{})
	other, err := p.conn.NewSession(p.context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := other.NewReceiver(p.context(), "$cbs", nil)
	if err != nil {
		t.Fatal(err)
	}
	sender, err := p.session.NewSender(p.context(), "$cbs", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sender.Send(p.context(), putTokenMessage(f.token("service", host, time.Hour)), nil); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, receiver); got.ApplicationProperties["status-code"] != int32(200) {
		t.Errorf("%v", got.ApplicationProperties)
	}
}

// What an unauthenticated connection may do is little: few links, to $cbs and $management alone, and small messages.
func TestUnauthenticatedConnection(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.dial(f.listen(), amqp.ConnOptions{})
	for _, address := range []string{
		"plant/ConsumerGroups/$Default/Partitions/0", "elsewhere/$management", "messages/events/", "/devices/d1/twin", "nowhere",
	} {
		_, err := p.session.NewReceiver(p.context(), address, nil)
		wantCondition(t, "receiver from "+address, err, "amqp:unauthorized-access")
	}
	for _, address := range []string{"plant", "elsewhere/$management", "/messages/devicebound", "/devices/d1/messages/events", ""} {
		_, err := p.session.NewSender(p.context(), address, nil)
		wantCondition(t, "sender to "+address, err, "amqp:unauthorized-access")
	}
	for _, address := range []string{"$cbs", "$management"} {
		for range 16 {
			if n := p.mustSend(address).MaxMessageSize(); n == 0 || n > 64<<10 {
				t.Errorf("max message size %d", n)
			}
		}
		_, err := p.sender(address)
		wantCondition(t, "the seventeenth link", err, "amqp:resource-limit-exceeded")
	}
}
