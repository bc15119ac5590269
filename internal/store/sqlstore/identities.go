package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/c2d"
)

// identityColumns are what scanIdentity reads of an identity whose ids are known.
const identityColumns = `managed_by, generation_id, devices.etag, connection_state, status, status_reason,
	connection_state_updated, status_updated, last_activity, auth_type, primary_key, secondary_key,
	primary_thumbprint, secondary_thumbprint, iot_edge, device_scope, parent_scopes, model_id,
	coalesce((SELECT q.pending FROM c2d_queues q
		WHERE q.hub = devices.hub AND q.device_id = devices.device_id AND q.module_id = devices.module_id), 0)`

// lockIdentity is for Store.lock.
const lockIdentity = `SELECT etag FROM devices WHERE hub = $1 AND device_id = $2 AND module_id = $3`

const selectIdentity = `SELECT ` + identityColumns + ` FROM devices WHERE hub = $1 AND device_id = $2 AND module_id = $3`

// Identity returns one identity, or an Error with CodeDeviceNotFound or CodeModuleNotFound.
func (s *Store) Identity(ctx context.Context, hubName string, id hubward.Identity) (*hub.Registration, error) {
	const op = "sqlstore.Identity"
	row, err := s.read.row(ctx, selectIdentity, hubName, id.Device, id.Module)
	if err != nil {
		return nil, s.fail(op, err)
	}
	r := withID(id)
	err = scanIdentity(row, r)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, notFound(op, id)
	}
	if err != nil {
		return nil, s.fail(op, err)
	}
	return r, nil
}

func withID(id hubward.Identity) *hub.Registration {
	return &hub.Registration{Device: hubward.Device{DeviceID: id.Device}, ModuleID: id.Module}
}

func notFound(op string, id hubward.Identity) error {
	e := c2d.NotFound(id)
	e.Op = op
	return e
}

// Devices returns up to limit devices behind after, ordered by id; none when limit is not positive.
func (s *Store) Devices(ctx context.Context, hubName, after string, limit int) ([]hub.Registration, error) {
	var devices []hub.Registration
	err := s.read.each(ctx, appendIdentity(&devices),
		`SELECT device_id, module_id, `+identityColumns+` FROM devices WHERE hub = $1 AND device_id > $2 AND module_id = ''
			ORDER BY device_id LIMIT $3`, hubName, after, max(limit, 0))
	if err != nil {
		return nil, s.fail("sqlstore.Devices", err)
	}
	return devices, nil
}

// appendIdentity reads rows of ids and identityColumns into a list.
func appendIdentity(list *[]hub.Registration) func(scanner) error {
	return func(row scanner) error {
		var r hub.Registration
		if err := scanIdentity(row, &r, &r.DeviceID, &r.ModuleID); err != nil {
			return err
		}
		*list = append(*list, r)
		return nil
	}
}

// scanIdentity reads identityColumns into r, and the columns before them into first.
func scanIdentity(row scanner, r *hub.Registration, first ...any) error {
	var (
		reason, authType, key1, key2, th1, th2 sql.NullString
		stateUpdated, statusUpdated, activity  sql.NullInt64
		parents                                string
	)
	err := row.Scan(append(first, &r.ManagedBy, &r.GenerationID, &r.ETag, &r.ConnectionState, &r.Status, &reason,
		&stateUpdated, &statusUpdated, &activity, &authType, &key1, &key2,
		&th1, &th2, &r.Capabilities.IotEdge, &r.DeviceScope, &parents, &r.ModelID, &r.CloudToDeviceMessageCount)...)
	if err != nil {
		return err
	}
	r.StatusReason = hubward.NullString(reason.String)
	r.ConnectionStateUpdatedTime = wireTime(stateUpdated)
	r.StatusUpdatedTime = wireTime(statusUpdated)
	r.LastActivityTime = wireTime(activity)
	if authType.Valid {
		r.Authentication = &hubward.Authentication{Type: hubward.AuthType(authType.String)}
		r.Authentication.SymmetricKey.PrimaryKey = hubward.NullString(key1.String)
		r.Authentication.SymmetricKey.SecondaryKey = hubward.NullString(key2.String)
		r.Authentication.X509Thumbprint.PrimaryThumbprint = hubward.NullString(th1.String)
		r.Authentication.X509Thumbprint.SecondaryThumbprint = hubward.NullString(th2.String)
	}
	r.ParentScopes, err = listOf[string](parents)
	return err
}

// EditIdentities runs edits in order, in one job of the writer. An identity is stored under its edit's ID, whatever ids
// it says it has. What it stores of an identity that exists leaves the connection fields alone.
func (s *Store) EditIdentities(ctx context.Context, hubName string, edits []*hub.IdentityEdit) error {
	if len(edits) == 0 {
		return nil
	}
	const op = "sqlstore.EditIdentities"
	return s.update(ctx, op, func(tx *writeTx) error {
		for _, e := range edits {
			if err := s.editIdentity(op, tx, hubName, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// editIdentity sets e.Err to what e's function says, before anything is written; an error of its own fails the whole job.
// It begins anew when another writer has inserted the identity since it was looked for: a row that is not there cannot
// be locked.
func (s *Store) editIdentity(op string, tx *writeTx, hubName string, e *hub.IdentityEdit) error {
	for {
		done, err := s.tryIdentity(op, tx, hubName, e)
		if done || err != nil {
			return err
		}
	}
}

func (s *Store) tryIdentity(op string, tx *writeTx, hubName string, e *hub.IdentityEdit) (done bool, err error) {
	old, twin, err := s.lockForEdit(tx, hubName, e)
	if err != nil {
		return false, err
	}
	exists := old != nil
	e.Then = nil
	next, events, err := e.Edit(old)
	if e.Err = err; err != nil {
		return true, nil
	}
	done = true
	switch {
	case exists && next == nil:
		err = s.deleteIdentity(tx, hubName, e.ID)
	case exists:
		err = updateIdentity(tx, hubName, e.ID, next)
	case next != nil:
		done, err = s.createIdentity(op, tx, hubName, e, next)
	case len(events) > 0:
		err = s.lockHub(op, tx, hubName) // no identity says that the hub is there
	}
	if err != nil || !done || e.Err != nil {
		return done, err
	}
	if next != nil && next.Twin != nil {
		if err := s.replaceTwin(tx, hubName, e.ID, twin, next.Twin); err != nil {
			return true, err
		}
	}
	tx.tell(hubName, events)
	for _, then := range e.Then {
		if err := s.editIdentity(op, tx, hubName, then); err != nil {
			return true, err
		}
	}
	return true, nil
}

// lockForEdit reads an identity that is written back, nil when there is none, and its modules and twins if the edit is to have
// them.
func (s *Store) lockForEdit(tx *writeTx, hubName string, e *hub.IdentityEdit) (*hub.Registration, *twinRows, error) {
	r, err := s.lockIdentity(tx, hubName, e.ID)
	if err != nil || r == nil {
		return r, nil, err
	}
	if e.WithModules && e.ID.Module == "" {
		if r.Modules, err = s.lockModules(tx, hubName, e.ID.Device, e.WithTwin); err != nil {
			return nil, nil, err
		}
	}
	if !e.WithTwin {
		return r, nil, nil
	}
	twin, err := readTwin(tx, hubName, e.ID)
	if err != nil {
		return nil, nil, err
	}
	r.Twin = twin.copy()
	return r, twin, nil
}

// lockHub fails when there is no such hub.
func (s *Store) lockHub(op string, tx *writeTx, hubName string) error {
	found := false
	err := tx.each(func(scanner) error {
		found = true
		return nil
	}, lockHub+s.dialect.forUpdate, hubName)
	if err == nil && !found {
		err = noHub(op, nil)
	}
	return err
}

// lockIdentity reads an identity that is written back, nil when there is none.
func (s *Store) lockIdentity(tx *writeTx, hubName string, id hubward.Identity) (*hub.Registration, error) {
	row, err := tx.row(selectIdentity+s.dialect.forUpdate, hubName, id.Device, id.Module)
	if err != nil {
		return nil, err
	}
	r := withID(id)
	err = scanIdentity(row, r)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return r, err
}

// deleteIdentity removes an identity, with its modules if it is a device; the schema removes their twins, sessions, queues and
// feedback.
func (s *Store) deleteIdentity(tx *writeTx, hubName string, id hubward.Identity) error {
	tx.forgetReported(reportedKey{hubName, id})
	if id.Module != "" {
		_, err := tx.exec(`DELETE FROM devices WHERE hub = $1 AND device_id = $2 AND module_id = $3`, hubName, id.Device, id.Module)
		return err
	}
	err := tx.each(func(row scanner) error {
		module := hubward.Identity{Device: id.Device}
		err := row.Scan(&module.Module)
		tx.forgetReported(reportedKey{hubName, module})
		return err
	}, `SELECT module_id FROM devices WHERE hub = $1 AND device_id = $2 AND module_id <> '' ORDER BY module_id`+s.dialect.forUpdate,
		hubName, id.Device)
	if err != nil {
		return err
	}
	_, err = tx.exec(`DELETE FROM devices WHERE hub = $1 AND device_id = $2`, hubName, id.Device)
	return err
}

// createIdentity stores a new identity, and reports false when another writer was faster. A module needs its device,
// which stays locked, so that nobody deletes it meanwhile, nor gives it another module.
func (s *Store) createIdentity(op string, tx *writeTx, hubName string, e *hub.IdentityEdit, r *hub.Registration) (done bool, err error) {
	if e.ID.Module != "" {
		if err := s.makeRoom(op, tx, hubName, e); err != nil || e.Err != nil {
			return true, err
		}
	}
	return insertIdentity(tx, hubName, e.ID, r)
}

func insertIdentity(tx *writeTx, hubName string, id hubward.Identity, r *hub.Registration) (inserted bool, err error) {
	parents, err := jsonList(r.ParentScopes)
	if err != nil {
		return false, err
	}
	a := authColumns(r.Authentication)
	n, err := tx.change(`INSERT INTO devices (hub, device_id, module_id, managed_by,
			generation_id, etag, status, status_reason, status_updated,
			auth_type, primary_key, secondary_key, primary_thumbprint, secondary_thumbprint,
			iot_edge, device_scope, parent_scopes, connection_state, connection_state_updated, last_activity)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
		ON CONFLICT (hub, device_id, module_id) DO NOTHING`,
		hubName, id.Device, id.Module, r.ManagedBy,
		r.GenerationID, r.ETag, string(r.Status), nullText(r.StatusReason), nullTicks(r.StatusUpdatedTime.Time),
		a.kind, a.key1, a.key2, a.thumb1, a.thumb2,
		flag(r.Capabilities.IotEdge), r.DeviceScope, parents,
		string(r.ConnectionState), nullTicks(r.ConnectionStateUpdatedTime.Time), nullTicks(r.LastActivityTime.Time))
	return n > 0, err
}

func updateIdentity(tx *writeTx, hubName string, id hubward.Identity, r *hub.Registration) error {
	parents, err := jsonList(r.ParentScopes)
	if err != nil {
		return err
	}
	a := authColumns(r.Authentication)
	_, err = tx.exec(`UPDATE devices SET managed_by = $4, generation_id = $5, etag = $6,
			status = $7, status_reason = $8, status_updated = $9,
			auth_type = $10, primary_key = $11, secondary_key = $12, primary_thumbprint = $13, secondary_thumbprint = $14,
			iot_edge = $15, device_scope = $16, parent_scopes = $17
		WHERE hub = $1 AND device_id = $2 AND module_id = $3`,
		hubName, id.Device, id.Module, r.ManagedBy, r.GenerationID, r.ETag,
		string(r.Status), nullText(r.StatusReason), nullTicks(r.StatusUpdatedTime.Time),
		a.kind, a.key1, a.key2, a.thumb1, a.thumb2,
		flag(r.Capabilities.IotEdge), r.DeviceScope, parents)
	return err
}

// auth is an Authentication as columns.
type auth struct{ kind, key1, key2, thumb1, thumb2 sql.NullString }

func authColumns(a *hubward.Authentication) auth {
	if a == nil {
		return auth{}
	}
	return auth{
		kind:   sql.NullString{String: string(a.Type), Valid: true},
		key1:   nullText(a.SymmetricKey.PrimaryKey),
		key2:   nullText(a.SymmetricKey.SecondaryKey),
		thumb1: nullText(a.X509Thumbprint.PrimaryThumbprint),
		thumb2: nullText(a.X509Thumbprint.SecondaryThumbprint),
	}
}

// DeviceStatistics counts the devices of a hub, modules left out.
func (s *Store) DeviceStatistics(ctx context.Context, hubName string) (hubward.RegistryStatistics, error) {
	var n hubward.RegistryStatistics
	err := s.read.each(ctx, func(row scanner) error {
		var status hubward.Status
		var count int
		if err := row.Scan(&status, &count); err != nil {
			return err
		}
		n.TotalDeviceCount += count
		switch status {
		case hubward.StatusEnabled:
			n.EnabledDeviceCount += count
		case hubward.StatusDisabled:
			n.DisabledDeviceCount += count
		}
		return nil
	}, `SELECT status, count(*) FROM devices WHERE hub = $1 AND module_id = '' GROUP BY status`, hubName)
	if err != nil {
		return hubward.RegistryStatistics{}, s.fail("sqlstore.DeviceStatistics", err)
	}
	return n, nil
}
