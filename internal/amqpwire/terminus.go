package amqpwire

// Source is where a link's messages come from: AMQP 1.0 part 3 §3.5.3. It is written with all eleven fields.
type Source struct {
	Address               string // empty: absent; dynamic addresses are of no use here
	Durable               uint32
	ExpiryPolicy          Symbol // empty: absent
	Timeout               uint32
	Dynamic               bool
	DynamicNodeProperties Map
	DistributionMode      Symbol
	Filter                Map
	DefaultOutcome        DeliveryState
	Outcomes              []Symbol
	Capabilities          []Symbol
}

// Target is where a link's messages go: AMQP 1.0 part 3 §3.5.4. It is written with all seven fields.
type Target struct {
	Address               string
	Durable               uint32
	ExpiryPolicy          Symbol
	Timeout               uint32
	Dynamic               bool
	DynamicNodeProperties Map
	Capabilities          []Symbol
	Coordinator           bool // the target is a transaction coordinator (part 4 §4.5.1); the other fields are zero. Never written
}

// Append appends the source with all fields; a nil one as null. Fields that have their default are null.
func (s *Source) Append(dst []byte) []byte {
	if s == nil {
		return append(dst, codeNull)
	}
	dst, c := beginDescribed(dst, codeSource)
	dst = appendOptional(dst, s.Address)
	dst = appendTerminus(dst, s.Durable, s.ExpiryPolicy, s.Timeout, s.Dynamic)
	dst = AppendMap(dst, s.DynamicNodeProperties)
	dst = appendOptionalSymbol(dst, s.DistributionMode)
	dst = AppendMap(dst, s.Filter)
	dst = appendState(dst, s.DefaultOutcome)
	dst = AppendSymbols(dst, s.Outcomes)
	return c.End(AppendSymbols(dst, s.Capabilities), 11)
}

// Append appends the target with all fields; a nil one and a coordinator as null. Fields that have their default are
// null.
func (t *Target) Append(dst []byte) []byte {
	if t == nil || t.Coordinator {
		return append(dst, codeNull)
	}
	dst, c := beginDescribed(dst, codeTarget)
	dst = appendOptional(dst, t.Address)
	dst = appendTerminus(dst, t.Durable, t.ExpiryPolicy, t.Timeout, t.Dynamic)
	dst = AppendMap(dst, t.DynamicNodeProperties)
	return c.End(AppendSymbols(dst, t.Capabilities), 7)
}

// appendTerminus appends what both have behind the address.
func appendTerminus(dst []byte, durable uint32, expiry Symbol, timeout uint32, dynamic bool) []byte {
	dst = appendNonZero(dst, durable)
	dst = appendOptionalSymbol(dst, expiry)
	dst = appendNonZero(dst, timeout)
	if !dynamic {
		return append(dst, codeNull)
	}
	return append(dst, codeTrue)
}

// source reads a field that is nil when absent.
func (f *fields) source(field string) *Source {
	if !f.has(field) {
		return nil
	}
	if f.r.anyDescriptor() != codeSource {
		f.r.fail(ErrType)
	}
	in := f.r.fields(field)
	s := &Source{
		Address:               in.text("address"),
		Durable:               in.uint("durable").Value,
		ExpiryPolicy:          in.symbol("expiry-policy"),
		Timeout:               in.uint("timeout").Value,
		Dynamic:               in.bool("dynamic"),
		DynamicNodeProperties: in.mapping("dynamic-node-properties"),
		DistributionMode:      in.symbol("distribution-mode"),
		Filter:                in.mapping("filter"),
		DefaultOutcome:        in.state("default-outcome"),
		Outcomes:              in.symbols("outcomes"),
		Capabilities:          in.symbols("capabilities"),
	}
	if in.end() != nil {
		return nil
	}
	return s
}

// target reads a field that is nil when absent.
func (f *fields) target(field string) *Target {
	if !f.has(field) {
		return nil
	}
	switch f.r.anyDescriptor() {
	case codeTarget:
	case codeCoordinator:
		f.r.Skip()
		return &Target{Coordinator: true}
	default:
		f.r.fail(ErrType)
	}
	in := f.r.fields(field)
	t := &Target{
		Address:               in.text("address"),
		Durable:               in.uint("durable").Value,
		ExpiryPolicy:          in.symbol("expiry-policy"),
		Timeout:               in.uint("timeout").Value,
		Dynamic:               in.bool("dynamic"),
		DynamicNodeProperties: in.mapping("dynamic-node-properties"),
		Capabilities:          in.symbols("capabilities"),
	}
	if in.end() != nil {
		return nil
	}
	return t
}
