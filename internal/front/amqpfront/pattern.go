package amqpfront

import (
	"strings"

	"github.com/hubward/hubward"
)

// pattern is how the addresses of a family are written, segment by segment: words, which are compared without case, and
// parts that a client fills in.
type pattern []string

// The parts.
const (
	identityPart  = "{identity}" // devices/{device} or devices/{device}/modules/{module}
	eventHubPart  = "{eventHub}" // a name; never a word that begins with '$'
	groupPart     = "{group}"
	partitionPart = "{partition}"
	restPart      = "…" // whatever follows, nothing too; the last part
)

// captured is what a client has filled in.
type captured struct {
	identity  hubward.Identity
	eventHub  string
	group     string
	partition string
	restAt    int // how many segments stand before the rest
}

// match reports whether path is written as p says, and what the client has filled in.
func (p pattern) match(path []string) (c captured, ok bool) {
	at := 0
	for _, part := range p {
		if part == restPart {
			c.restAt = at
			return c, true
		}
		if at == len(path) {
			return captured{}, false
		}
		n := 1
		switch segment := path[at]; part {
		case identityPart:
			c.identity, n = identityAt(path[at:])
			ok = n > 0
		case eventHubPart:
			c.eventHub, ok = segment, segment != "" && segment[0] != '$'
		case groupPart:
			c.group, ok = segment, true
		case partitionPart:
			c.partition, ok = segment, true
		default:
			ok = strings.EqualFold(segment, part)
		}
		if !ok {
			return captured{}, false
		}
		at += n
	}
	return c, at == len(path)
}

// identityAt returns the identity that path begins with, and how many segments it takes: none when there is none.
func identityAt(path []string) (id hubward.Identity, segments int) {
	if len(path) < 2 || !strings.EqualFold(path[0], "devices") || path[1] == "" {
		return hubward.Identity{}, 0
	}
	id.Device = path[1]
	if len(path) < 4 || !strings.EqualFold(path[2], "modules") || path[3] == "" {
		return id, 2
	}
	id.Module = path[3]
	return id, 4
}
