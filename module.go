package hubward

// Module is one module identity as the registry keeps it and as the service's JSON shows it. A module is a part of a device with
// credentials, a twin and direct methods of its own. It has no status: its device's counts.
//
// A caller of create or update sets DeviceID, ModuleID, ManagedBy and Authentication; everything else is the server's, and ignored
// in requests. The order of the fields is the order on the wire.
//
// Source: learn.microsoft.com/rest/api/iothub/service/modules.
type Module struct {
	ModuleID                   string          `json:"moduleId"`
	ManagedBy                  NullString      `json:"managedBy"` // who manages it, e.g. "iotEdge"
	DeviceID                   string          `json:"deviceId"`
	GenerationID               string          `json:"generationId,omitempty"`
	ETag                       string          `json:"etag,omitempty"`
	ConnectionState            ConnectionState `json:"connectionState,omitempty"`
	ConnectionStateUpdatedTime Time            `json:"connectionStateUpdatedTime"`
	LastActivityTime           Time            `json:"lastActivityTime"`
	CloudToDeviceMessageCount  int             `json:"cloudToDeviceMessageCount"`
	Authentication             *Authentication `json:"authentication,omitempty"`
}

// MaxModules is how many modules a device may have.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-quotas-throttling.
const MaxModules = 50
