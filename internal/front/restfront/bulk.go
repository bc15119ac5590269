package restfront

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// bulkItem is one row of bulkDevices.
//
// Source: learn.microsoft.com/rest/api/iothub/service/bulk-registry/update-registry.
type bulkItem struct {
	ID         string         `json:"id"`
	ModuleID   string         `json:"moduleId"`
	ETag       string         `json:"eTag"`
	ImportMode hub.ImportMode `json:"importMode"`
	ManagedBy  string         `json:"managedBy"`
	identityBody

	Tags       twinSection `json:"tags"`
	Properties struct {
		Desired  twinSection `json:"desired"`
		Reported twinSection `json:"reported"`
	} `json:"properties"`
}

// hasTwin reports whether the row brings more than the twin that every new device has.
func (row *bulkItem) hasTwin() bool {
	return row.Tags.holds() || row.Properties.Desired.holds() || row.Properties.Reported.holds()
}

// twinSection is the tags, or the desired or reported properties, of a row.
type twinSection map[string]json.RawMessage

// holds reports whether anything is in the section besides what the hub itself writes there, $metadata and $version. Names of
// properties hold no $.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-bulk-identity-mgmt, for rows of an export;
// learn.microsoft.com/azure/iot-hub/iot-hub-devguide-device-twins, for names.
func (s twinSection) holds() bool {
	for name := range s {
		if !strings.HasPrefix(name, "$") {
			return true
		}
	}
	return false
}

// bulkResult is the answer of bulkDevices.
type bulkResult struct {
	IsSuccessful bool          `json:"isSuccessful"`
	Errors       []bulkError   `json:"errors"`
	Warnings     []bulkWarning `json:"warnings"`
}

// bulkError says why one row failed.
type bulkError struct {
	DeviceID    string             `json:"deviceId"`
	ModuleID    hubward.NullString `json:"moduleId"`
	ErrorCode   hubward.Code       `json:"errorCode"`
	ErrorStatus string             `json:"errorStatus"`
	Operation   hub.ImportMode     `json:"operation"`
}

// bulkWarning says what was left out of a row that was done.
type bulkWarning struct {
	DeviceID      string `json:"deviceId"`
	WarningCode   string `json:"warningCode"`
	WarningStatus string `json:"warningStatus"`
}

// decodeBulk reads the body of bulkDevices: a bare array. twins names the devices that are to be registered by rows which also
// bring a twin.
func decodeBulk(body []byte) (items []hub.BulkItem, twins map[string]bool, err error) {
	var rows []bulkItem
	if err := decode(body, &rows); err != nil {
		return nil, nil, err
	}
	items, twins = make([]hub.BulkItem, len(rows)), map[string]bool{}
	for i := range rows {
		row := &rows[i]
		items[i] = hub.BulkItem{
			Device: row.device(row.ID), ModuleID: row.ModuleID, ManagedBy: row.ManagedBy, ETag: bareETag(row.ETag), Mode: row.ImportMode,
		}
		if row.hasTwin() && items[i].RegistersDevice() {
			twins[row.ID] = true
		}
	}
	return items, twins, nil
}

// bulkDevices runs up to 100 rows. Any failed one makes the status 400, with the result as body and a header that tells .NET
// so; good rows stay.
//
// Source: Azure/azure-iot-sdk-csharp common/src/service/HttpClientHelper.cs, for the header.
func bulkDevices(c *call) error {
	body, err := c.readBody(maxBulkBody)
	if err != nil {
		return err
	}
	items, twins, err := decodeBulk(body)
	if err != nil {
		return err
	}
	failed, err := c.server.hub.BulkDevices(c.ctx, &c.principal, items)
	if err != nil {
		return err
	}
	result := bulkResult{IsSuccessful: len(failed) == 0, Errors: c.bulkErrors(failed), Warnings: twinWarnings(items, twins, failed)}
	if result.IsSuccessful {
		return c.answer(http.StatusOK, result)
	}
	name := hubward.CodeBulkRegistryOperationFailure.String()
	c.setHeader("iothub-errorcode", name)
	c.setHeader("IotHubErrorCode", name)
	return c.answer(hubward.CodeBulkRegistryOperationFailure.HTTPStatus(), result)
}

func (c *call) bulkErrors(failed []hub.BulkError) []bulkError {
	rows := make([]bulkError, len(failed))
	for i, f := range failed {
		code, text := c.itemError(f.Identity, f.Err)
		rows[i] = bulkError{
			DeviceID: f.Identity.Device, ModuleID: hubward.NullString(f.Identity.Module),
			ErrorCode: code, ErrorStatus: text, Operation: f.Operation,
		}
	}
	return rows
}

// twinWarnings tells the caller that this hub did not store the twins of rows that brought one.
func twinWarnings(items []hub.BulkItem, twins map[string]bool, failed []hub.BulkError) []bulkWarning {
	for i := range failed {
		delete(twins, failed[i].Identity.Device)
	}
	warnings := []bulkWarning{} // an array, never null
	for i := range items {
		if id := items[i].Device.DeviceID; twins[id] {
			warnings = append(warnings, bulkWarning{
				DeviceID: id, WarningCode: "DeviceRegisteredWithoutTwin",
				WarningStatus: "The device is registered, its tags, desired and reported properties were not stored: this hub does not have device twins yet",
			})
		}
	}
	return warnings
}
