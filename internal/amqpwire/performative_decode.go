package amqpwire

import (
	"math"
	"time"
)

// mustUint reads a mandatory uint.
func (f *fields) mustUint(field string) uint32 {
	if f.must(field) {
		return f.r.Uint()
	}
	return 0
}

// mode reads a settle mode up to limit, and returns the Unset one when it is absent.
func (f *fields) mode(field string, limit uint8) uint8 {
	if !f.has(field) {
		return uint8(SenderModeUnset)
	}
	mode := f.r.Ubyte()
	if mode > limit {
		f.r.fail(ErrRange)
	}
	return mode
}

// Decode reads the performative.
func (p *Open) Decode(r *Reader) error {
	f := r.fields("open")
	*p = Open{MaxFrameSize: math.MaxUint32, ChannelMax: math.MaxUint16}
	if f.must("container-id") {
		p.ContainerID = r.String()
	}
	p.Hostname = f.text("hostname")
	if f.has("max-frame-size") {
		p.MaxFrameSize = r.Uint()
	}
	if f.has("channel-max") {
		p.ChannelMax = r.Ushort()
	}
	p.IdleTimeout = time.Duration(f.uint("idle-time-out").Value) * time.Millisecond
	p.OutgoingLocales = f.symbols("outgoing-locales")
	p.IncomingLocales = f.symbols("incoming-locales")
	p.OfferedCapabilities = f.symbols("offered-capabilities")
	p.DesiredCapabilities = f.symbols("desired-capabilities")
	p.Properties = f.mapping("properties")
	return f.end()
}

// Decode reads the performative.
func (p *Begin) Decode(r *Reader) error {
	f := r.fields("begin")
	*p = Begin{HandleMax: math.MaxUint32}
	if f.has("remote-channel") {
		p.RemoteChannel = Some(uint32(r.Ushort()))
	}
	p.NextOutgoingID = f.mustUint("next-outgoing-id")
	p.IncomingWindow = f.mustUint("incoming-window")
	p.OutgoingWindow = f.mustUint("outgoing-window")
	if f.has("handle-max") {
		p.HandleMax = r.Uint()
	}
	p.OfferedCapabilities = f.symbols("offered-capabilities")
	p.DesiredCapabilities = f.symbols("desired-capabilities")
	p.Properties = f.mapping("properties")
	return f.end()
}

// Decode reads the performative.
func (p *Attach) Decode(r *Reader) error {
	f := r.fields("attach")
	*p = Attach{}
	if f.must("name") {
		p.Name = r.String()
	}
	p.Handle = f.mustUint("handle")
	if f.must("role") {
		p.Role = Role(r.Bool())
	}
	p.SenderSettleMode = SenderSettleMode(f.mode("snd-settle-mode", uint8(SenderMixed)))
	p.ReceiverSettleMode = ReceiverSettleMode(f.mode("rcv-settle-mode", uint8(ReceiverSecond)))
	p.Source = f.source("source")
	p.Target = f.target("target")
	p.Unsettled = f.mapping("unsettled")
	p.IncompleteUnsettled = f.bool("incomplete-unsettled")
	p.InitialDeliveryCount = f.uint("initial-delivery-count")
	if f.has("max-message-size") {
		p.MaxMessageSize = r.Ulong()
	}
	p.OfferedCapabilities = f.symbols("offered-capabilities")
	p.DesiredCapabilities = f.symbols("desired-capabilities")
	p.Properties = f.mapping("properties")
	return f.end()
}

// Decode reads the performative.
func (p *Flow) Decode(r *Reader) error {
	f := r.fields("flow")
	*p = Flow{}
	p.NextIncomingID = f.uint("next-incoming-id")
	p.IncomingWindow = f.mustUint("incoming-window")
	p.NextOutgoingID = f.mustUint("next-outgoing-id")
	p.OutgoingWindow = f.mustUint("outgoing-window")
	p.Handle = f.uint("handle")
	p.DeliveryCount = f.uint("delivery-count")
	p.LinkCredit = f.uint("link-credit")
	p.Available = f.uint("available")
	p.Drain = f.bool("drain")
	p.Echo = f.bool("echo")
	p.Properties = f.mapping("properties")
	return f.end()
}

// Decode reads the performative. The reader's rest is the payload.
func (p *Transfer) Decode(r *Reader) error {
	f := r.fields("transfer")
	*p = Transfer{}
	p.Handle = f.mustUint("handle")
	p.DeliveryID = f.uint("delivery-id")
	if f.has("delivery-tag") {
		p.DeliveryTag = r.Bytes()
	}
	p.MessageFormat = f.uint("message-format")
	p.Settled = f.bool("settled")
	p.More = f.bool("more")
	p.ReceiverSettleMode = ReceiverSettleMode(f.mode("rcv-settle-mode", uint8(ReceiverSecond)))
	p.State = f.state("state")
	p.Resume = f.bool("resume")
	p.Aborted = f.bool("aborted")
	p.Batchable = f.bool("batchable")
	return f.end()
}

// Decode reads the performative.
func (p *Disposition) Decode(r *Reader) error {
	f := r.fields("disposition")
	*p = Disposition{}
	if f.must("role") {
		p.Role = Role(r.Bool())
	}
	p.First = f.mustUint("first")
	p.Last = f.uint("last")
	p.Settled = f.bool("settled")
	p.State = f.state("state")
	p.Batchable = f.bool("batchable")
	return f.end()
}

// Decode reads the performative.
func (p *Detach) Decode(r *Reader) error {
	f := r.fields("detach")
	*p = Detach{}
	p.Handle = f.mustUint("handle")
	p.Closed = f.bool("closed")
	p.Error = f.error("error")
	return f.end()
}

// Decode reads the performative.
func (p *End) Decode(r *Reader) error {
	f := r.fields("end")
	*p = End{Error: f.error("error")}
	return f.end()
}

// Decode reads the performative.
func (p *Close) Decode(r *Reader) error {
	f := r.fields("close")
	*p = Close{Error: f.error("error")}
	return f.end()
}
