package amqpwire_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
)

// frame returns a frame with a performative and what follows it.
func frame(frameType byte, channel uint16, p interface{ Append([]byte) []byte }, payload string) []byte {
	b := amqpwire.BeginFrame(nil, frameType, channel)
	return amqpwire.EndFrame(append(p.Append(b), payload...), 0)
}

// traced are frames as a person sees them.
var traced = map[string]struct {
	frame []byte
	want  string
}{
	"attach": {
		frame(amqpwire.FrameAMQP, 1, &amqpwire.Attach{
			Name: "r\n1", Role: amqpwire.RoleReceiver, SenderSettleMode: amqpwire.SenderSettled,
			ReceiverSettleMode: amqpwire.ReceiverModeUnset,
			Source:             &amqpwire.Source{Address: "hub/ConsumerGroups/$Default/Partitions/0", Filter: filter},
			Target:             &amqpwire.Target{}, Properties: props, DesiredCapabilities: symbols,
		}, ""),
		`<- 1 attach name="r\n1" handle=0 role=receiver snd-settle-mode=settled ` +
			`source={address="hub/ConsumerGroups/$Default/Partitions/0" ` +
			`filter={apache.org:selector-filter:string=apache.org:selector-filter:string("x > '-1'") "by code"=0x468c00000004("y")}} ` +
			`target={} desired-capabilities=[a b] properties={product="p" n=1099511627776}`,
	},
	"open": {
		frame(amqpwire.FrameAMQP, 0, &amqpwire.Open{ContainerID: "c", MaxFrameSize: 512, IdleTimeout: time.Second,
			Properties: mapping{{"u", amqpwire.UUID{1}}, {"t", instant}, {"c", amqpwire.Char('x')}, {"d", amqpwire.Decimal("1234")}, {"f", 1.5}, {"n", nil}, {"s", symbol("")}}}, "x"),
		`<- 0 open container-id="c" max-frame-size=512 channel-max=0 idle-time-out=1000 properties={` +
			`"u"=01000000-0000-0000-0000-000000000000 "t"=2026-01-02T03:04:05.678Z "c"='x' "d"=0x31323334 "f"=1.5 "n"=null "s"=""} extra=1 bytes`,
	},
	"flow": {
		frame(amqpwire.FrameAMQP, 2, &amqpwire.Flow{IncomingWindow: 5, LinkCredit: amqpwire.Some(7)}, ""),
		"<- 2 flow incoming-window=5 next-outgoing-id=0 outgoing-window=0 link-credit=7 drain=false echo=false",
	},
	"transfer": {
		frame(amqpwire.FrameAMQP, 1, &amqpwire.Transfer{DeliveryTag: []byte("\x01\xff"), MessageFormat: amqpwire.Some(amqpwire.BatchFormat),
			ReceiverSettleMode: amqpwire.ReceiverSecond}, "secret"),
		"<- 1 transfer handle=0 delivery-tag=0x01ff message-format=0x80013700 settled=false more=false rcv-settle-mode=second " +
			"resume=false aborted=false batchable=false payload=6 bytes",
	},
	"disposition": {
		frame(amqpwire.FrameAMQP, 1, &amqpwire.Disposition{State: &amqpwire.Accepted{}}, ""),
		"<- 1 disposition role=sender first=0 settled=false state=accepted batchable=false",
	},
	"rejected": {
		frame(amqpwire.FrameAMQP, 1, &amqpwire.Disposition{State: &amqpwire.Rejected{Error: failure}}, ""),
		`<- 1 disposition role=sender first=0 settled=false ` +
			`state=rejected{error={condition=amqp:not-found description="no such hub" info={k="v"}}} batchable=false`,
	},
	"detach": {
		frame(amqpwire.FrameAMQP, 1, &amqpwire.Detach{Error: failure}, ""),
		`<- 1 detach handle=0 closed=false error={condition=amqp:not-found description="no such hub" info={k="v"}}`,
	},
	"sasl-init": {
		frame(amqpwire.FrameSASL, 0, &amqpwire.SASLInit{Mechanism: "PLAIN", InitialResponse: []byte("\x00user\x00secret"), Hostname: "h"}, ""),
		`<- 0 sasl-init mechanism=PLAIN initial-response=12 bytes hostname="h"`,
	},
	"sasl-outcome": {frame(amqpwire.FrameSASL, 0, &amqpwire.SASLOutcome{Code: amqpwire.SASLAuth}, ""), "<- 0 sasl-outcome code=1"},
	"heartbeat":    {amqpwire.AppendEmptyFrame(nil), "<- 0 empty"},
	"a broken transfer": {
		[]byte("\x00\x00\x00\x12\x02\x00\x00\x01\x00\x53\x14\xd0secret"), "<- 1 transfer undecodable, 10 bytes",
	},
	"a broken begin": {
		[]byte("\x00\x00\x00\x0c\x02\x00\x00\x01\x00\x53\x11\x40"), "<- 1 begin undecodable, 4 bytes: 0x00531140",
	},
	"a broken log-in":   {[]byte("\x00\x00\x00\x12\x02\x00\x00\x00\x00\x53\x41\xc0secret"), "<- 0 sasl-init undecodable, 10 bytes"},
	"an unknown log-in": {[]byte("\x00\x00\x00\x0e\x02\x01\x00\x00secret"), "<- 0 unknown, 6 bytes"},
	"an unknown one":    {[]byte("\x00\x00\x00\x0c\x02\x00\x00\x00\x00\x53\x99\x45"), "<- 0 unknown, 4 bytes: 0x00539945"},
	"no frame":          {[]byte("\x00\x01"), "<- no frame, 2 bytes: 0x0001"},
	"nothing":           {nil, "<- no frame, 0 bytes: 0x"},
	"another type":      {[]byte("\x00\x00\x00\x08\x02\x07\x00\x00"), "<- no frame, 8 bytes: 0x0000000802070000"},
	"fields of the future": {
		[]byte("\x00\x00\x00\x13\x02\x00\x00\x00\x00\x53\x17\xc0\x06\x02\x40\xa1\x02no"), "<- 0 end and unknown fields",
	},
}

func TestAppendTrace(t *testing.T) {
	for name, row := range traced {
		if got := string(amqpwire.AppendTrace(nil, true, row.frame)); got != row.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, row.want)
		}
	}
	if got := string(amqpwire.AppendTrace([]byte("p"), false, amqpwire.AppendEmptyFrame(nil))); got != "p-> 0 empty" {
		t.Error(got)
	}
}

func TestAppendTrace_cutsWhatIsLong(t *testing.T) {
	f := frame(amqpwire.FrameAMQP, 0, &amqpwire.Open{ContainerID: "x" + strings.Repeat("é", 150), Hostname: strings.Repeat("h", 201)}, "")
	want := `-> 0 open container-id="x` + strings.Repeat("é", 99) + `"… hostname="` + strings.Repeat("h", 200) + `"… max-frame-size=0 channel-max=0`
	if got := string(amqpwire.AppendTrace(nil, false, f)); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	many := make(list, 5000)
	f = frame(amqpwire.FrameAMQP, 0, &amqpwire.Open{Properties: mapping{{symbol("é"), many}}}, "")
	if got := amqpwire.AppendTrace(nil, false, f); len(got) > 8200 || !strings.HasSuffix(string(got), "…") {
		t.Errorf("%d bytes: %s", len(got), got[len(got)-20:])
	}
}
