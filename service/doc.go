// Package service is the back-end SDK for an IoT hub: the identity registry, twins, direct methods, messages to devices,
// statistics and, for Hubward, hubs, shared access policies and a stream of telemetry and twin changes. It speaks the REST of Azure IoT Hub, so everything works against
// the cloud service too, except the calls whose documentation says "Hubward only": those go to paths below /$hubward/.
//
// A Client is made from the connection string of a shared access policy, signs its own tokens, and is safe for
// concurrent use. Errors of the hub are *hubward.Error, with a Code to switch on:
//
//	d, err := client.Device(ctx, "MyFirstDevice")
//	if hubward.CodeOf(err) == hubward.CodeDeviceNotFound { … }
//
// No call is repeated by the package, except that Events and WatchTwin reconnect. After an error of the network, or one with
// CodeServerError, CodeServiceUnavailable or CodeGatewayTimeout, a write may have happened.
package service
