package service

import (
	"context"
	"net/http"

	"github.com/hubward/hubward"
)

// KeyChoice says which keys RegenerateDeviceKeys renews.
type KeyChoice string

// The choices.
const (
	PrimaryKey   KeyChoice = "primaryKey"
	SecondaryKey KeyChoice = "secondaryKey"
	BothKeys     KeyChoice = "both"
)

// KeyRotation holds both keys of a device or module, as they are after RegenerateKeys.
type KeyRotation struct {
	DeviceID     string `json:"id"`
	ModuleID     string `json:"moduleId"` // empty: the device itself
	PrimaryKey   string `json:"primaryKey"`
	SecondaryKey string `json:"secondaryKey"`
}

// KeyError says why a device or module kept its keys.
type KeyError struct {
	DeviceID    string    `json:"id"`
	ModuleID    string    `json:"moduleId"` // empty: the device itself
	ErrorCode   ErrorCode `json:"errorCode"`
	ErrorStatus string    `json:"errorStatus"`
}

// RegenerateDeviceKeys has the hub make new keys for up to 100 devices and returns them. Devices that failed are in
// the second result, which is no error of the call. A device that is connected with a key that was replaced has to
// come back with the new one.
//
// Errors: CodeTooManyDevices, CodeUnauthorizedAccess. Needs RegistryWrite.
func (c *Client) RegenerateDeviceKeys(ctx context.Context, which KeyChoice, ids ...string) ([]KeyRotation, []KeyError, error) {
	devices := make([]hubward.Identity, len(ids))
	for i, id := range ids {
		devices[i].Device = id
	}
	return c.RegenerateKeys(ctx, which, devices...)
}

// RegenerateKeys is RegenerateDeviceKeys for devices and modules.
func (c *Client) RegenerateKeys(ctx context.Context, which KeyChoice, ids ...hubward.Identity) ([]KeyRotation, []KeyError, error) {
	type item struct {
		ID       string `json:"id"`
		ModuleID string `json:"moduleId,omitempty"`
	}
	body := struct {
		PolicyKey KeyChoice `json:"policyKey"`
		Devices   []item    `json:"devices"`
	}{which, []item{}}
	for _, id := range ids {
		body.Devices = append(body.Devices, item{id.Device, id.Module})
	}
	var answer struct {
		RotatedKeys []KeyRotation `json:"rotatedKeys"`
		Errors      []KeyError    `json:"errors"`
	}
	err := c.do(ctx, &request{
		op: "service.RegenerateKeys", method: http.MethodPost, path: []string{"devices", "keys", "regenerate"},
		version: keysAPIVersion, body: body,
	}, &answer)
	return answer.RotatedKeys, answer.Errors, err
}

// Err returns the row's failure as an error.
func (e *KeyError) Err() error {
	return &hubward.Error{Code: hubward.Code(e.ErrorCode), Op: "service.RegenerateKeys", Identity: hubward.Identity{Device: e.DeviceID, Module: e.ModuleID}, Message: e.ErrorStatus}
}
