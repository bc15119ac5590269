package access

import (
	"github.com/hubward/hubward/sas"
)

// Grant is what one log-in allows: a principal, and how much of the hub it may act on.
type Grant struct {
	Principal
	token *sas.Token // nil: a log-in without a token, by a key or a certificate
}

// Allows reports whether the grant holds all of want for the resource that path names below the host, e.g. "devices",
// "d1" or the hub's name, "ConsumerGroups", "$Default". A device's own grant holds DeviceConnect for itself alone.
func (g *Grant) Allows(want Rights, path ...string) bool { panic("unwritten") }
