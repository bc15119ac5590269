package amqpwire

// Error is the error of a close, an end, a detach or a rejected delivery: AMQP 1.0 part 2 §2.8.14. It travels as a list of
// all three fields, since a client reads them by position.
type Error struct {
	Condition   Symbol
	Description string
	Info        Map
}

// Error makes it a Go error.
func (e *Error) Error() string {
	if e.Description == "" {
		return string(e.Condition)
	}
	return string(e.Condition) + ": " + e.Description
}

// Append appends the error, or null for nil. An Info of nil is null; with the two redirect conditions it is an empty map,
// since clients look there for the new address.
func (e *Error) Append(dst []byte) []byte {
	if e == nil {
		return append(dst, codeNull)
	}
	dst, c := beginDescribed(dst, codeError)
	dst = AppendSymbol(dst, string(e.Condition))
	dst = AppendString(dst, e.Description)
	info := e.Info
	if info == nil && (e.Condition == LinkRedirect || e.Condition == ConnectionRedirect) {
		info = Map{}
	}
	return c.End(AppendMap(dst, info), 3)
}

// error reads a field that is nil when absent.
func (f *fields) error(field string) *Error {
	if !f.has(field) {
		return nil
	}
	r := f.r
	if r.anyDescriptor() != codeError {
		r.fail(ErrType)
	}
	in := r.fields(field)
	e := &Error{}
	if in.must("condition") {
		e.Condition = Symbol(r.String())
	}
	e.Description = in.text("description")
	e.Info = in.mapping("info")
	if in.end() != nil {
		return nil
	}
	return e
}

// Conditions of the specification: AMQP 1.0 part 2 §2.8.15 to §2.8.18.
const (
	InternalError         Symbol = "amqp:internal-error"
	NotFound              Symbol = "amqp:not-found"
	UnauthorizedAccess    Symbol = "amqp:unauthorized-access"
	DecodeError           Symbol = "amqp:decode-error"
	ResourceLimitExceeded Symbol = "amqp:resource-limit-exceeded"
	NotAllowed            Symbol = "amqp:not-allowed"
	InvalidField          Symbol = "amqp:invalid-field"
	NotImplemented        Symbol = "amqp:not-implemented"
	ResourceLocked        Symbol = "amqp:resource-locked"
	PreconditionFailed    Symbol = "amqp:precondition-failed"
	ResourceDeleted       Symbol = "amqp:resource-deleted"
	IllegalState          Symbol = "amqp:illegal-state"
	FrameSizeTooSmall     Symbol = "amqp:frame-size-too-small"

	ConnectionForced   Symbol = "amqp:connection:forced"
	FramingError       Symbol = "amqp:connection:framing-error"
	ConnectionRedirect Symbol = "amqp:connection:redirect"

	WindowViolation  Symbol = "amqp:session:window-violation"
	ErrantLink       Symbol = "amqp:session:errant-link"
	HandleInUse      Symbol = "amqp:session:handle-in-use"
	UnattachedHandle Symbol = "amqp:session:unattached-handle"

	DetachForced          Symbol = "amqp:link:detach-forced"
	TransferLimitExceeded Symbol = "amqp:link:transfer-limit-exceeded"
	MessageSizeExceeded   Symbol = "amqp:link:message-size-exceeded"
	LinkRedirect          Symbol = "amqp:link:redirect"
	LinkStolen            Symbol = "amqp:link:stolen"
)
