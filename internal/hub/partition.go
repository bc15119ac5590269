package hub

import "encoding/binary"

// PartitionOf returns the partition of a device among n: a hash of its id, so that a device's events keep their order.
// It is the public Event Hubs partition-key hash: Jenkins lookup3 with both seeds zero, the two halves folded to a
// signed 16-bit number.
//
// Source: Azure/azure-sdk-for-js sdk/eventhub/event-hubs/src/impl/partitionKeyToIdMapper.ts.
func PartitionOf(device string, n int) int {
	b, c := lookup3(device)
	p := int(int16(b^c)) % n
	if p < 0 {
		p = -p
	}
	return p
}

func lookup3(key string) (uint32, uint32) {
	a := 0xdeadbeef + uint32(len(key))
	b, c := a, a
	rest := []byte(key)
	for len(rest) > 12 {
		a += binary.LittleEndian.Uint32(rest)
		b += binary.LittleEndian.Uint32(rest[4:])
		c += binary.LittleEndian.Uint32(rest[8:])
		a, b, c = lookup3Mix(a, b, c)
		rest = rest[12:]
	}
	if len(rest) == 0 {
		return b, c
	}
	var tail [12]byte
	copy(tail[:], rest)
	a += binary.LittleEndian.Uint32(tail[:])
	b += binary.LittleEndian.Uint32(tail[4:])
	c += binary.LittleEndian.Uint32(tail[8:])
	return lookup3Final(a, b, c)
}

func rotl(x uint32, k uint) uint32 { return x<<k | x>>(32-k) }

func lookup3Mix(a, b, c uint32) (uint32, uint32, uint32) {
	a = (a - c) ^ rotl(c, 4)
	c += b
	b = (b - a) ^ rotl(a, 6)
	a += c
	c = (c - b) ^ rotl(b, 8)
	b += a
	a = (a - c) ^ rotl(c, 16)
	c += b
	b = (b - a) ^ rotl(a, 19)
	a += c
	c = (c - b) ^ rotl(b, 4)
	b += a
	return a, b, c
}

func lookup3Final(a, b, c uint32) (uint32, uint32) {
	c = (c ^ b) - rotl(b, 14)
	a = (a ^ c) - rotl(c, 11)
	b = (b ^ a) - rotl(a, 25)
	c = (c ^ b) - rotl(b, 16)
	a = (a ^ c) - rotl(c, 4)
	b = (b ^ a) - rotl(a, 14)
	c = (c ^ b) - rotl(b, 24)
	return b, c
}
