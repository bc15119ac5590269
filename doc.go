// Package hubward holds the nouns of an IoT hub: devices, messages, events, and the errors that every front end
// translates. It does no I/O and imports only the standard library, so the device SDK (package device), the service
// SDK (package service) and the hub itself can share it without dragging each other in.
//
// Names are IoT Hub's own: an identity registry holds devices, a device sends device-to-cloud messages (telemetry),
// a back end reads them as events.
package hubward
