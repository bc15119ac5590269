package hubward

import "encoding/json"

// Status says whether a device may connect.
type Status string

// The two statuses.
const (
	StatusEnabled  Status = "enabled"
	StatusDisabled Status = "disabled"
)

// ConnectionState says whether a device is connected over MQTT or AMQP.
type ConnectionState string

// The two connection states. SDKs parse them case-sensitively.
const (
	Connected    ConnectionState = "Connected"
	Disconnected ConnectionState = "Disconnected"
)

// AuthType says how a device proves who it is.
type AuthType string

// The ways to authenticate. AuthNone is refused for devices.
const (
	AuthSAS         AuthType = "sas"
	AuthSelfSigned  AuthType = "selfSigned"
	AuthCertificate AuthType = "certificateAuthority"
	AuthNone        AuthType = "none"
)

// Device is one device identity as the registry keeps it and as the service's JSON shows it.
//
// A caller of create or update sets DeviceID, Status, StatusReason, Authentication, Capabilities, DeviceScope and
// ParentScopes; everything else is the server's, and ignored in requests.
//
// The order of the fields is the order on the wire.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-identity-registry.
type Device struct {
	DeviceID                   string          `json:"deviceId"`
	GenerationID               string          `json:"generationId,omitempty"` // new each time the id is registered
	ETag                       string          `json:"etag,omitempty"`         // changes with each write, not with connects
	ConnectionState            ConnectionState `json:"connectionState,omitempty"`
	Status                     Status          `json:"status,omitempty"`
	StatusReason               NullString      `json:"statusReason"` // up to 128 bytes
	ConnectionStateUpdatedTime Time            `json:"connectionStateUpdatedTime"`
	StatusUpdatedTime          Time            `json:"statusUpdatedTime"`
	LastActivityTime           Time            `json:"lastActivityTime"`
	CloudToDeviceMessageCount  int             `json:"cloudToDeviceMessageCount"`
	Authentication             *Authentication `json:"authentication,omitempty"`
	Capabilities               Capabilities    `json:"capabilities"`
	DeviceScope                string          `json:"deviceScope,omitempty"`  // an Edge device's own, made by the hub; of others, that of their parent
	ParentScopes               []string        `json:"parentScopes,omitempty"` // up to one, an Edge device's scope; of a leaf, made from DeviceScope
}

// Authentication is how an identity proves itself. Type stays the last member: the .NET SDK's setters of the other two
// overwrite it.
//
// Source: Azure/azure-iot-sdk-csharp iothub/service/src/Registry/Models/AuthenticationMechanism.cs.
type Authentication struct {
	SymmetricKey   SymmetricKey   `json:"symmetricKey"`
	X509Thumbprint X509Thumbprint `json:"x509Thumbprint"`
	Type           AuthType       `json:"type,omitempty"`
}

// SymmetricKey is a pair of base64 keys of 16 to 64 bytes. Both empty in a request means: make them.
type SymmetricKey struct {
	PrimaryKey   NullString `json:"primaryKey"`
	SecondaryKey NullString `json:"secondaryKey"`
}

// X509Thumbprint is a pair of certificate thumbprints: 40 (SHA-1) or 64 (SHA-256) hex digits.
type X509Thumbprint struct {
	PrimaryThumbprint   NullString `json:"primaryThumbprint"`
	SecondaryThumbprint NullString `json:"secondaryThumbprint"`
}

// Capabilities are what a device is beyond a plain one.
type Capabilities struct {
	IotEdge bool `json:"iotEdge"`
}

// RegistryStatistics are the counts of one hub's registry.
type RegistryStatistics struct {
	TotalDeviceCount    int `json:"totalDeviceCount"`
	EnabledDeviceCount  int `json:"enabledDeviceCount"`
	DisabledDeviceCount int `json:"disabledDeviceCount"`
}

// ServiceStatistics are the live counts of one hub.
type ServiceStatistics struct {
	ConnectedDeviceCount int `json:"connectedDeviceCount"`
}

// NullString is a string whose empty value is JSON null.
type NullString string

// MarshalJSON writes null for "".
func (s NullString) MarshalJSON() ([]byte, error) {
	if s == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(s))
}
