package amqpwire

import (
	"encoding/binary"
	"math"
	"time"
)

// beginDescribed opens a list behind its descriptor.
func beginDescribed(dst []byte, code byte) ([]byte, Compound) {
	dst = append(dst, codeDescribed, codeSmallUlong, code, codeList32, 0, 0, 0, 0, 0, 0, 0, 0)
	return dst, Compound(len(dst) - 8)
}

// AppendMap appends a map; nil is null. A value or key of a Go type that AMQP lacks is written as null.
func AppendMap(dst []byte, m Map) []byte {
	if m == nil {
		return append(dst, codeNull)
	}
	dst, c := BeginMap(dst)
	for i := range m {
		dst = appendAny(dst, m[i].Key)
		dst = appendAny(dst, m[i].Value)
	}
	return c.endShort(dst, 2*len(m))
}

func appendAny(dst []byte, v any) []byte {
	out, err := appendValue(dst, v, 1)
	if err != nil {
		return append(dst, codeNull)
	}
	return out
}

// appendUint appends a uint, or null if it is absent.
func appendUint(dst []byte, v Uint) []byte {
	if !v.Set {
		return append(dst, codeNull)
	}
	return AppendUint(dst, v.Value)
}

// appendNonZero appends a uint, or null for zero.
func appendNonZero(dst []byte, v uint32) []byte { return appendUint(dst, Uint{Value: v, Set: v != 0}) }

// appendOptional appends a string, or null for an empty one.
func appendOptional(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, codeNull)
	}
	return AppendString(dst, s)
}

// appendOptionalSymbol appends a symbol, or null for an empty one.
func appendOptionalSymbol(dst []byte, s Symbol) []byte {
	if s == "" {
		return append(dst, codeNull)
	}
	return AppendSymbol(dst, string(s))
}

// appendOptionalBinary appends a binary, or null for nil.
func appendOptionalBinary(dst, b []byte) []byte {
	if b == nil {
		return append(dst, codeNull)
	}
	return AppendBinary(dst, b)
}

// appendMode appends a settle mode, or null for the Unset one.
func appendMode(dst []byte, mode uint8) []byte {
	if mode == uint8(SenderModeUnset) {
		return append(dst, codeNull)
	}
	return AppendUbyte(dst, mode)
}

// milliseconds returns d as it travels: cut to the range of a uint, and never zero for what is above it.
func milliseconds(d time.Duration) uint32 {
	if d <= 0 {
		return 0
	}
	return uint32(min(max(d.Milliseconds(), 1), math.MaxUint32))
}

// Append appends the performative. Frame size and channel maximum are always written, and so is what is zero.
func (p *Open) Append(dst []byte) []byte {
	dst, c := beginDescribed(dst, CodeOpen)
	dst = AppendString(dst, p.ContainerID)
	dst = appendOptional(dst, p.Hostname)
	dst = AppendUint(dst, p.MaxFrameSize)
	dst = AppendUshort(dst, p.ChannelMax)
	dst = appendNonZero(dst, milliseconds(p.IdleTimeout))
	dst = AppendSymbols(dst, p.OutgoingLocales)
	dst = AppendSymbols(dst, p.IncomingLocales)
	dst = AppendSymbols(dst, p.OfferedCapabilities)
	dst = AppendSymbols(dst, p.DesiredCapabilities)
	return c.End(AppendMap(dst, p.Properties), 10)
}

// Append appends the performative. The handle maximum is always written.
func (p *Begin) Append(dst []byte) []byte {
	dst, c := beginDescribed(dst, CodeBegin)
	if p.RemoteChannel.Set {
		dst = AppendUshort(dst, uint16(p.RemoteChannel.Value))
	} else {
		dst = append(dst, codeNull)
	}
	dst = AppendUint(dst, p.NextOutgoingID)
	dst = AppendUint(dst, p.IncomingWindow)
	dst = AppendUint(dst, p.OutgoingWindow)
	dst = AppendUint(dst, p.HandleMax)
	dst = AppendSymbols(dst, p.OfferedCapabilities)
	dst = AppendSymbols(dst, p.DesiredCapabilities)
	return c.End(AppendMap(dst, p.Properties), 8)
}

// Append appends the performative.
func (p *Attach) Append(dst []byte) []byte {
	dst, c := beginDescribed(dst, CodeAttach)
	dst = AppendString(dst, p.Name)
	dst = AppendUint(dst, p.Handle)
	dst = AppendBool(dst, bool(p.Role))
	dst = appendMode(dst, uint8(p.SenderSettleMode))
	dst = appendMode(dst, uint8(p.ReceiverSettleMode))
	dst = p.Source.Append(dst)
	dst = p.Target.Append(dst)
	dst = AppendMap(dst, p.Unsettled)
	if p.IncompleteUnsettled {
		dst = append(dst, codeTrue)
	} else {
		dst = append(dst, codeNull)
	}
	dst = appendUint(dst, p.InitialDeliveryCount)
	if p.MaxMessageSize == 0 {
		dst = append(dst, codeNull)
	} else {
		dst = AppendUlong(dst, p.MaxMessageSize)
	}
	dst = AppendSymbols(dst, p.OfferedCapabilities)
	dst = AppendSymbols(dst, p.DesiredCapabilities)
	return c.End(AppendMap(dst, p.Properties), 14)
}

// Append appends the performative.
func (p *Flow) Append(dst []byte) []byte {
	dst, c := beginDescribed(dst, CodeFlow)
	dst = appendUint(dst, p.NextIncomingID)
	dst = AppendUint(dst, p.IncomingWindow)
	dst = AppendUint(dst, p.NextOutgoingID)
	dst = AppendUint(dst, p.OutgoingWindow)
	dst = appendUint(dst, p.Handle)
	dst = appendUint(dst, p.DeliveryCount)
	dst = appendUint(dst, p.LinkCredit)
	dst = appendUint(dst, p.Available)
	dst = AppendBool(AppendBool(dst, p.Drain), p.Echo)
	return c.End(AppendMap(dst, p.Properties), 11)
}

// Append appends the performative. The payload follows it.
func (p *Transfer) Append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, codeDescribed, codeSmallUlong, CodeTransfer, codeList32, 0, 0, 0, 0, 0, 0, 0, 11)
	dst = AppendUint(dst, p.Handle)
	dst = appendUint(dst, p.DeliveryID)
	dst = appendOptionalBinary(dst, p.DeliveryTag)
	dst = appendUint(dst, p.MessageFormat)
	dst = append(dst, boolCode(p.Settled), boolCode(p.More))
	dst = appendMode(dst, uint8(p.ReceiverSettleMode))
	dst = appendState(dst, p.State)
	dst = append(dst, boolCode(p.Resume), boolCode(p.Aborted), boolCode(p.Batchable))
	binary.BigEndian.PutUint32(dst[start+4:], uint32(len(dst)-start-8))
	return dst
}

func boolCode(v bool) byte {
	if v {
		return codeTrue
	}
	return codeFalse
}

// Append appends the performative.
func (p *Disposition) Append(dst []byte) []byte {
	dst, c := beginDescribed(dst, CodeDisposition)
	dst = AppendBool(dst, bool(p.Role))
	dst = AppendUint(dst, p.First)
	dst = appendUint(dst, p.Last)
	dst = AppendBool(dst, p.Settled)
	dst = appendState(dst, p.State)
	return c.End(AppendBool(dst, p.Batchable), 6)
}

// Append appends the performative.
func (p *Detach) Append(dst []byte) []byte {
	dst, c := beginDescribed(dst, CodeDetach)
	dst = AppendBool(AppendUint(dst, p.Handle), p.Closed)
	return c.End(p.Error.Append(dst), 3)
}

// Append appends the performative.
func (p *End) Append(dst []byte) []byte {
	dst, c := beginDescribed(dst, CodeEnd)
	return c.End(p.Error.Append(dst), 1)
}

// Append appends the performative.
func (p *Close) Append(dst []byte) []byte {
	dst, c := beginDescribed(dst, CodeClose)
	return c.End(p.Error.Append(dst), 1)
}
