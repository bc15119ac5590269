// Package bench is a load generator for telemetry: devices with a window of unconfirmed messages each, over MQTT and
// TLS. It speaks MQTT through the codec alone, so that what it costs itself is small beside the hub.
//
// Run connects the devices, sends for a time, and reports rates and latencies; Check (check.go) compares what was
// acknowledged with what a reader of the hub got.
package bench
