package amqpwire

// Descriptor reads the descriptor of a described value: its code, also where a symbol such as "amqp:open:list" stands
// for it. Unknown ones are ErrDescriptor.
func (r *Reader) Descriptor() byte {
	code := r.anyDescriptor()
	if code == 0 {
		r.fail(ErrDescriptor)
	}
	return code
}

// anyDescriptor is Descriptor with 0 for an unknown one.
func (r *Reader) anyDescriptor() byte {
	if r.byte() != codeDescribed {
		r.fail(ErrType)
		return 0
	}
	switch c := r.byte(); c {
	case codeSymbol8, codeSymbol32, codeString8, codeString32:
		return codeOf(r.variable(c))
	case codeSmallUlong:
		return known(uint64(r.byte()))
	case codeDescribed, codeNull, codeList0:
		r.fail(ErrDescriptor)
	default:
		code, _ := r.integer(c)
		return known(code)
	}
	return 0
}

// known returns a code that AMQP 1.0 defines, and 0 for another.
func known(code uint64) byte {
	switch {
	case code >= CodeOpen && code <= CodeClose, code == codeError, code >= codeReceived && code <= codeTarget,
		code >= codeCoordinator && code <= 0x34, code >= CodeSASLMechanisms && code <= CodeSASLOutcome,
		code >= uint64(SectionHeader) && code <= uint64(SectionFooter):
		return byte(code)
	}
	return 0
}

// codeOf returns the code of a descriptor's name, and 0 for an unknown one.
func codeOf(name []byte) byte {
	switch string(name) {
	case "amqp:open:list":
		return CodeOpen
	case "amqp:begin:list":
		return CodeBegin
	case "amqp:attach:list":
		return CodeAttach
	case "amqp:flow:list":
		return CodeFlow
	case "amqp:transfer:list":
		return CodeTransfer
	case "amqp:disposition:list":
		return CodeDisposition
	case "amqp:detach:list":
		return CodeDetach
	case "amqp:end:list":
		return CodeEnd
	case "amqp:close:list":
		return CodeClose
	case "amqp:sasl-mechanisms:list":
		return CodeSASLMechanisms
	case "amqp:sasl-init:list":
		return CodeSASLInit
	case "amqp:sasl-challenge:list":
		return CodeSASLChallenge
	case "amqp:sasl-response:list":
		return CodeSASLResponse
	case "amqp:sasl-outcome:list":
		return CodeSASLOutcome
	}
	return partOf(name)
}

// partOf is codeOf for what stands inside performatives, and for sections.
func partOf(name []byte) byte {
	switch string(name) {
	case "amqp:error:list":
		return codeError
	case "amqp:received:list":
		return codeReceived
	case "amqp:accepted:list":
		return codeAccepted
	case "amqp:rejected:list":
		return codeRejected
	case "amqp:released:list":
		return codeReleased
	case "amqp:modified:list":
		return codeModified
	case "amqp:source:list":
		return codeSource
	case "amqp:target:list":
		return codeTarget
	case "amqp:coordinator:list":
		return codeCoordinator
	case "amqp:header:list":
		return byte(SectionHeader)
	case "amqp:delivery-annotations:map":
		return byte(SectionDeliveryAnnotations)
	case "amqp:message-annotations:map":
		return byte(SectionMessageAnnotations)
	case "amqp:properties:list":
		return byte(SectionProperties)
	case "amqp:application-properties:map":
		return byte(SectionApplicationProperties)
	case "amqp:data:binary":
		return byte(SectionData)
	case "amqp:amqp-sequence:list":
		return byte(SectionSequence)
	case "amqp:amqp-value:*":
		return byte(SectionValue)
	case "amqp:footer:map":
		return byte(SectionFooter)
	}
	return 0
}
