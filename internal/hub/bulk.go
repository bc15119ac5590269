package hub

import (
	"bytes"
	"context"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// MaxBulkItems bounds one bulk call.
//
// Source: learn.microsoft.com/rest/api/iothub/service/bulk-registry/update-registry.
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
	Device    hubward.Device
	ModuleID  string // makes it the row of a module
	ManagedBy string // of a module
	ETag      string // for the …IfMatchETag modes; "*" matches any
	Mode      ImportMode
	Bad       error // nil unless the row cannot be read; then it fails with that

	// Tags and Desired are JSON, nil or null for a section that the row does not have. They are what a new twin begins with, and
	// replace the sections of one that is there; the twin modes merge them.
	Tags, Desired []byte
	// TwinETag is for updateTwinIfMatchETag: what the etag of the twin has to be; "*" matches any, empty none. In other modes rows
	// have it, too, as their exporter or the .NET SDK's UpdateTwins2Async has found it, and it does not count.
	TwinETag string
}

// changesTwin reports whether the row is for the twin alone.
func (item *BulkItem) changesTwin() bool {
	return item.Mode == ModeUpdateTwin || item.Mode == ModeUpdateTwinIfMatchETag
}

// deletes reports whether the row is for a deletion.
func (item *BulkItem) deletes() bool {
	return item.Mode == ModeDelete || item.Mode == ModeDeleteIfMatchETag
}

func (item *BulkItem) identity() hubward.Identity {
	return hubward.Identity{Device: item.Device.DeviceID, Module: item.ModuleID}
}

// BulkError says why one row failed.
type BulkError struct {
	Identity  hubward.Identity
	Operation ImportMode
	Err       error
}

// BulkDevices runs up to 100 rows and returns those that failed. Good rows stay when others fail. p has RegistryWrite.
//
// Errors, for the call as a whole: CodeUnauthorizedAccess, CodeNoSuchHub; CodeTooManyDevices; CodeDeviceDefinedMultipleTimes,
// with nothing applied.
//
// Source: learn.microsoft.com/rest/api/iothub/service/bulk-registry/update-registry.
func (h *Hub) BulkDevices(ctx context.Context, p *access.Principal, items []BulkItem) ([]BulkError, error) {
	s, _, err := h.permit(p, access.RegistryWrite, allDevices)
	if err != nil {
		return nil, err
	}
	if err := checkBulk(items); err != nil {
		return nil, err
	}
	outcomes := make([]error, len(items))
	edits := make([]*IdentityEdit, len(items))
	b := &bulk{h: h, state: s, p: p, parents: h.newParents(s.ref.Name)}
	for i := range items {
		if edits[i], outcomes[i] = b.edit(ctx, &items[i]); outcomes[i] == nil {
			b.runnable = append(b.runnable, edits[i])
		}
	}
	h.recordOnce(ctx) // what happened to a connection happened before its identity is deleted
	if err := h.editIdentities(ctx, s, b.runnable...); err != nil {
		return nil, err
	}
	var failed []BulkError
	for i := range items {
		if outcomes[i] == nil {
			outcomes[i] = edits[i].Err
		}
		if outcomes[i] != nil {
			failed = append(failed, BulkError{Identity: items[i].identity(), Operation: items[i].Mode, Err: outcomes[i]})
		}
	}
	return failed, nil
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

// bulk is one bulk call.
type bulk struct {
	h       *Hub
	state   *state
	p       *access.Principal
	parents *parents

	runnable []*IdentityEdit // of the rows that are not refused already, and what goes before them
}

// edit turns a row into an edit, or says what is wrong with it.
func (b *bulk) edit(ctx context.Context, item *BulkItem) (*IdentityEdit, error) {
	mode, err := parseImportMode(item.Mode)
	if err != nil {
		return nil, err
	}
	item.Mode = mode
	if item.Bad != nil {
		return nil, item.Bad
	}
	if item.ManagedBy != "" && item.ModuleID == "" {
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "managedBy: a device has no such member, a module has")
	}
	id := item.identity()
	if err := checkIdentity(id); err != nil {
		return nil, err
	}
	apply, err := b.rule(ctx, item)
	if err != nil {
		return nil, err
	}
	edit := &IdentityEdit{ID: id, WithTwin: true, WithModules: item.deletes(), MostModules: hubward.MaxModules}
	edit.Edit = func(old *Registration) (*Registration, []HubEvent, error) {
		if err := checkMatch(old, id, item.match(old)); err != nil {
			return nil, nil, err
		}
		if err := item.checkTwin(old); err != nil {
			return nil, nil, err
		}
		return apply(edit, old)
	}
	return edit, nil
}

// rule is what a row does to the identity that is stored, and has its edit do.
func (b *bulk) rule(ctx context.Context, item *BulkItem) (func(e *IdentityEdit, old *Registration) (*Registration, []HubEvent, error), error) {
	if item.deletes() {
		if isSystemModule(item.ModuleID) {
			return nil, errSystemModule
		}
		remove, err := b.h.newRemoval(b.parents.hub)
		if err != nil {
			return nil, err
		}
		return remove.apply, nil
	}
	change, err := b.h.newTwinChange(b.state, b.p, TwinUpdate{Tags: given(item.Tags), Desired: given(item.Desired)}, !item.changesTwin())
	if err != nil {
		return nil, err
	}
	if item.changesTwin() {
		return change.applyToIdentity, nil
	}
	var p *put
	if item.ModuleID != "" {
		m := hubward.Module{DeviceID: item.Device.DeviceID, ModuleID: item.ModuleID, ManagedBy: hubward.NullString(item.ManagedBy), Authentication: item.Device.Authentication}
		p, err = b.h.newModulePut(b.parents.hub, &m, change)
	} else {
		p, err = b.h.newPut(ctx, &Registration{Device: item.Device}, change, b.parents)
	}
	if err != nil {
		return nil, err
	}
	if climb := p.climb(); climb != nil {
		b.runnable = append(b.runnable, climb)
	}
	return p.apply, nil
}

// given is a section of a row; tools write null for one that they do not have.
func given(section []byte) []byte {
	if string(bytes.TrimSpace(section)) == "null" {
		return nil
	}
	return section
}

// applyToIdentity writes to the twin of an identity that exists.
func (c *twinChange) applyToIdentity(_ *IdentityEdit, old *Registration) (*Registration, []HubEvent, error) {
	if c.isNone() {
		return old, nil, nil
	}
	next := *old
	event, err := c.apply(&next)
	return &next, []HubEvent{event}, err
}

// checkTwin compares the row's etag of the twin with that of the stored one, in the mode that asks for it.
//
// Source: Azure/azure-iot-sdk-csharp iothub/service/src/Registry/Models/ImportMode.cs; RegistryManager.cs, which sends the etag in
// the mode updateTwin, too.
func (item *BulkItem) checkTwin(old *Registration) error {
	if item.Mode != ModeUpdateTwinIfMatchETag || old == nil {
		return nil
	}
	if item.TwinETag == "" {
		return checkTwinMatch(old, noETag)
	}
	return checkTwinMatch(old, item.TwinETag)
}

// noETag matches no etag.
const noETag = `""`

// match turns a mode into the If-Match value of a single call, given what is stored.
func (item *BulkItem) match(old *Registration) string {
	etag := item.ETag
	if etag == "" {
		etag = noETag
	}
	switch item.Mode {
	case ModeCreate:
		if old != nil && isSystemModule(item.ModuleID) {
			return "*" // it has come with its device
		}
		return ""
	case ModeUpdate, ModeDelete, ModeUpdateTwin, ModeUpdateTwinIfMatchETag:
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
