// Package device is the device side of an IoT hub: it sends telemetry, receives cloud-to-device messages, keeps a twin and
// answers direct methods, of Hubward and the cloud service alike, over MQTT, AMQP or HTTPS (Options.Protocol), always with TLS.
// Twins and methods need MQTT or AMQP.
//
//	client, err := device.NewFromConnectionString("HostName=…;DeviceId=…;SharedAccessKey=…", nil)
//	…
//	if err := client.Connect(ctx); err != nil {
//	defer client.Close(ctx)
//	err = client.SendTelemetry(ctx, &hubward.Message{Body: []byte(`{"windSpeed":12.34}`)})
//	…
//	m, err := client.Receive(ctx)
//	…
//	err = m.Complete(ctx)
//
// SendTelemetry returns nil when the hub has stored it. After the first Connect the
// client keeps itself connected. Messages that are not confirmed when a connection breaks are sent again, in their
// order, on the next one; so the hub may get a message twice, and does not lose one while the process lives. A new SAS
// token is made in time and costs no message.
//
// The hub keeps messages for a device until it completes them. Receive returns them in the order of their queue, also
// after a reconnect: what is not completed comes again. Options.OnMessage is called with each of them instead, one after
// another, and settles them by what it returns.
//
// The twin is the state that the device shares with its back ends: OnDesired gives the desired properties and each change of
// them, none missed over reconnects; UpdateReported writes the reported ones; Twin reads both. HandleMethod has calls of back
// ends answered. Names and markers of Plug and Play travel as its convention says
// (learn.microsoft.com/azure/iot/concepts-convention): Options.ModelID names the model, a command of a component is the method
// "component*command", and properties of a component are an object with "__t": "c".
//
// A device logs in with its key, with a policy's, with a ready token, or with a certificate, which may be renewed while it is
// connected (Options.GetClientCertificate), also by the hub itself: RequestCertificate. A module, which the connection string names as
// ModuleId, has all of this but cloud-to-device messages; behind an Azure IoT Edge hub, which it names as GatewayHostName,
// it has inputs and outputs: OnInput, SendToOutput. WebSockets and HTTPS go through the proxy that the environment names
// (Options.Proxy).
//
// A connection that is lost is tried again at once, then with growing pauses (Options.Backoff), without end: only a hub that
// refuses the credentials, or Close, ends a client. Options.OnState tells of every change. Drain lets what is under way
// come to its end, and closes the client.
//
// A few goroutines read, write and reconnect; Close ends them. A Client is safe for concurrent use. For single calls over
// HTTPS, without a queue and without goroutines, there is HTTPSClient.
//
//	client.go     the Client; run.go keeps it connected, outbox.go holds what is not confirmed
//	transport.go  what a protocol is to it: mqtt*.go, amqp*.go, poll.go (over https*.go); dial.go, with WebSockets
//	certificate.go the log-in by certificate; certificate_request.go, certificate_calls.go renewal by the hub; proxy.go
//	telemetry.go  sending; c2d.go receiving, handler.go by Options.OnMessage
//	twin.go       the twin, and twin_patch.go what is merged into it; desired.go follows the changes; method.go; module.go
package device
