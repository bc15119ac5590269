package amqpfront_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward/internal/eventlog/memlog"
	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/internal/hub"
)

// What an event looks like to a client, in exact types.
//
// Source: EventHubMessageSerializer.java of Azure/azure-sdk-for-java; amenzhinsky/iothub iotservice/message.go.
func TestReader_event(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.append(0, 2)
	r := f.owner(f.listen()).mustRead(partition0, "", amqp.ReceiverOptions{})
	for i := range 2 {
		m := receive(t, r)
		a := m.Annotations
		if a["x-opt-sequence-number"] != int64(i) || a["x-opt-offset"] != fmt.Sprint(i) || a["iothub-connection-device-id"] != "d1" {
			t.Errorf("annotations %v", a)
		}
		if at, ok := a["x-opt-enqueued-time"].(time.Time); !ok || time.Since(at) > time.Minute {
			t.Errorf("x-opt-enqueued-time %v", a["x-opt-enqueued-time"])
		}
		if _, ok := a["iothub-enqueuedtime"].(time.Time); !ok || a["iothub-message-source"] != "Telemetry" {
			t.Errorf("annotations %v", a)
		}
		if m.Properties.MessageID != fmt.Sprint("m", i) || m.ApplicationProperties["alert"] != "true" {
			t.Errorf("properties %+v, %v", m.Properties, m.ApplicationProperties)
		}
		if len(m.Data) != 1 || string(m.Data[0]) != fmt.Sprint(i) || m.DeliveryAnnotations != nil {
			t.Errorf("body %q, delivery annotations %v", m.Data, m.DeliveryAnnotations)
		}
	}
}

func TestReader_starts(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.append(0, 10)
	p := f.owner(f.listen())
	now := time.Now().UnixMilli()
	rows := map[string]int{ // expression, body of the first event
		"":                                                                      0,
		"amqp.annotation.x-opt-offset > '-1'":                                   0,
		"amqp.annotation.x-opt-offset > -1":                                     0,
		"amqp.annotation.x-opt-offset > '3'":                                    4,
		"amqp.annotation.x-opt-offset >= '3'":                                   3,
		"amqp.annotation.x-opt-sequence-number > '3'":                           4,
		"amqp.annotation.x-opt-sequence-number >= 3":                            3,
		"amqp.annotation.x-opt-enqueued-time > '0'":                             0,
		"amqp.annotation.x-opt-enqueuedtimeutc > 0":                             0,
		"amqp.annotation.x-opt-offset > '@latest'":                              10,
		"amqp.annotation.x-opt-offset > @latest":                                10,
		"amqp.annotation.x-opt-offset > '9'":                                    10,
		fmt.Sprintf("amqp.annotation.x-opt-enqueued-time > '%d'", now+3600_000): 10,
	}
	readers := map[string]*amqp.Receiver{}
	group := 0
	for expression := range rows {
		if group++; group > 1 { // one each: there are five readers at most
			if err := f.CreateConsumerGroup(t.Context(), f.process, "plant", fmt.Sprint("g", group)); err != nil {
				t.Fatal(err)
			}
			readers[expression] = p.mustRead(fmt.Sprintf("plant/ConsumerGroups/g%d/Partitions/0", group), expression, amqp.ReceiverOptions{})
			continue
		}
		readers[expression] = p.mustRead(partition0, expression, amqp.ReceiverOptions{})
	}
	f.append(0, 1) // the eleventh, whose body is "0"
	for expression, want := range rows {
		m := receive(t, readers[expression])
		if m.Annotations["x-opt-sequence-number"] != int64(want) {
			t.Errorf("%s: first event %v, want %d", expression, m.Annotations["x-opt-sequence-number"], want)
		}
	}
}

// The three descriptors that clients use, and none.
func TestReader_descriptors(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.append(0, 5)
	p := f.owner(f.listen())
	const key, text = "apache.org:selector-filter:string", "amqp.annotation.x-opt-offset > '2'"
	for _, code := range []uint64{0, 0x468C00000004, 0x137000000A} {
		r := p.mustRead(partition0, "", amqp.ReceiverOptions{Filters: []amqp.LinkFilter{amqp.NewLinkFilter(key, code, text)}})
		if m := receive(t, r); string(m.Data[0]) != "3" {
			t.Errorf("descriptor %x: event %s", code, m.Data[0])
		}
		if got := fmt.Sprint(r.LinkSourceFilterValue(key)); got != text {
			t.Errorf("the filter came back as %s", got)
		}
		if err := r.Close(p.context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReader_refusals(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.append(0, 3)
	p := f.owner(f.listen())
	rows := map[string]struct{ address, filter, condition, text string }{
		"unknown event hub":   {"elsewhere/ConsumerGroups/$Default/Partitions/0", "", "amqp:not-found", "The messaging entity 'sb://plant.example/elsewhere/ConsumerGroups/$Default/Partitions/0' could not be found."},
		"unknown group":       {"plant/ConsumerGroups/nobody/Partitions/0", "", "amqp:not-found", "could not be found."},
		"partition too large": {"plant/ConsumerGroups/$Default/Partitions/4", "", "com.microsoft:argument-out-of-range", "should be between 0 and 3."},
		"partition no number": {"plant/ConsumerGroups/$Default/Partitions/x", "", "com.microsoft:argument-out-of-range", "The specified partition is invalid"},
		"partition 00":        {"plant/ConsumerGroups/$Default/Partitions/00", "", "com.microsoft:argument-out-of-range", "The specified partition is invalid"},
		"offset too large":    {partition0, "amqp.annotation.x-opt-offset > '3'", "com.microsoft:argument-error", "The supplied offset '3' is invalid. The last offset in the system is '2'"},
		"offset of a region":  {partition0, "amqp.annotation.x-opt-offset > '1:7'", "com.microsoft:argument-error", "The supplied offset '1:7' is invalid. The last offset in the system is '2'"},
		"sequence too large":  {partition0, "amqp.annotation.x-opt-sequence-number >= '77'", "com.microsoft:argument-error", "The supplied sequence number '77' is invalid. The last sequence number in the system is '2'"},
		"bad time":            {partition0, "amqp.annotation.x-opt-enqueued-time > 'noon'", "com.microsoft:argument-error", "'noon'"},
		"another expression":  {partition0, "temperature > 30 AND x", "amqp:not-implemented", "temperature > 30 AND x"},
	}
	for name, r := range rows {
		_, err := p.reader(r.address, r.filter, amqp.ReceiverOptions{})
		e := wantCondition(t, name, err, r.condition)
		if !strings.Contains(e.Description, r.text) {
			t.Errorf("%s: %q lacks %q", name, e.Description, r.text)
		}
		if id, ok := e.Info["com.microsoft:tracking-id"].(string); !ok || len(id) != 32 {
			t.Errorf("%s: info %v", name, e.Info)
		}
	}
	for name, epoch := range map[string]any{"negative": int64(-1), "negative int": int32(-5)} {
		_, err := p.reader(partition0, "", amqp.ReceiverOptions{Properties: map[string]any{"com.microsoft:epoch": epoch}})
		wantCondition(t, name+" epoch", err, "com.microsoft:argument-out-of-range")
	}
	_, err := p.reader(partition0, "", amqp.ReceiverOptions{Properties: map[string]any{"com.microsoft:epoch": "high"}})
	wantCondition(t, "an epoch that is text", err, "com.microsoft:argument-error")
}

// A token of one partition is enough to be told where it ends.
func TestReader_refusalWithATokenOfThePartition(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.append(0, 3)
	p := f.dial(f.listen(), amqp.ConnOptions{})
	if code, text := p.putToken(f.token("service", "sb://"+host+"/"+partition0, time.Hour)); code != 200 {
		t.Fatal(code, text)
	}
	_, err := p.reader(partition0, "amqp.annotation.x-opt-offset > '1:7'", amqp.ReceiverOptions{})
	e := wantCondition(t, "an offset of a region", err, "com.microsoft:argument-error")
	if want := "The last offset in the system is '2'"; !strings.Contains(e.Description, want) {
		t.Errorf("%q lacks %q", e.Description, want)
	}
	receive(t, p.mustRead(partition0, "", amqp.ReceiverOptions{}))
}

// A client that never accepts, as pyamqp and azeventhubs, gets all: its credit comes back because events arrive settled.
func TestReader_withoutDispositions(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.append(0, 2000)
	r := f.owner(f.listen()).mustRead(partition0, "", amqp.ReceiverOptions{Credit: 300})
	for i := range 2000 {
		if m := receive(t, r); m.Annotations["x-opt-sequence-number"] != int64(i) {
			t.Fatalf("event %v, want %d", m.Annotations["x-opt-sequence-number"], i)
		}
	}
	if events, bytes, readers := f.observed.counts(); events < 2000 || bytes < 2000*200 || readers != 1 {
		t.Errorf("observed %d events of %d bytes, %d readers", events, bytes, readers)
	}
}

// A link without credit stays, gets nothing, and starts where it was when the credit comes.
func TestReader_noCredit(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.append(0, 3)
	r := f.owner(f.listen()).mustRead(partition0, "", amqp.ReceiverOptions{Credit: -1})
	if m := r.Prefetched(); m != nil {
		t.Errorf("an event without credit: %v", m.Annotations)
	}
	for i := range 3 {
		if err := r.IssueCredit(1); err != nil {
			t.Fatal(err)
		}
		if m := receive(t, r); string(m.Data[0]) != fmt.Sprint(i) {
			t.Errorf("event %s, want %d", m.Data[0], i)
		}
		if m := r.Prefetched(); m != nil {
			t.Errorf("an event beyond the credit: %v", m.Annotations)
		}
	}
}

// The settlement modes of .NET, which wants all settled, and Java, which wants to settle itself.
func TestReader_settleModes(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.append(0, 3)
	p := f.owner(f.listen())
	r := p.mustRead(partition0, "", amqp.ReceiverOptions{RequestedSenderSettleMode: amqp.SenderSettleModeSettled.Ptr()})
	receive(t, r)
	r = p.mustRead(partition0, "", amqp.ReceiverOptions{
		RequestedSenderSettleMode: amqp.SenderSettleModeUnsettled.Ptr(), SettlementMode: amqp.ReceiverSettleModeSecond.Ptr(),
	})
	for range 3 {
		if err := r.AcceptMessage(p.context(), receive(t, r)); err != nil { // waits for the answer
			t.Fatal(err)
		}
	}
}

func epoch(n int64, name string) amqp.ReceiverOptions {
	return amqp.ReceiverOptions{Properties: map[string]any{"com.microsoft:epoch": n, "com.microsoft:receiver-name": name}}
}

// wantDetached waits until the other side has detached r.
func wantDetached(t *testing.T, r *amqp.Receiver, condition string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		if _, err := r.Receive(ctx, nil); err != nil {
			return wantCondition(t, "receive", err, condition).Description
		}
	}
}

// Source: learn.microsoft.com/archive/blogs/gyan/event-hubs-receiver-epoch.
func TestReader_epochs(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.owner(f.listen())
	plain := p.mustRead(partition0, "", amqp.ReceiverOptions{Credit: -1}) // no credit: it is told all the same
	first := p.mustRead(partition0, "", epoch(0, "first"))
	if text := wantDetached(t, plain, "amqp:link:stolen"); !strings.Contains(text, "New receiver 'first' with higher epoch of '0' is created hence current receiver 'nil'") {
		t.Error(text)
	}
	_, err := p.reader(partition0, "", amqp.ReceiverOptions{})
	if e := wantCondition(t, "a plain reader", err, "amqp:link:stolen"); !strings.Contains(e.Description, "At least one receiver for the endpoint is created with epoch of '0'") {
		t.Error(e.Description)
	}
	second := p.mustRead(partition0, "", epoch(0, "second"))
	wantDetached(t, first, "amqp:link:stolen")
	third := p.mustRead(partition0, "", epoch(7, "third"))
	wantDetached(t, second, "amqp:link:stolen")
	_, err = p.reader(partition0, "", epoch(6, "fourth"))
	if e := wantCondition(t, "a lower epoch", err, "amqp:link:stolen"); !strings.Contains(e.Description, "Receiver 'third' with a higher epoch '7' already exists") {
		t.Error(e.Description)
	}
	p.mustRead("/plant/consumergroups/$default/partitions/1", "", epoch(1, "elsewhere"))
	if err := third.Close(p.context()); err != nil {
		t.Fatal(err)
	}
	p.mustRead(partition0, "", amqp.ReceiverOptions{})
}

func TestReader_limit(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.owner(f.listen())
	var last *amqp.Receiver
	for i := range 5 {
		last = p.mustRead(partition0, "", amqp.ReceiverOptions{Properties: map[string]any{"com.microsoft:receiver-name": fmt.Sprint("r", i)}})
	}
	_, err := p.reader(partition0, "", amqp.ReceiverOptions{})
	e := wantCondition(t, "the sixth", err, "amqp:resource-limit-exceeded")
	if !strings.Contains(e.Description, "r0, r1, r2, r3, r4") {
		t.Error(e.Description)
	}
	if err := last.Close(p.context()); err != nil {
		t.Fatal(err)
	}
	p.mustRead(partition0, "", amqp.ReceiverOptions{})
	f.observed.awaitReaders(t, "plant/$Default", 5)
}

// Who was displaced is no reader any more, whether or not its client answers.
func TestReader_displacedIsNotCounted(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	address := f.listen()
	defer rawReader(t, address, f.policyKey("iothubowner")).Close()
	f.observed.awaitReaders(t, "plant/$Default", 1)
	exclusive := f.owner(address).mustRead(partition0, "", amqp.ReceiverOptions{Properties: map[string]any{"com.microsoft:epoch": int64(1)}})
	f.observed.awaitReaders(t, "plant/$Default", 1)
	if err := exclusive.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.observed.awaitReaders(t, "plant/$Default", 0)
}

// The delivery annotations are there for who asked, all four of them, and nothing else is offered.
func TestReader_runtimeMetric(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.append(0, 5)
	r := f.owner(f.listen()).mustRead(partition0, "", amqp.ReceiverOptions{
		DesiredCapabilities: []string{"com.microsoft:enable-receiver-runtime-metric", "com.microsoft:georeplication"},
	})
	for i := range 5 {
		m := receive(t, r)
		a := m.DeliveryAnnotations
		if a["last_enqueued_sequence_number"] != int64(4) || a["last_enqueued_offset"] != "4" {
			t.Errorf("%v", a)
		}
		for _, key := range []string{"last_enqueued_time_utc", "runtime_info_retrieval_time_utc"} {
			if at, ok := a[key].(time.Time); !ok || time.Since(at) > time.Minute {
				t.Errorf("%s: %v", key, a[key])
			}
		}
		if len(a) != 4 || m.Annotations["x-opt-sequence-number"] != int64(i) || string(m.Data[0]) != fmt.Sprint(i) {
			t.Errorf("%v, %v", a, m.Annotations)
		}
	}
}

// Deleting what is read ends the reader with the words that SDKs look for.
func TestReader_consumerGroupDeleted(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	if err := f.CreateConsumerGroup(t.Context(), f.process, "plant", "team"); err != nil {
		t.Fatal(err)
	}
	r := f.owner(f.listen()).mustRead("plant/ConsumerGroups/TEAM/Partitions/0", "", amqp.ReceiverOptions{})
	if err := f.DeleteConsumerGroup(t.Context(), f.process, "plant", "team"); err != nil {
		t.Fatal(err)
	}
	if text := wantDetached(t, r, "amqp:not-found"); !strings.HasPrefix(text, "The messaging entity") || !strings.HasSuffix(text, "could not be found.") {
		t.Error(text)
	}
}

// A hub that was deleted takes its readers and its connections along: one of the same name that comes later has other keys.
func TestReader_hubDeleted(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createHub("other", "other.example")
	p := f.dial(f.listen(), amqp.ConnOptions{
		HostName: "other.example", SASLType: amqp.SASLTypePlain("service", f.keys["other/service"].PrimaryKey),
	})
	r := p.mustRead("other/ConsumerGroups/$Default/Partitions/0", "", amqp.ReceiverOptions{})
	if err := f.DeleteHub(t.Context(), f.process, "other"); err != nil {
		t.Fatal(err)
	}
	wantDetached(t, r, "amqp:not-found")
	f.createHub("other", "other.example")
	if _, err := p.reader("other/ConsumerGroups/$Default/Partitions/0", "", amqp.ReceiverOptions{}); err == nil {
		t.Error("the old log-in is good for the new hub")
	}
	<-p.conn.Done()
	wantCondition(t, "the connection", p.conn.Err(), "amqp:connection:forced")
}

// damagedLog is a log of which the second event of each partition cannot be read.
type damagedLog struct{ hub.EventLog }

func (l damagedLog) Read(ctx context.Context, p hub.Partition, from int64, maxBytes int, visit func(hub.Record) bool) (int64, error) {
	next, err := l.EventLog.Read(ctx, p, from, maxBytes, func(r hub.Record) bool { return r.SequenceNumber < 1 && visit(r) })
	if next >= 1 {
		return 1, &hub.DamageError{Partition: p, Sequence: 1, Err: errors.New("checksum mismatch")}
	}
	return next, err
}

// What cannot be read ends the reader with an error that clients give to their user, behind all that can be read.
func TestReader_damage(t *testing.T) {
	f := newFixtureOn(t, amqpfront.Options{}, func(l *memlog.Log) hub.EventLog { return damagedLog{l} })
	f.append(0, 2)
	r := f.owner(f.listen()).mustRead(partition0, "", amqp.ReceiverOptions{})
	if m := receive(t, r); string(m.Data[0]) != "0" {
		t.Errorf("before the damage: %q", m.Data)
	}
	if text := wantDetached(t, r, "amqp:not-allowed"); !strings.Contains(text, "partition 0 are damaged at or after sequence number 1") {
		t.Error(text)
	}
}

// A large event and small ones arrive whole: the first in several frames.
func TestReader_largeEvent(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	body := strings.Repeat("0123456789abcdef", 15<<10)
	f.appendBody(0, body)
	f.append(0, 2)
	r := f.owner(f.listen()).mustRead(partition0, "", amqp.ReceiverOptions{})
	if m := receive(t, r); len(m.Data) != 1 || string(m.Data[0]) != body {
		t.Errorf("%d bytes", len(m.Data[0]))
	}
	for i := range 2 {
		if m := receive(t, r); string(m.Data[0]) != fmt.Sprint(i) {
			t.Errorf("%q", m.Data)
		}
	}
}
