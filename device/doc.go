// Package device is the device side of an IoT hub: it sends telemetry over MQTT with TLS, to Hubward and to the cloud
// service alike.
//
//	client, err := device.NewFromConnectionString("HostName=…;DeviceId=…;SharedAccessKey=…", nil)
//	…
//	if err := client.Connect(ctx); err != nil {
//	defer client.Close(ctx)
//	err = client.SendTelemetry(ctx, &hubward.Message{Body: []byte(`{"windSpeed":12.34}`)})
//
// A message is sent with QoS 1: SendTelemetry returns nil when the hub has stored it. After the first Connect the
// client keeps itself connected. Messages that are not confirmed when a connection breaks are sent again, in their
// order, on the next one; so the hub may get a message twice, and does not lose one while the process lives. A new SAS
// token is made in time and costs no message.
//
// One goroutine reads and one writes and reconnects; Close ends both. A Client is safe for concurrent use.
package device
