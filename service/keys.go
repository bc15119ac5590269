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

// KeyRotation holds both keys of a device, as they are after RegenerateDeviceKeys.
type KeyRotation struct {
	DeviceID     string `json:"id"`
	PrimaryKey   string `json:"primaryKey"`
	SecondaryKey string `json:"secondaryKey"`
}

// KeyError says why a device kept its keys.
type KeyError struct {
	DeviceID    string    `json:"id"`
	ErrorCode   ErrorCode `json:"errorCode"`
	ErrorStatus string    `json:"errorStatus"`
}

// RegenerateDeviceKeys has the hub make new keys for up to 100 devices and returns them. Devices that failed are in
// the second result, which is no error of the call. A device that is connected with a key that was replaced has to
// come back with the new one.
//
// Errors: CodeTooManyDevices, CodeUnauthorizedAccess. Needs RegistryWrite.
func (c *Client) RegenerateDeviceKeys(ctx context.Context, which KeyChoice, ids ...string) ([]KeyRotation, []KeyError, error) {
	type item struct {
		ID string `json:"id"`
	}
	body := struct {
		PolicyKey KeyChoice `json:"policyKey"`
		Devices   []item    `json:"devices"`
	}{which, []item{}}
	for _, id := range ids {
		body.Devices = append(body.Devices, item{id})
	}
	var answer struct {
		RotatedKeys []KeyRotation `json:"rotatedKeys"`
		Errors      []KeyError    `json:"errors"`
	}
	err := c.do(ctx, &request{
		op: "service.RegenerateDeviceKeys", method: http.MethodPost, path: []string{"devices", "keys", "regenerate"},
		version: keysAPIVersion, body: body,
	}, &answer)
	return answer.RotatedKeys, answer.Errors, err
}

// Err returns the row's failure as an error.
func (e *KeyError) Err() error {
	return &hubward.Error{Code: hubward.Code(e.ErrorCode), Op: "service.RegenerateDeviceKeys", Identity: hubward.Identity{Device: e.DeviceID}, Message: e.ErrorStatus}
}
