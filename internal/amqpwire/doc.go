// Package amqpwire turns AMQP 1.0 into bytes and back: values of every type, frames, performatives, log-in, delivery
// states and messages. It does no I/O and knows no hub.
//
// A value is a constructor byte followed by its data; the widths are those of AMQP 1.0 part 1 §1.6. Performatives,
// states and sections of a message are described values, and what this package writes of them begins with
//
//	0x00 0x53 code        e.g. 0x10 open, 0x14 transfer, 0x24 accepted, 0x75 data
//
// It reads every form that the specification allows, and writes those that the strictest client reads: performatives with
// all of their fields as a list32, never an empty list0; the zero of a uint as 0x43, the small ones as 0x52, as the Azure
// service does. The strictest is pyamqp, the AMQP of azure-eventhub for Python: _decode.py and link.py in
// Azure/azure-sdk-for-python sdk/eventhub/azure-eventhub/azure/eventhub/_pyamqp.
//
// AppendValue takes, and Reader.Value returns, values of these Go types:
//
//	null nil            boolean bool         ubyte uint8     ushort uint16   uint uint32     ulong uint64
//	byte int8           short int16          int int32       long int64      float float32   double float64
//	char Char           timestamp time.Time  uuid UUID       binary []byte   string string   symbol Symbol
//	decimal32 to 128 Decimal                 list List       map Map         array Array     described Described
//
// A timestamp is in UTC and has milliseconds.
package amqpwire
