package amqpfront_test

import (
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward/internal/front/amqpfront"
)

func readRequest(properties map[string]any) *amqp.Message {
	properties["operation"] = "READ"
	return &amqp.Message{Properties: &amqp.MessageProperties{MessageID: amqp.UUID{9}}, ApplicationProperties: properties}
}

// The types are exact: SDKs assert them.
//
// Source: Azure/azure-sdk-for-go sdk/messaging/azeventhubs/mgmt.go; EventHubMessageSerializer.java of
// Azure/azure-sdk-for-java.
func TestManagement_eventHub(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.owner(f.listen())
	for _, address := range []string{"$management", "plant/$management", "/PLANT/$Management", "amqps://" + host + "/plant/$management"} {
		got := p.pair(address, "reply-"+address).call(readRequest(map[string]any{"name": "plant", "type": "com.microsoft:eventhub", "security_token": int32(7)}))
		if got.Properties.CorrelationID != (amqp.UUID{9}) || got.ApplicationProperties["status-code"] != int32(200) {
			t.Errorf("%s: %+v, %v", address, got.Properties, got.ApplicationProperties)
		}
		v, ok := got.Value.(map[string]any)
		if !ok {
			t.Fatalf("%s: %T", address, got.Value)
		}
		ids, ok := v["partition_ids"].([]string)
		if !ok || len(ids) != 4 || ids[0] != "0" || ids[3] != "3" {
			t.Errorf("partition_ids %T %v", v["partition_ids"], v["partition_ids"])
		}
		if at, ok := v["created_at"].(time.Time); !ok || time.Since(at) > time.Minute {
			t.Errorf("created_at %v", v["created_at"])
		}
		if v["name"] != "plant" || v["type"] != "com.microsoft:eventhub" || v["partition_count"] != int32(4) || v["georeplication_factor"] != int32(1) {
			t.Errorf("%v", v)
		}
	}
}

func TestManagement_partition(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.append(1, 3)
	q := f.owner(f.listen()).pair("$management", "here")
	rows := []struct {
		partition any
		id        string
		last      int64
		offset    string
		empty     bool
	}{{"1", "1", 2, "2", false}, {int64(1), "1", 2, "2", false}, {int32(0), "0", -1, "-1", true}}
	for _, r := range rows {
		got := q.call(readRequest(map[string]any{"name": "plant", "type": "com.microsoft:partition", "partition": r.partition}))
		v, ok := got.Value.(map[string]any)
		if !ok {
			t.Fatalf("%v: %v %v", r.partition, got.ApplicationProperties, got.Value)
		}
		if v["name"] != "plant" || v["type"] != "com.microsoft:partition" || v["partition"] != r.id || v["begin_sequence_number"] != int64(0) ||
			v["last_enqueued_sequence_number"] != r.last || v["last_enqueued_offset"] != r.offset || v["is_partition_empty"] != r.empty {
			t.Errorf("%v: %v", r.partition, v)
		}
		for _, key := range []string{"begin_sequence_number_epoch", "last_enqueued_sequence_number_epoch"} {
			if v[key] != int32(-1) {
				t.Errorf("%s is %T %v", key, v[key], v[key])
			}
		}
		for _, key := range []string{"last_enqueued_time_utc", "runtime_info_retrieval_time_utc"} {
			if _, ok := v[key].(time.Time); !ok {
				t.Errorf("%s is %T", key, v[key])
			}
		}
	}
}

func TestManagement_failures(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	q := f.owner(f.listen()).pair("$management", "here")
	rows := map[string]struct {
		properties map[string]any
		code       int32
		condition  string
	}{
		"another event hub": {map[string]any{"name": "elsewhere", "type": "com.microsoft:eventhub"}, 404, "amqp:not-found"},
		"another type":      {map[string]any{"name": "plant", "type": "com.microsoft:queue"}, 400, "com.microsoft:argument-error"},
		"no type":           {map[string]any{"name": "plant"}, 400, "com.microsoft:argument-error"},
		"no partition":      {map[string]any{"name": "plant", "type": "com.microsoft:partition"}, 400, "com.microsoft:argument-out-of-range"},
		"partition 4":       {map[string]any{"name": "plant", "type": "com.microsoft:partition", "partition": "4"}, 400, "com.microsoft:argument-out-of-range"},
	}
	for name, r := range rows {
		got := q.call(readRequest(r.properties)).ApplicationProperties
		if got["status-code"] != r.code || got["error-condition"] != r.condition || got["status-description"] == "" {
			t.Errorf("%s: %v", name, got)
		}
	}
	write := readRequest(map[string]any{"name": "plant", "type": "com.microsoft:eventhub"})
	write.ApplicationProperties["operation"] = "WRITE"
	if got := q.call(write).ApplicationProperties; got["status-code"] != int32(501) {
		t.Errorf("WRITE: %v", got)
	}
	if got := q.call(readRequest(map[string]any{"type": "com.microsoft:eventhub"})).ApplicationProperties; got["status-code"] != int32(200) {
		t.Errorf("without a name: %v", got)
	}
}

// What the tokens of the clients cover is enough to read what there is.
func TestManagement_tokens(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	address := f.listen()
	for _, resource := range []string{
		"sb://" + host + "/plant/$management", "sb://" + host + "/plant", host, "amqps://" + host + "/plant/$management",
		"sb://" + host + "/plant/consumergroups/$default",
	} {
		p := f.dial(address, amqp.ConnOptions{})
		if code, text := p.putToken(textToken(t, resource, "service", f.policyKey("service"), time.Hour)); code != 200 {
			t.Fatal(code, text)
		}
		q := p.pair("$management", "here")
		if got := q.call(readRequest(map[string]any{"name": "plant", "type": "com.microsoft:eventhub"})); got.ApplicationProperties["status-code"] != int32(200) {
			t.Errorf("%s: %v", resource, got.ApplicationProperties)
		}
	}
	p := f.dial(address, amqp.ConnOptions{})
	if code, text := p.putToken(f.token("registryRead", host, time.Hour)); code != 200 {
		t.Fatal(code, text)
	}
	got := p.pair("plant/$management", "here").call(readRequest(map[string]any{"name": "plant", "type": "com.microsoft:eventhub"}))
	if got.ApplicationProperties["status-code"] != int32(401) || got.Value != nil {
		t.Errorf("without the right: %v %v", got.ApplicationProperties, got.Value)
	}
	p = f.owner(address)
	_, err := p.session.NewSender(p.context(), "elsewhere/$management", nil)
	wantCondition(t, "another event hub", err, "amqp:not-found")
}

// A request may have a token of its own: Java puts none to $cbs before. The connection has it from then on, as if it was put
// there.
func TestManagement_tokenInTheRequest(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	address := f.listen()
	q := f.dial(address, amqp.ConnOptions{}).pair("$management", "here")
	read := func(token any) any {
		t.Helper()
		properties := map[string]any{"name": "plant", "type": "com.microsoft:partition", "partition": "0"}
		if token != nil {
			properties["security_token"] = token
		}
		got := q.call(readRequest(properties))
		if code := got.ApplicationProperties["status-code"]; code != int32(200) && (got.Value != nil || got.ApplicationProperties["error-condition"] == nil) {
			t.Errorf("%v: %v %v", token, got.ApplicationProperties, got.Value)
		}
		return got.ApplicationProperties["status-code"]
	}
	const eventHub = "amqp://" + host + "/plant/$management"
	key := f.policyKey("service")
	for what, r := range map[string]struct {
		token any
		code  int32
	}{
		"none":             {nil, 401},
		"an empty one":     {"", 401},
		"a number":         {int32(7), 401},
		"garbage":          {"SharedAccessSignature x", 400},
		"of another kind":  {"eyJhbGciOiJub25lIn0.e30.", 401},
		"with another key": {textToken(t, eventHub, "service", f.policyKey("device"), time.Hour), 401},
		"too old":          {textToken(t, eventHub, "service", key, -time.Minute), 401},
		"for another hub":  {textToken(t, "sb://other.example/plant", "service", key, time.Hour), 401},
		"without rights":   {f.token("registryRead", host, time.Hour), 401},
	} {
		if got := read(r.token); got != r.code {
			t.Errorf("%s: %v, want %d", what, got, r.code)
		}
	}
	if got := read(textToken(t, eventHub, "service", key, time.Hour)); got != int32(200) {
		t.Errorf("a good one: %v", got)
	}
	if got := read("SharedAccessSignature x"); got != int32(200) {
		t.Errorf("a bad one after it: %v", got)
	}
}
