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

// SASLMechanisms is the server's offer, always written as an array.
type SASLMechanisms struct{ Mechanisms []Symbol }

// SASLInit is the client's choice. InitialResponse is nil when absent; it aliases the input.
type SASLInit struct {
	Mechanism       Symbol
	InitialResponse []byte
	Hostname        string
}

// SASLOutcome ends the log-in.
type SASLOutcome struct{ Code SASLCode }

func (p *SASLMechanisms) Append(dst []byte) []byte { panic("unwritten") }
func (p *SASLInit) Append(dst []byte) []byte       { panic("unwritten") }
func (p *SASLOutcome) Append(dst []byte) []byte    { panic("unwritten") }

func (p *SASLMechanisms) Decode(r *Reader) error { panic("unwritten") }
func (p *SASLInit) Decode(r *Reader) error       { panic("unwritten") }
func (p *SASLOutcome) Decode(r *Reader) error    { panic("unwritten") }
