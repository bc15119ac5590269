package restfront

import (
	"encoding/json"
	"net/http"

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

	TwinETag   string          `json:"twinETag"`
	Tags       json.RawMessage `json:"tags"`
	Properties struct {
		Desired json.RawMessage `json:"desired"` // reported properties are the device's own, and passed over
	} `json:"properties"`
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

// bulkWarning says what was left out of a row that was done: nothing is.
type bulkWarning struct {
	DeviceID      string `json:"deviceId"`
	WarningCode   string `json:"warningCode"`
	WarningStatus string `json:"warningStatus"`
}

// bulkRow is a row, of which a member that has the wrong type says nothing of the others.
type bulkRow struct {
	bulkItem
	bad error // what is wrong with the first such member
}

func (r *bulkRow) UnmarshalJSON(row []byte) error {
	r.bad = decodeError(json.Unmarshal(row, &r.bulkItem))
	return nil
}

// decodeBulk reads the body of bulkDevices: a bare array. A row that has a member of a wrong type fails alone, if it tells whose it
// is; otherwise nobody could be told of it but the caller.
func decodeBulk(body []byte) ([]hub.BulkItem, error) {
	var rows []bulkRow
	if err := decode(body, &rows); err != nil {
		return nil, err
	}
	items := make([]hub.BulkItem, len(rows))
	for i := range rows {
		row := &rows[i]
		if row.bad != nil && row.ID == "" {
			code, text := describe(row.bad)
			return nil, hubward.Errorf(code, "[%d]: %s", i, text)
		}
		items[i] = hub.BulkItem{
			Bad: row.bad, Device: row.device(row.ID), ModuleID: row.ModuleID, ManagedBy: row.ManagedBy, ETag: bareETag(row.ETag), Mode: row.ImportMode,
			Tags: row.Tags, Desired: row.Properties.Desired, TwinETag: bareETag(row.TwinETag),
		}
	}
	return items, nil
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
	items, err := decodeBulk(body)
	if err != nil {
		return err
	}
	failed, err := c.server.hub.BulkDevices(c.ctx, &c.principal, items)
	if err != nil {
		return err
	}
	result := bulkResult{IsSuccessful: len(failed) == 0, Errors: c.bulkErrors(failed), Warnings: []bulkWarning{}}
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
