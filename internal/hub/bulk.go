package hub

import (
	"context"
	"errors"
	"strings"

	"github.com/hubward/hubward"
)

// MaxBulkItems bounds one bulk call.
//
// Source: spec/service-rest.md 4.3.
const MaxBulkItems = 100

// ImportMode is the verb of one bulk item. Modes are compared without case.
type ImportMode string

// The import modes. An empty mode means createOrUpdate.
const (
	ModeCreateOrUpdate            ImportMode = "createOrUpdate"
	ModeCreate                    ImportMode = "create"
	ModeUpdate                    ImportMode = "update"
	ModeUpdateIfMatchETag         ImportMode = "updateIfMatchETag"
	ModeCreateOrUpdateIfMatchETag ImportMode = "createOrUpdateIfMatchETag"
	ModeDelete                    ImportMode = "delete"
	ModeDeleteIfMatchETag         ImportMode = "deleteIfMatchETag"
	ModeUpdateTwin                ImportMode = "updateTwin"
	ModeUpdateTwinIfMatchETag     ImportMode = "updateTwinIfMatchETag"
)

var importModes = []ImportMode{
	ModeCreateOrUpdate, ModeCreate, ModeUpdate, ModeUpdateIfMatchETag, ModeCreateOrUpdateIfMatchETag, ModeDelete,
	ModeDeleteIfMatchETag, ModeUpdateTwin, ModeUpdateTwinIfMatchETag,
}

// BulkItem is one row of a bulk call.
type BulkItem struct {
	Device   hubward.Device
	ModuleID string
	ETag     string // for the …IfMatchETag modes; "*" matches any
	Mode     ImportMode
}

// BulkResult is the answer to a bulk call, in the service's JSON.
type BulkResult struct {
	IsSuccessful bool          `json:"isSuccessful"`
	Errors       []BulkError   `json:"errors"`
	Warnings     []BulkWarning `json:"warnings"`
}

// BulkError says why one row failed.
type BulkError struct {
	DeviceID    string             `json:"deviceId"`
	ModuleID    hubward.NullString `json:"moduleId"`
	ErrorCode   hubward.Code       `json:"errorCode"`
	ErrorStatus string             `json:"errorStatus"`
	Operation   ImportMode         `json:"operation"`
}

// BulkWarning says what was left out of a row that was done. This package makes none; package restfront makes one kind,
// DeviceRegisteredWithoutTwin, for rows that bring a twin.
type BulkWarning struct {
	DeviceID      string `json:"deviceId"`
	WarningCode   string `json:"warningCode"`
	WarningStatus string `json:"warningStatus"`
}

// BulkDevices runs up to 100 rows. Good rows stay when others fail.
//
// Errors, for the call as a whole: CodeTooManyDevices; CodeDeviceDefinedMultipleTimes, with nothing applied.
//
// Source: spec/service-rest.md 4.3.
func (h *Hub) BulkDevices(ctx context.Context, hub string, items []BulkItem) (BulkResult, error) {
	result := BulkResult{Errors: []BulkError{}, Warnings: []BulkWarning{}}
	if _, _, err := h.find(hub); err != nil {
		return result, err
	}
	if err := checkBulk(items); err != nil {
		return result, err
	}
	outcomes := make([]error, len(items))
	edits := make([]*DeviceEdit, len(items))
	var runnable []*DeviceEdit
	for i := range items {
		if edits[i], outcomes[i] = h.bulkEdit(&items[i]); outcomes[i] == nil {
			runnable = append(runnable, edits[i])
		}
	}
	if err := h.editDevices(ctx, hub, runnable...); err != nil {
		return result, err
	}
	for i := range items {
		if outcomes[i] == nil {
			outcomes[i] = edits[i].Err
		}
		if outcomes[i] != nil {
			result.Errors = append(result.Errors, bulkError(&items[i], outcomes[i]))
		}
	}
	result.IsSuccessful = len(result.Errors) == 0
	return result, nil
}

func checkBulk(items []BulkItem) error {
	if len(items) > MaxBulkItems {
		return hubward.Errorf(hubward.CodeTooManyDevices, "%d devices in one call are more than %d", len(items), MaxBulkItems)
	}
	seen := make(map[string]bool, len(items))
	for i := range items {
		id := items[i].Device.DeviceID
		if seen[id] {
			return hubward.Errorf(hubward.CodeDeviceDefinedMultipleTimes, "the device %.128q stands in the call more than once", id)
		}
		seen[id] = true
	}
	return nil
}

func bulkError(item *BulkItem, err error) BulkError {
	text := "the hub could not do it"
	var e *hubward.Error
	if errors.As(err, &e) && e.Message != "" {
		text = e.Message
	}
	return BulkError{
		DeviceID: item.Device.DeviceID, ModuleID: hubward.NullString(item.ModuleID),
		ErrorCode: hubward.CodeOf(err), ErrorStatus: text, Operation: item.Mode,
	}
}

// bulkEdit turns a row into an edit, or says what is wrong with it.
func (h *Hub) bulkEdit(item *BulkItem) (*DeviceEdit, error) {
	mode, err := parseImportMode(item.Mode)
	if err != nil {
		return nil, err
	}
	item.Mode = mode
	if item.ModuleID != "" {
		return nil, hubward.Errorf(hubward.CodeInvalidOperation, "this hub has no module identities")
	}
	id := item.Device.DeviceID
	switch mode {
	case ModeUpdateTwin, ModeUpdateTwinIfMatchETag:
		return nil, hubward.Errorf(hubward.CodeInvalidOperation, "this hub cannot change twins in bulk")
	case ModeDelete, ModeDeleteIfMatchETag:
		if err := hubward.ValidateID(id); err != nil {
			return nil, err
		}
		return &DeviceEdit{ID: id, Edit: func(old *hubward.Device) (*hubward.Device, error) {
			return nil, checkMatch(old, id, item.match(old))
		}}, nil
	}
	put, err := h.newDevicePut(item.Device)
	if err != nil {
		return nil, err
	}
	return &DeviceEdit{ID: id, Edit: func(old *hubward.Device) (*hubward.Device, error) {
		if err := checkMatch(old, id, item.match(old)); err != nil {
			return nil, err
		}
		return put.apply(old)
	}}, nil
}

// match turns a mode into the If-Match value of a single call, given what is stored.
func (item *BulkItem) match(old *hubward.Device) string {
	etag := item.ETag
	if etag == "" {
		etag = `""` // matches no etag
	}
	switch item.Mode {
	case ModeCreate:
		return ""
	case ModeUpdate, ModeDelete:
		return "*"
	case ModeUpdateIfMatchETag, ModeDeleteIfMatchETag:
		return etag
	}
	if old == nil {
		return ""
	}
	if item.Mode == ModeCreateOrUpdateIfMatchETag {
		return etag
	}
	return "*"
}

func parseImportMode(mode ImportMode) (ImportMode, error) {
	if mode == "" {
		return ModeCreateOrUpdate, nil
	}
	for _, m := range importModes {
		if strings.EqualFold(string(mode), string(m)) {
			return m, nil
		}
	}
	return "", hubward.Errorf(hubward.CodeArgumentInvalid, "importMode: %.40q is no import mode", mode)
}
