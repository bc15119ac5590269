package amqpfront

import (
	"github.com/hubward/hubward/internal/hub/access"
)

// requirement is what a link requires of a principal: permissions on one of some resources, which paths name below the host.
// The zero requirement is met by any.
type requirement struct {
	permissions access.Permissions
	paths       [][]string
	door        access.Door
}

func (r requirement) metBy(p *access.Principal) bool {
	if !p.Enters(r.door) {
		return false
	}
	for _, path := range r.paths {
		if p.Allows(r.permissions, path...) {
			return true
		}
	}
	return len(r.paths) == 0
}

// at returns r of who comes by a door.
func (r requirement) at(door access.Door) requirement {
	r.door = door
	return r
}

// anyPrincipal is for what is refused anyway: who has not logged in does not learn what there is.
func anyPrincipal(*conn, *address) requirement { return requirement{door: access.DoorEvents} }

// serviceConnect is the permission of a back end for what the address names.
func serviceConnect(_ *conn, a *address) requirement {
	return requirement{permissions: access.ServiceConnect, paths: [][]string{a.path}}
}

// readEvents is serviceConnect for those who read events.
func readEvents(c *conn, a *address) requirement {
	return serviceConnect(c, a).at(access.DoorEvents)
}

// deviceConnect is the permission to speak for the identity that the address names.
func deviceConnect(_ *conn, a *address) requirement {
	return requirement{permissions: access.DeviceConnect, paths: [][]string{access.PathOf(a.identity)}}
}

// readEventHub is the permission to read: of the event hub, of its node, or of one of its consumer groups, as tokens of
// different clients have it.
func readEventHub(c *conn) requirement {
	name := c.hub.Name
	paths := [][]string{{name}, {name, "$management"}}
	if config, err := c.server.hub.OwnHub(c.anyPrincipal()); err == nil {
		for _, g := range config.ConsumerGroups {
			paths = append(paths, []string{name, "ConsumerGroups", g})
		}
	}
	return requirement{access.ServiceConnect, paths, access.DoorEvents}
}
