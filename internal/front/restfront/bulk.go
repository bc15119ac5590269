package restfront

import (
	"encoding/json"
	"net/http"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// bulkItem is one row of D5.
//
// Source: spec/service-rest.md 4.3.
type bulkItem struct {
	ID         string         `json:"id"`
	ModuleID   string         `json:"moduleId"`
	ETag       string         `json:"eTag"`
	ImportMode hub.ImportMode `json:"importMode"`
	identityBody

	Tags       map[string]json.RawMessage `json:"tags"`
	Properties struct {
		Desired map[string]json.RawMessage `json:"desired"`
	} `json:"properties"`
}

// decodeBulk reads the body of D5: a bare array. twins names the devices whose rows also bring a twin.
func decodeBulk(body []byte) (items []hub.BulkItem, twins map[string]bool, err error) {
	var rows []bulkItem
	if err := decode(body, &rows); err != nil {
		return nil, nil, err
	}
	items, twins = make([]hub.BulkItem, len(rows)), map[string]bool{}
	for i := range rows {
		row := &rows[i]
		items[i] = hub.BulkItem{
			Device: row.device(row.ID), ModuleID: row.ModuleID, ETag: bareETag(row.ETag), Mode: row.ImportMode,
		}
		if len(row.Tags) > 0 || len(row.Properties.Desired) > 0 {
			twins[row.ID] = true
		}
	}
	return items, twins, nil
}

// bulkDevices is D5. Any failed row makes the status 400, with the result as body and a header that tells .NET so;
// good rows stay.
func bulkDevices(c *call) error {
	body, err := c.readBody(maxBulkBody)
	if err != nil {
		return err
	}
	items, twins, err := decodeBulk(body)
	if err != nil {
		return err
	}
	result, err := c.server.hub.BulkDevices(c.r.Context(), c.hub, items)
	if err != nil {
		return err
	}
	result.Warnings = append(result.Warnings, twinWarnings(items, twins, result.Errors)...)
	if result.IsSuccessful {
		return c.answer(http.StatusOK, result)
	}
	name := hubward.CodeBulkRegistryOperationFailure.String()
	c.setHeader("iothub-errorcode", name)
	c.setHeader("IotHubErrorCode", name)
	return c.answer(hubward.CodeBulkRegistryOperationFailure.HTTPStatus(), result)
}

// twinWarnings tells the caller that this hub did not store the twins of rows that brought one.
func twinWarnings(items []hub.BulkItem, twins map[string]bool, failed []hub.BulkError) []hub.BulkWarning {
	for i := range failed {
		delete(twins, failed[i].DeviceID)
	}
	var warnings []hub.BulkWarning
	for i := range items {
		if id := items[i].Device.DeviceID; twins[id] {
			warnings = append(warnings, hub.BulkWarning{
				DeviceID: id, WarningCode: "DeviceRegisteredWithoutTwin",
				WarningStatus: "The device is registered, its tags and desired properties were not stored",
			})
		}
	}
	return warnings
}
