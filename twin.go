package hubward

import "encoding/json"

// Twin is the state that an identity and its back ends share, with what the registry says of the identity. Tags are the back
// ends' own; desired properties they write, and the identity reads; reported properties are the identity's own.
//
// A caller of update or replace sets Tags and Properties.Desired; everything else is the server's, or the device's, and
// ignored in requests.
//
// The order of the fields is the order on the wire.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-device-twins; capabilities are never left out, since the
// RegistryManagerSample of Azure/azure-iot-sdk-csharp reads them of each row.
type Twin struct {
	DeviceID                  string          `json:"deviceId"`
	ModuleID                  string          `json:"moduleId,omitempty"`
	ETag                      string          `json:"etag"`       // changes with each write of tags or desired properties
	DeviceETag                string          `json:"deviceEtag"` // of the identity, see Device
	Status                    Status          `json:"status"`
	StatusReason              string          `json:"statusReason,omitempty"`
	StatusUpdateTime          Time            `json:"statusUpdateTime"` // spelt so; an identity has statusUpdatedTime
	ConnectionState           ConnectionState `json:"connectionState"`
	LastActivityTime          Time            `json:"lastActivityTime"`
	CloudToDeviceMessageCount int             `json:"cloudToDeviceMessageCount"`
	AuthenticationType        AuthType        `json:"authenticationType"`
	X509Thumbprint            X509Thumbprint  `json:"x509Thumbprint"`
	ModelID                   string          `json:"modelId"` // that the device named last when it connected
	Version                   int64           `json:"version"` // grows with each write, of whatever part
	Tags                      json.RawMessage `json:"tags"`    // an object
	Properties                TwinProperties  `json:"properties"`
	Capabilities              Capabilities    `json:"capabilities"`
	DeviceScope               string          `json:"deviceScope,omitempty"`
	ParentScopes              []string        `json:"parentScopes,omitempty"`
}

// TwinProperties are the two sections of properties of a twin. Each is an object that holds $version, and for back ends
// $metadata, beside its properties. Numbers are as they were written.
type TwinProperties struct {
	Desired  json.RawMessage `json:"desired"`
	Reported json.RawMessage `json:"reported"`
}
