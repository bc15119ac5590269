package sysprops

// row is one name of a property: those ways use it.
type row struct {
	property Property
	ways     Way
	name     string
}

// table has the names of each place in the order in which they are written. A message is written with the first name that its
// way has for a property; the others are read as well.
//
// Source: MQTT: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub and MqttIotHubAdapter.cs of
// Azure/azure-iot-sdk-csharp; the order to a device is that of published topics, for which see the tests of mqttfront;
// HTTPS: Azure/azure-iot-sdk-csharp
// iothub/device/src/Transport/Http/HttpTransportHandler.cs and HttpsSingleMessage.java of Azure/azure-iot-sdk-java, which
// spell the creation time differently; AMQP: Azure/azure-iot-sdk-csharp
// iothub/device/src/Transport/AmqpIot/AmqpIotMessageConverter.cs, and AMQP 1.0 part 3 §3.2.4.
var table = [...][]row{
	MQTT: {
		{OutputName, FromDevice, "$.on"},
		{Expiry, ToDevice, "$.exp"},
		{CorrelationID, ToDevice, "$.cid"},
		{MessageID, FromDevice | ToDevice, "$.mid"},
		{CorrelationID, FromDevice, "$.cid"},
		{UserID, FromDevice, "$.uid"},
		{To, FromDevice | ToDevice, "$.to"},
		{UserID, ToDevice, "$.uid"},
		{ContentType, FromDevice | ToDevice, "$.ct"},
		{ContentEncoding, FromDevice | ToDevice, "$.ce"},
		{CreationTime, FromDevice | ToDevice, "$.ctime"},
		{CreationTime, FromDevice, nameCreationTime},
		{InterfaceID, FromDevice, "$.ifid"},
		{Expiry, FromDevice, "$.exp"},
		{Subject, FromDevice, "$.sub"},
		{Schema, FromDevice, "$.schema"},
		{Schema, FromDevice, nameSchema},
		{TraceID, FromDevice, "$.diagid"},
		{TraceContext, FromDevice, "$.diagctx"},
		{Ack, ToDevice, "iothub-ack"}, // without the "$."
	},
	HTTPS: {
		{MessageID, toHub | ToDevice, "iothub-messageid"},
		{CorrelationID, toHub | ToDevice, "iothub-correlationid"},
		{UserID, toHub | ToDevice, "iothub-userid"},
		{To, toHub | ToDevice, "iothub-to"},
		{ContentType, toHub, "iothub-contenttype"},
		{ContentType, toHub | ToDevice, "ContentType"}, // what the C SDK and the Azure CLI read
		{ContentEncoding, toHub, "iothub-contentencoding"},
		{ContentEncoding, toHub | ToDevice, "ContentEncoding"},
		{CreationTime, toHub, "iothub-creationtimeutc"},
		{CreationTime, toHub, nameCreationTime},
		{Expiry, toHub | ToDevice, "iothub-expiry"},
		{Ack, toHub | ToDevice, "iothub-ack"},
		{InterfaceID, toHub, "iothub-interface-id"},
		{Schema, toHub, "iothub-messageschema"},
		{Subject, toHub, "dt-subject"},
	},
	AMQPProperties: { // the fields of the section by position, up to the last that is a system property
		{MessageID, all, "message-id"},
		{UserID, all, "user-id"},
		{To, toHub | ToDevice, "to"},
		{name: "subject"},
		{name: "reply-to"},
		{CorrelationID, all, "correlation-id"},
		{ContentType, all, "content-type"},
		{ContentEncoding, all, "content-encoding"},
		{Expiry, all, "absolute-expiry-time"},
		{CreationTime, c2d, "creation-time"},
	},
	AMQPAnnotation: {
		{Subject, telemetry, "dt-subject"},
		{InterfaceID, telemetry, "iothub-interface-id"},
		{OutputName, ToReader, "iothub-outputname"},
		{TraceID, telemetry, "Diagnostic-Id"},
		{TraceContext, telemetry, "Correlation-Context"},
	},
	AMQPApplication: {
		{CreationTime, telemetry | FromService, nameCreationTime},
		{Schema, telemetry | FromService, nameSchema},
		{OutputName, FromDevice, "iothub-outputname"},
		{Subject, FromDevice, "dt-subject"},
		{Ack, c2d, "iothub-ack"},
	},
}

// Under these names two system properties reach a reader as application properties. A sender may use them anywhere: kept as
// application properties of its own, a reader would find the same key twice.
const (
	nameCreationTime = "iothub-creation-time-utc"
	nameSchema       = "iothub-message-schema"
)
