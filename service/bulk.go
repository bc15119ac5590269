package service

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/hubward/hubward"
)

// MaxBulkItems is how many rows one bulk call may have.
const MaxBulkItems = 100

// ImportMode is the verb of one bulk row.
type ImportMode string

// The import modes. The twin modes change tags and desired properties, and nothing of the identity.
const (
	CreateOrUpdate            ImportMode = "createOrUpdate"
	Create                    ImportMode = "create"
	Update                    ImportMode = "update"
	UpdateIfMatchETag         ImportMode = "updateIfMatchETag"
	CreateOrUpdateIfMatchETag ImportMode = "createOrUpdateIfMatchETag"
	Delete                    ImportMode = "delete"
	DeleteIfMatchETag         ImportMode = "deleteIfMatchETag"
	UpdateTwin                ImportMode = "updateTwin"
	UpdateTwinIfMatchETag     ImportMode = "updateTwinIfMatchETag"
)

// ImportModes returns all import modes.
func ImportModes() []ImportMode {
	return []ImportMode{
		CreateOrUpdate, Create, Update, UpdateIfMatchETag, CreateOrUpdateIfMatchETag, Delete, DeleteIfMatchETag, UpdateTwin, UpdateTwinIfMatchETag,
	}
}

// BulkItem is one row of a bulk call: what to do with Device.DeviceID, or with a module of it. Device.ETag counts in the
// IfMatchETag modes only. An empty Mode means CreateOrUpdate. What a hub cannot do of a row it refuses, or warns of, in the
// result.
//
// Source: Azure/azure-iot-sdk-csharp iothub/service/src/Registry/Models/ExportImportDevice.cs.
type BulkItem struct {
	Device    hubward.Device
	ModuleID  string // not empty: the row is that of a module of the device
	ManagedBy string // of a module
	Mode      ImportMode

	// The twin that goes with the identity. Tags and Desired replace those of a twin that is there, and merge into them in the twin
	// modes; nil leaves a section as it is. TwinETag counts for UpdateTwinIfMatchETag. Reported is for hubs that take reported
	// properties from back ends: Hubward passes them over.
	TwinETag string
	Tags     map[string]json.RawMessage
	Desired  map[string]json.RawMessage
	Reported map[string]json.RawMessage
}

// BulkResult is the outcome of a bulk call.
type BulkResult struct {
	IsSuccessful bool          `json:"isSuccessful"` // no row failed
	Errors       []BulkError   `json:"errors"`
	Warnings     []BulkWarning `json:"warnings"`
}

// BulkError says why one row failed.
type BulkError struct {
	DeviceID    string    `json:"deviceId"`
	ModuleID    string    `json:"moduleId"`
	ErrorCode   ErrorCode `json:"errorCode"`
	ErrorStatus string    `json:"errorStatus"`
}

// BulkWarning tells of a row that was applied in part.
type BulkWarning struct {
	DeviceID      string `json:"deviceId"`
	WarningCode   string `json:"warningCode"`
	WarningStatus string `json:"warningStatus"`
}

// ErrorCode is a code that hubs send as a number or as a name. Zero: neither is known.
type ErrorCode hubward.Code

// UnmarshalJSON reads both forms.
func (c *ErrorCode) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) != nil {
		text = string(b)
	}
	if n, err := strconv.Atoi(text); err == nil {
		*c = ErrorCode(n)
		return nil
	}
	code, _ := hubward.CodeFromName(text)
	*c = ErrorCode(code)
	return nil
}

type bulkRow struct {
	ID             string                  `json:"id"`
	ModuleID       string                  `json:"moduleId,omitempty"`
	ETag           string                  `json:"eTag,omitempty"`
	ImportMode     ImportMode              `json:"importMode"`
	Status         hubward.Status          `json:"status"`
	StatusReason   hubward.NullString      `json:"statusReason"`
	Authentication *hubward.Authentication `json:"authentication,omitempty"`
	Capabilities   hubward.Capabilities    `json:"capabilities"`
	DeviceScope    string                  `json:"deviceScope,omitempty"`
	ParentScopes   []string                `json:"parentScopes,omitempty"`
	ManagedBy      string                  `json:"managedBy,omitempty"`

	TwinETag   string                     `json:"twinETag,omitempty"`
	Tags       map[string]json.RawMessage `json:"tags,omitzero"`
	Properties *bulkProperties            `json:"properties,omitempty"`
}

type bulkProperties struct {
	Desired  map[string]json.RawMessage `json:"desired,omitzero"`
	Reported map[string]json.RawMessage `json:"reported,omitzero"`
}

// BulkDevices runs up to 100 rows. Rows that fail are in the result, which is no error of the call: the others were
// applied.
//
// Errors, with nothing applied: CodeDeviceDefinedMultipleTimes, CodeTooManyDevices, CodeArgumentInvalid,
// CodeUnauthorizedAccess. Needs RegistryWrite.
func (c *Client) BulkDevices(ctx context.Context, items []BulkItem) (BulkResult, error) {
	rows := make([]bulkRow, len(items))
	for i := range items {
		rows[i] = items[i].row()
	}
	r := &request{
		op: "service.BulkDevices", method: http.MethodPost, path: []string{"devices"}, version: APIVersion, body: rows,
		accept: []int{http.StatusBadRequest},
	}
	var result BulkResult
	res, err := c.open(ctx, r)
	if err != nil {
		return result, err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusBadRequest && !isBulkResult(res.Header) {
		return result, answerError(r, res)
	}
	return result, c.decode(r, res, &result)
}

// isBulkResult reports whether a status of 400 means that rows failed, rather than the call.
func isBulkResult(header http.Header) bool {
	failure := hubward.CodeBulkRegistryOperationFailure.String()
	return header.Get("iothub-errorcode") == failure || header.Get("IotHubErrorCode") == failure
}

func (i *BulkItem) row() bulkRow {
	d := &i.Device
	row := bulkRow{
		ID: d.DeviceID, ModuleID: i.ModuleID, ManagedBy: i.ManagedBy, TwinETag: i.TwinETag, Tags: i.Tags, ETag: d.ETag, ImportMode: i.Mode, Status: d.Status, StatusReason: d.StatusReason,
		Authentication: d.Authentication, Capabilities: d.Capabilities, DeviceScope: d.DeviceScope, ParentScopes: d.ParentScopes,
	}
	if i.Desired != nil || i.Reported != nil {
		row.Properties = &bulkProperties{Desired: i.Desired, Reported: i.Reported}
	}
	if row.ImportMode == "" {
		row.ImportMode = CreateOrUpdate
	}
	if row.Status == "" {
		row.Status = hubward.StatusEnabled
	}
	return row
}
