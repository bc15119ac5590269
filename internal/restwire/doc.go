// Package restwire is the codec of messages that travel over HTTPS: system properties and application properties as
// headers, batches of telemetry as JSON. Both ends use it, the hub and the SDKs.
//
// A message is a body and header lines. The names of system properties are compared without case; that of an
// application property, which follows "iothub-app-", keeps the case in which it is written, also when net/http would
// spell the header otherwise. That is why lines are Fields here and no http.Header:
//
//	iothub-messageid: 1
//	iothub-contenttype: application/json
//	iothub-app-runId: a
//
// In a batch the same names are the keys of each message's "properties".
//
// Source: learn.microsoft.com/rest/api/iothub/device; the names: Azure/azure-iot-sdk-csharp
// iothub/device/src/Transport/Http/HttpTransportHandler.cs, Azure/azure-iot-sdk-node device/transport/http/src/http.ts.
package restwire
