package amqpwire_test

import (
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
)

// performative is what all of them have.
type performative interface {
	Append(dst []byte) []byte
	Decode(r *amqpwire.Reader) error
}

// fresh returns an empty performative for a code.
func fresh(code byte) performative {
	switch code {
	case amqpwire.CodeOpen:
		return &amqpwire.Open{}
	case amqpwire.CodeBegin:
		return &amqpwire.Begin{}
	case amqpwire.CodeAttach:
		return &amqpwire.Attach{}
	case amqpwire.CodeFlow:
		return &amqpwire.Flow{}
	case amqpwire.CodeTransfer:
		return &amqpwire.Transfer{}
	case amqpwire.CodeDisposition:
		return &amqpwire.Disposition{}
	case amqpwire.CodeDetach:
		return &amqpwire.Detach{}
	case amqpwire.CodeEnd:
		return &amqpwire.End{}
	case amqpwire.CodeClose:
		return &amqpwire.Close{}
	case amqpwire.CodeSASLMechanisms:
		return &amqpwire.SASLMechanisms{}
	case amqpwire.CodeSASLInit:
		return &amqpwire.SASLInit{}
	case amqpwire.CodeSASLOutcome:
		return &amqpwire.SASLOutcome{}
	}
	return nil
}

var (
	props   = mapping{{symbol("product"), "p"}, {symbol("n"), int64(1) << 40}}
	symbols = []symbol{"a", "b"}
	failure = &amqpwire.Error{Condition: amqpwire.NotFound, Description: "no such hub", Info: mapping{{symbol("k"), "v"}}}
	filter  = mapping{
		{symbol("apache.org:selector-filter:string"), described{symbol("apache.org:selector-filter:string"), "x > '-1'"}},
		{symbol("by code"), described{uint64(0x468c00000004), "y"}},
	}
)

// full are performatives with every field set.
func full() map[byte]performative {
	return map[byte]performative{
		amqpwire.CodeOpen: &amqpwire.Open{
			ContainerID: "c", Hostname: "h", MaxFrameSize: 65536, ChannelMax: 8191, IdleTimeout: 4 * time.Minute,
			OutgoingLocales: symbols, IncomingLocales: symbols[1:], OfferedCapabilities: symbols, DesiredCapabilities: symbols[:1],
			Properties: props,
		},
		amqpwire.CodeBegin: &amqpwire.Begin{
			RemoteChannel: amqpwire.Some(0), NextOutgoingID: 1, IncomingWindow: 5000, OutgoingWindow: 300, HandleMax: 255,
			OfferedCapabilities: symbols, DesiredCapabilities: symbols, Properties: props,
		},
		amqpwire.CodeAttach: &amqpwire.Attach{
			Name: "r1", Handle: 300, Role: amqpwire.RoleReceiver, SenderSettleMode: amqpwire.SenderMixed,
			ReceiverSettleMode: amqpwire.ReceiverSecond,
			Source: &amqpwire.Source{
				Address: "a", Durable: 1, ExpiryPolicy: "never", Timeout: 9, Dynamic: true, DynamicNodeProperties: props,
				DistributionMode: "copy", Filter: filter, DefaultOutcome: &amqpwire.Modified{DeliveryFailed: true, Annotations: props},
				Outcomes: symbols, Capabilities: symbols,
			},
			Target: &amqpwire.Target{
				Address: "t", Durable: 2, ExpiryPolicy: "never", Timeout: 9, Dynamic: true, DynamicNodeProperties: props,
				Capabilities: symbols,
			},
			Unsettled: mapping{{[]byte("tag"), described{uint64(0x24), list{}}}}, IncompleteUnsettled: true,
			InitialDeliveryCount: amqpwire.Some(0), MaxMessageSize: 1 << 20, OfferedCapabilities: symbols,
			DesiredCapabilities: symbols, Properties: mapping{},
		},
		amqpwire.CodeFlow: &amqpwire.Flow{
			NextIncomingID: amqpwire.Some(0), IncomingWindow: 1, NextOutgoingID: 2, OutgoingWindow: 300, Handle: amqpwire.Some(4),
			DeliveryCount: amqpwire.Some(5), LinkCredit: amqpwire.Some(1000), Available: amqpwire.Some(7), Drain: true, Echo: true,
			Properties: props,
		},
		amqpwire.CodeTransfer: &amqpwire.Transfer{
			Handle: 1, DeliveryID: amqpwire.Some(2), DeliveryTag: []byte("tag"), MessageFormat: amqpwire.Some(amqpwire.BatchFormat),
			Settled: true, More: true, ReceiverSettleMode: amqpwire.ReceiverSecond,
			State: &amqpwire.Received{SectionNumber: 3, SectionOffset: 1 << 40}, Resume: true, Aborted: true, Batchable: true,
		},
		amqpwire.CodeDisposition: &amqpwire.Disposition{
			Role: amqpwire.RoleReceiver, First: 1, Last: amqpwire.Some(2), Settled: true, State: &amqpwire.Rejected{Error: failure},
			Batchable: true,
		},
		amqpwire.CodeDetach:         &amqpwire.Detach{Handle: 1, Closed: true, Error: failure},
		amqpwire.CodeEnd:            &amqpwire.End{Error: failure},
		amqpwire.CodeClose:          &amqpwire.Close{Error: &amqpwire.Error{Condition: amqpwire.ConnectionForced}},
		amqpwire.CodeSASLMechanisms: &amqpwire.SASLMechanisms{Mechanisms: symbols},
		amqpwire.CodeSASLInit:       &amqpwire.SASLInit{Mechanism: "PLAIN", InitialResponse: []byte("\x00u\x00p"), Hostname: "h"},
		amqpwire.CodeSASLOutcome:    &amqpwire.SASLOutcome{Code: amqpwire.SASLSysTemp},
	}
}

// golden are performatives and their parts as they travel, put together by hand from AMQP 1.0 part 1 §1.6 and part 2 §2.7.
var golden = map[string]struct {
	p    interface{ Append([]byte) []byte }
	wire string
}{
	"open": {
		&amqpwire.Open{ContainerID: "c", MaxFrameSize: 65536, ChannelMax: 8191, IdleTimeout: 240 * time.Second},
		"\x00\x53\x10\xd0\x00\x00\x00\x1a\x00\x00\x00\x0a" +
			"\xa1\x01c\x40\x70\x00\x01\x00\x00\x60\x1f\xff\x70\x00\x03\xa9\x80\x40\x40\x40\x40\x40",
	},
	"begin": {
		&amqpwire.Begin{RemoteChannel: amqpwire.Some(1), NextOutgoingID: 1, IncomingWindow: 5000, OutgoingWindow: 0, HandleMax: 255},
		"\x00\x53\x11\xd0\x00\x00\x00\x14\x00\x00\x00\x08\x60\x00\x01\x52\x01\x70\x00\x00\x13\x88\x43\x52\xff\x40\x40\x40",
	},
	"attach": {
		&amqpwire.Attach{
			Name: "r", Role: amqpwire.RoleSender, SenderSettleMode: amqpwire.SenderSettled,
			ReceiverSettleMode: amqpwire.ReceiverModeUnset, Source: &amqpwire.Source{Address: "s", Filter: mapping{}},
			Target: &amqpwire.Target{}, InitialDeliveryCount: amqpwire.Some(0), Properties: mapping{},
		},
		"\x00\x53\x12\xd0\x00\x00\x00\x43\x00\x00\x00\x0e" + "\xa1\x01r\x43\x42\x50\x01\x40" +
			"\x00\x53\x28\xd0\x00\x00\x00\x13\x00\x00\x00\x0b\xa1\x01s\x40\x40\x40\x40\x40\x40\xc1\x01\x00\x40\x40\x40" +
			"\x00\x53\x29\xd0\x00\x00\x00\x0b\x00\x00\x00\x07\x40\x40\x40\x40\x40\x40\x40" +
			"\x40\x40\x43\x40\x40\x40\xc1\x01\x00",
	},
	"an attach that refuses": {
		&amqpwire.Attach{Name: "r", SenderSettleMode: amqpwire.SenderModeUnset, ReceiverSettleMode: amqpwire.ReceiverFirst},
		"\x00\x53\x12\xd0\x00\x00\x00\x15\x00\x00\x00\x0e" + "\xa1\x01r\x43\x42\x40\x50\x00\x40\x40\x40\x40\x40\x40\x40\x40\x40",
	},
	"flow": {
		&amqpwire.Flow{NextIncomingID: amqpwire.Some(0), IncomingWindow: 5, NextOutgoingID: 1, Handle: amqpwire.Some(0),
			DeliveryCount: amqpwire.Some(0), LinkCredit: amqpwire.Some(100)},
		"\x00\x53\x13\xd0\x00\x00\x00\x12\x00\x00\x00\x0b\x43\x52\x05\x52\x01\x43\x43\x43\x52\x64\x40\x42\x42\x40",
	},
	"transfer": {
		&amqpwire.Transfer{DeliveryID: amqpwire.Some(1), DeliveryTag: []byte("t"), MessageFormat: amqpwire.Some(0),
			ReceiverSettleMode: amqpwire.ReceiverModeUnset, Settled: true},
		"\x00\x53\x14\xd0\x00\x00\x00\x12\x00\x00\x00\x0b\x43\x52\x01\xa0\x01t\x43\x41\x42\x40\x40\x42\x42\x42",
	},
	"disposition": {
		&amqpwire.Disposition{Role: amqpwire.RoleReceiver, First: 3, Settled: true, State: &amqpwire.Accepted{}},
		"\x00\x53\x15\xd0\x00\x00\x00\x10\x00\x00\x00\x06\x41\x52\x03\x40\x41\x00\x53\x24\xc0\x01\x00\x42",
	},
	"detach": {
		&amqpwire.Detach{Closed: true, Error: &amqpwire.Error{Condition: "c", Description: "d"}},
		"\x00\x53\x16\xd0\x00\x00\x00\x19\x00\x00\x00\x03\x43\x41" + "\x00\x53\x1d\xd0\x00\x00\x00\x0b\x00\x00\x00\x03\xa3\x01c\xa1\x01d\x40",
	},
	"end":   {&amqpwire.End{}, "\x00\x53\x17\xd0\x00\x00\x00\x05\x00\x00\x00\x01\x40"},
	"close": {&amqpwire.Close{}, "\x00\x53\x18\xd0\x00\x00\x00\x05\x00\x00\x00\x01\x40"},
	"sasl-mechanisms": {
		&amqpwire.SASLMechanisms{Mechanisms: []symbol{"PLAIN"}},
		"\x00\x53\x40\xd0\x00\x00\x00\x0e\x00\x00\x00\x01\xe0\x08\x01\xa3\x05PLAIN",
	},
	"sasl-outcome":  {&amqpwire.SASLOutcome{Code: amqpwire.SASLAuth}, "\x00\x53\x44\xd0\x00\x00\x00\x07\x00\x00\x00\x02\x50\x01\x40"},
	"no source":     {(*amqpwire.Source)(nil), "\x40"},
	"no target":     {(*amqpwire.Target)(nil), "\x40"},
	"a coordinator": {&amqpwire.Target{Coordinator: true}, "\x40"},
	"no error":      {(*amqpwire.Error)(nil), "\x40"},
	"a redirect": {
		&amqpwire.Error{Condition: amqpwire.LinkRedirect},
		"\x00\x53\x1d\xd0\x00\x00\x00\x1d\x00\x00\x00\x03\xa3\x12amqp:link:redirect\xa1\x00\xc1\x01\x00",
	},
	"released":      {&amqpwire.Released{}, "\x00\x53\x26\xc0\x01\x00"},
	"modified":      {&amqpwire.Modified{DeliveryFailed: true}, "\x00\x53\x27\xd0\x00\x00\x00\x07\x00\x00\x00\x03\x41\x42\x40"},
	"unknown state": {&amqpwire.UnknownState{Descriptor: uint64(0x34)}, "\x40"},
}
