// Package bench is a load generator: devices with a window of unconfirmed messages, or patches of reported properties, each, and
// devices that answer direct methods, over MQTT and TLS. It speaks MQTT through the codec alone, so that what it costs itself is
// small beside the hub.
//
// Run (telemetry), RunTwin and RunMethod connect the devices, load the hub for a time, and report rates and latencies; Check
// (check.go) compares what was acknowledged with what a reader of the hub got.
package bench
