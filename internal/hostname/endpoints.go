package hostname

import "strings"

const (
	deviceLabel  = "device"
	serviceLabel = "service"
)

// Endpoints returns the two names beside a hub's host name NAME.ZONE under which it answers too: NAME.device.ZONE, for
// devices, and NAME.service.ZONE, for back ends. Newer hubs of the cloud service have both, clients put them into SNI, host
// headers and the resources of tokens. An IP address, a name without a dot, one that is such a name already, and one
// that would get too long have none. name is canonical.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-endpoints, TLS 1.3-enabled endpoints.
func Endpoints(name string) []string {
	label, zone, ok := strings.Cut(name, ".")
	if !ok || IsAddress(name) {
		return nil
	}
	if first, _, deeper := strings.Cut(zone, "."); deeper && (first == deviceLabel || first == serviceLabel) {
		return nil
	}
	var names []string
	for _, kind := range []string{deviceLabel, serviceLabel} {
		if endpoint := label + "." + kind + "." + zone; len(endpoint) <= maxName {
			names = append(names, endpoint)
		}
	}
	return names
}
