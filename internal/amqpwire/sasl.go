package amqpwire

// SASLCode is the outcome of a log-in: AMQP 1.0 part 5 §5.3.3.6.
type SASLCode uint8

// The outcomes.
const (
	SASLOK      SASLCode = 0
	SASLAuth    SASLCode = 1 // wrong credentials
	SASLSys     SASLCode = 2
	SASLSysPerm SASLCode = 3
	SASLSysTemp SASLCode = 4
)

// SASLMechanisms is the server's offer of one or more, written as an array also for one.
type SASLMechanisms struct{ Mechanisms []Symbol }

// SASLInit is the client's choice. InitialResponse is nil when absent; it aliases the input.
type SASLInit struct {
	Mechanism       Symbol
	InitialResponse []byte
	Hostname        string
}

// SASLOutcome ends the log-in.
type SASLOutcome struct{ Code SASLCode }

// Append appends the offer.
func (p *SASLMechanisms) Append(dst []byte) []byte {
	dst, c := beginDescribed(dst, CodeSASLMechanisms)
	return c.End(AppendSymbols(dst, p.Mechanisms), 1)
}

// Append appends the choice.
func (p *SASLInit) Append(dst []byte) []byte {
	dst, c := beginDescribed(dst, CodeSASLInit)
	dst = AppendSymbol(dst, string(p.Mechanism))
	dst = appendOptionalBinary(dst, p.InitialResponse)
	return c.End(appendOptional(dst, p.Hostname), 3)
}

// Append appends the outcome, without additional data.
func (p *SASLOutcome) Append(dst []byte) []byte {
	dst, c := beginDescribed(dst, CodeSASLOutcome)
	return c.End(append(AppendUbyte(dst, uint8(p.Code)), codeNull), 2)
}

// Decode reads the offer: an array, or a bare symbol for one. None is ErrMissing.
func (p *SASLMechanisms) Decode(r *Reader) error {
	f := r.fields("sasl-mechanisms")
	*p = SASLMechanisms{}
	if f.must("sasl-server-mechanisms") {
		if p.Mechanisms = r.Symbols(); len(p.Mechanisms) == 0 {
			r.fail(ErrMissing)
		}
	}
	return f.end()
}

// Decode reads the choice.
func (p *SASLInit) Decode(r *Reader) error {
	f := r.fields("sasl-init")
	*p = SASLInit{}
	if f.must("mechanism") {
		p.Mechanism = Symbol(r.String())
	}
	if f.has("initial-response") {
		p.InitialResponse = r.Bytes()
	}
	p.Hostname = f.text("hostname")
	return f.end()
}

// Decode reads the outcome.
func (p *SASLOutcome) Decode(r *Reader) error {
	f := r.fields("sasl-outcome")
	*p = SASLOutcome{}
	if f.must("code") {
		p.Code = SASLCode(r.Ubyte())
	}
	return f.end()
}
