package amqpfront

import (
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
)

// twinOperation is what an identity asks of its twin.
type twinOperation string

const (
	twinGet    twinOperation = "GET"
	twinPatch  twinOperation = "PATCH"  // of the reported properties
	twinPut    twinOperation = "PUT"    // it wants to be told of changes of the desired properties
	twinDelete twinOperation = "DELETE" // it does not any more
)

// twinResources says what each operation is for. GET is for the twin, whatever else it names.
//
// Source: Azure/azure-iot-sdk-node device/transport/amqp/src/amqp_twin_client.ts; Azure/azure-iot-sdk-c
// iothub_client/src/iothubtransport_amqp_twin_messenger.c.
var twinResources = map[twinOperation]string{
	twinGet:    "",
	twinPatch:  "properties/reported",
	twinPut:    "notifications/twin/properties/desired",
	twinDelete: "notifications/twin/properties/desired",
}

// twinRequest is a request, taken apart.
type twinRequest struct {
	operation twinOperation
	patch     []byte // of PATCH; it lies in the message
	ifVersion int64  // of PATCH: the $version that the reported properties have to have; 0: any
}

// readTwinRequest reads a request. The names of operations and resources count without case.
//
// Errors: CodeArgumentInvalid; CodeFormatError for a body that is no text.
func readTwinRequest(m *amqpwire.Message) (twinRequest, error) {
	text, _ := amqpwire.Text(m.Annotations.Get("operation"))
	r := twinRequest{operation: twinOperation(strings.ToUpper(text))}
	want, ok := twinResources[r.operation]
	if !ok {
		return r, hubward.Errorf(hubward.CodeArgumentInvalid, "The operation '%s' is not one of a twin.", clip(text))
	}
	resource, _ := amqpwire.Text(m.Annotations.Get("resource"))
	if want != "" && !strings.EqualFold(strings.Trim(resource, "/"), want) {
		return r, hubward.Errorf(hubward.CodeArgumentInvalid, "The operation %s is not possible on '%s'.", r.operation, clip(resource))
	}
	if r.operation != twinPatch {
		return r, nil
	}
	if r.ifVersion, ok = twinVersion(m.Annotations.Get("version")); !ok {
		return r, hubward.Errorf(hubward.CodeArgumentInvalid, "The annotation 'version' is no whole number from 1 on.")
	}
	if r.patch, ok = m.Body(); !ok && (m.HasValue || m.Sequences != nil) {
		return r, hubward.Errorf(hubward.CodeFormatError, "The body has to be JSON in a data section.")
	}
	return r, nil
}

// twinVersion reads the version that a PATCH is for. C# sends null for any.
//
// Source: Azure/azure-iot-sdk-csharp iothub/device/src/Transport/AmqpIot/AmqpIotSendingLink.cs; int:
// AmqpsTwinSenderLinkHandler.java of Azure/azure-iot-sdk-java.
func twinVersion(v any) (version int64, ok bool) {
	if v == nil {
		return 0, true
	}
	version, exact, ok := wholeOf(v)
	return version, ok && exact && version > 0
}
