// Package restfront serves the hub's HTTPS calls: the service-facing REST of IoT Hub (identity registry, statistics,
// messages to devices and feedback), the calls of devices, and, below /$hubward/, Hubward's own management calls and event
// stream. It translates routes and JSON shapes into calls of package hub and knows no rule of its own, except how a request
// is read and an answer is spelt.
//
// A request goes through these steps, each of which may end it with an error envelope (errors.go):
//
//	route (router.go) → api-version → hub by Host header → who calls (auth.go) → body (json.go) → hub call
//
// Whether the caller may do that, the hub call decides.
//
// There is one file per verb: registry.go, bulk.go, keys.go, statistics.go, telemetry.go, c2d.go, feedback.go, hubs.go,
// policies.go, consumer_groups.go, events.go. The calls of devices are in telemetry.go and c2d.go; header_names.go keeps
// the case of their properties' names. Calls of IoT Hub that are not there yet are refused by name (missing.go).
//
// Source: learn.microsoft.com/rest/api/iothub/service and learn.microsoft.com/rest/api/iothub/device.
package restfront
