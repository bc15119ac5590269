// Package access decides who a peer is and what it may do: it turns what the peer shows and the keys that could have made
// it into a Principal. It is pure: keys, registry entries and the time are passed in, nothing is looked up.
package access

import (
	"strings"

	"github.com/hubward/hubward"
)

// Permissions are what a shared access policy permits; a set of bits. RegistryWrite implies RegistryRead.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-dev-guide-sas; the flags: Azure/azure-iot-sdk-csharp
// iothub/service/src/Common/Data/AccessRights.cs.
type Permissions uint8

// The four permissions of IoT Hub, with the flag values that its REST reference documents.
const (
	RegistryRead   Permissions = 1
	RegistryWrite  Permissions = 2 | RegistryRead
	ServiceConnect Permissions = 4
	DeviceConnect  Permissions = 8

	AllPermissions = RegistryWrite | ServiceConnect | DeviceConnect
)

var permissionNames = []struct {
	permission Permissions
	name       string
}{
	{RegistryRead, "RegistryRead"}, {2, "RegistryWrite"}, {ServiceConnect, "ServiceConnect"}, {DeviceConnect, "DeviceConnect"},
}

// Has reports whether p holds all of want.
func (p Permissions) Has(want Permissions) bool { return p&want == want }

// Names lists the permissions in the order of their flag values: what JSON and tables show.
func (p Permissions) Names() []string {
	var names []string
	for _, n := range permissionNames {
		if p&n.permission != 0 && p.Has(n.permission) {
			names = append(names, n.name)
		}
	}
	return names
}

// ParsePermissions reads names as Names writes them; "RegistryReadWrite", the portal's name, means RegistryWrite. Names
// are compared without case. An unknown name, or none at all, has CodeArgumentInvalid.
func ParsePermissions(names []string) (Permissions, error) {
	var p Permissions
	for _, name := range names {
		one, ok := parsePermission(name)
		if !ok {
			return 0, hubward.Errorf(hubward.CodeArgumentInvalid, "%.40q is no permission, permissions are RegistryRead, RegistryWrite, ServiceConnect and DeviceConnect", name)
		}
		p |= one
	}
	if p == 0 {
		return 0, hubward.Errorf(hubward.CodeArgumentInvalid, "a policy needs at least one permission")
	}
	return p, nil
}

func parsePermission(name string) (Permissions, bool) {
	switch strings.ToLower(name) {
	case "registryread":
		return RegistryRead, true
	case "registrywrite", "registryreadwrite":
		return RegistryWrite, true
	case "serviceconnect":
		return ServiceConnect, true
	case "deviceconnect":
		return DeviceConnect, true
	}
	return 0, false
}

// Policy is a shared access policy of a hub. Keys are base64 of 32 bytes.
type Policy struct {
	Name         string
	Permissions  Permissions
	PrimaryKey   string
	SecondaryKey string
}
