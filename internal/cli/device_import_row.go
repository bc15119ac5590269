package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/utf8text"
	"github.com/hubward/hubward/service"
)

// importRow is a line of an import file: an identity as device export writes it, or a row of the cloud service's export,
// which names the device "id".
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-bulk-identity-mgmt; Azure/azure-iot-sdk-csharp
// iothub/service/src/Registry/Models/ExportImportDevice.cs.
type importRow struct {
	hubward.Device
	ID         string                     `json:"id"`
	ModuleID   string                     `json:"moduleId"`
	ManagedBy  string                     `json:"managedBy"`
	ImportMode service.ImportMode         `json:"importMode"`
	TwinETag   string                     `json:"twinETag"`
	Tags       map[string]json.RawMessage `json:"tags"`
	Properties struct {
		Desired  map[string]json.RawMessage `json:"desired"`
		Reported map[string]json.RawMessage `json:"reported"` // the device's own, and not imported
	} `json:"properties"`
}

// importRules are what the command line says about all rows.
type importRules struct {
	mode         service.ImportMode // of the rows that have none
	modeGiven    bool               // the command line names it: a row that has another one is refused
	withoutTwins bool
}

// parse reads a line. unknown are the members that mean nothing here.
func (r *importRules) parse(line []byte) (item service.BulkItem, unknown []string, err error) {
	line, err = utf8text.Check(line)
	if err != nil {
		return item, nil, err
	}
	var row importRow
	strict := json.NewDecoder(bytes.NewReader(line))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&row); err != nil || strict.InputOffset() != int64(len(bytes.TrimRight(line, " \t\r"))) {
		row = importRow{}
		if err := json.Unmarshal(line, &row); err != nil {
			return item, nil, explainJSON(err)
		}
		unknown = unknownMembers(line)
	}
	item, err = r.item(&row)
	return item, unknown, err
}

func (r *importRules) item(row *importRow) (service.BulkItem, error) {
	item := service.BulkItem{Device: row.Device, ModuleID: row.ModuleID, ManagedBy: row.ManagedBy, Mode: r.mode}
	switch {
	case row.DeviceID == "":
		item.Device.DeviceID = row.ID
	case row.ID != "" && row.ID != row.DeviceID:
		return item, fmt.Errorf("its id is %q and its deviceId %q", row.ID, row.DeviceID)
	}
	if item.Device.DeviceID == "" {
		return item, errors.New("it has no deviceId")
	}
	if row.ImportMode != "" {
		mode, ok := parseMode(string(row.ImportMode))
		if !ok {
			return item, fmt.Errorf("its importMode %.40q is none of %s", row.ImportMode, modeNames())
		}
		if r.modeGiven && mode != r.mode {
			return item, fmt.Errorf("its importMode is %s and --mode is %s", mode, r.mode)
		}
		item.Mode = mode
	}
	if !r.withoutTwins {
		item.TwinETag, item.Tags, item.Desired = row.TwinETag, row.Tags, row.Properties.Desired
		// They mean nothing in a request, and may be ten times as long as all else.
		delete(item.Desired, "$metadata")
	}
	return item, nil
}

// parseMode finds an import mode without case.
func parseMode(text string) (service.ImportMode, bool) {
	modes := service.ImportModes()
	i := slices.IndexFunc(modes, func(m service.ImportMode) bool { return strings.EqualFold(string(m), text) })
	if i < 0 {
		return "", false
	}
	return modes[i], true
}

func modeNames() string { return strings.Join(modeWords(), ", ") }

func modeWords() (words []string) {
	for _, m := range service.ImportModes() {
		words = append(words, string(m))
	}
	return words
}

// explainJSON says what is wrong with a line in other words than a Go decoder's.
func explainJSON(err error) error {
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrongType) && wrongType.Field == "":
		return fmt.Errorf("it is a JSON %s and no object", wrongType.Value)
	case errors.As(err, &wrongType):
		return fmt.Errorf("a JSON %s is no %s", wrongType.Value, strings.TrimPrefix(wrongType.Field, "Device."))
	case errors.As(err, &syntax):
		return fmt.Errorf("it is no JSON: %w, at byte %d", err, syntax.Offset)
	}
	return err
}

// unknownMembers returns the names of members that importRow does not have, or that have such in them.
func unknownMembers(line []byte) (names []string) {
	var members map[string]json.RawMessage
	if json.Unmarshal(line, &members) != nil {
		return nil
	}
	for name, value := range members {
		alone, err := json.Marshal(map[string]json.RawMessage{name: value})
		dec := json.NewDecoder(bytes.NewReader(alone))
		dec.DisallowUnknownFields()
		if err == nil && dec.Decode(&importRow{}) != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
