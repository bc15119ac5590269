// Package amqpwire turns AMQP 1.0 values into bytes and back. It holds what message sections need: the types that
// annotations, properties and bodies are made of. It does no I/O and knows no hub.
//
// A value is a constructor byte followed by its data; the widths below are those of AMQP 1.0 part 1 §1.6. Writers use
// the eight-bit variants where the value fits, which every client reads. A section is a described value:
//
//	0x00 0x53 code value        code: 0x72 message-annotations, 0x73 properties, 0x74 application-properties, 0x75 data
package amqpwire
